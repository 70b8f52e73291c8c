package projections_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// TestUsesOutliveARestart applies uses and opens the views again.
func TestUsesOutliveARestart(t *testing.T) {
	modes(t, func(t *testing.T, diskIndex bool) {
		log, keys := filled(t, 3)
		at := time.Date(2026, 11, 2, 3, 4, 5, 678_000, time.UTC)
		use := func(last time.Time, agent string) {
			data, err := events.EncodeUsage([]events.Use{{
				KeyID: keys[0].Key.ID, Last: last, Count: 5, Origin: events.Origin{IP: "192.0.2.7", UserAgent: agent},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if err := log.AppendUsage(t.Context(), data); err != nil {
				t.Fatal(err)
			}
		}
		use(at, "curl")
		use(at.Add(-time.Second), "late")
		o := projections.Options{FS: vfs.NewMem(), Dir: "views", DiskIndex: diskIndex}
		session(t, o, log, func(v *running) { v.catchUp(t, 2) })
		v := open(t, o)
		want := ledger.LastUse{Use: ledger.Use{LastAt: at, Count: 10}, IP: "192.0.2.7", UserAgent: "curl"}
		if got, err := v.LastUse(t.Context(), keys[0].Key.ID); err != nil || got != want {
			t.Errorf("%+v %v", got, err)
		}
		if k, _, _, err := v.KeyByDigest(keys[0].Token.Digest()); err != nil || k.Use != want.Use {
			t.Errorf("%+v %v", k.Use, err)
		}
		if got, err := v.LastUse(t.Context(), keys[1].Key.ID); err != nil || got != (ledger.LastUse{}) {
			t.Errorf("%+v %v", got, err)
		}
	})
}

// late is a log that hands over nothing until begin is closed.
type late struct {
	*ledgertest.Log
	begin chan struct{}
}

func (l late) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	select {
	case <-l.begin:
		return l.Log.Tail(ctx, from, handle)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestAUseBeforeItsKey applies uses before the creation of their key, as happens when the views are built: the logs are
// followed independently.
func TestAUseBeforeItsKey(t *testing.T) {
	modes(t, func(t *testing.T, diskIndex bool) {
		log, keys := filled(t, 3)
		at := time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)
		data, err := events.EncodeUsage([]events.Use{{KeyID: keys[1].Key.ID, Last: at, Count: 5}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := log.AppendUsage(t.Context(), data); err != nil {
				t.Fatal(err)
			}
		}
		begin := make(chan struct{})
		v := open(t, projections.Options{FS: vfs.NewMem(), DiskIndex: diskIndex})
		r := run(t, v, late{log, begin})
		if err := v.WaitForUses(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if k, ok, err := v.Key(t.Context(), keys[1].Key.ID); ok || err != nil {
			t.Errorf("%+v %v", k, err)
		}
		close(begin)
		r.catchUp(t, 2)
		want := ledger.Use{LastAt: at, Count: 10}
		if k, ok, err := v.Key(t.Context(), keys[1].Key.ID); k.Use != want || !ok || err != nil {
			t.Errorf("%+v %v %v", k.Use, ok, err)
		}
		if k, ok, err := v.Key(t.Context(), keys[0].Key.ID); k.Use != (ledger.Use{}) || !ok || err != nil {
			t.Errorf("%+v %v %v", k.Use, ok, err)
		}
	})
}
