package projections_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// streams opens a ledger in a NATS server of the test as several nodes do.
func streams(t *testing.T, nodes int) (logs []*jetstream.Log) {
	t.Helper()
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	for range nodes {
		nc, err := s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		log, err := jetstream.Open(t.Context(), nc, jetstream.Options{Server: s})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(log.Close)
		logs = append(logs, log)
	}
	return logs
}

// notices counts the notices of each key in a log, and checks that those of each come in their order.
func notices(t *testing.T, log ledger.Log) (of map[uuid.UUID][]string, fold *ledgertest.State) {
	t.Helper()
	of, fold = map[uuid.UUID][]string{}, ledgertest.NewState(time.Now)
	end := errors.New("the end")
	err := log.Tail(t.Context(), 1, func(b ledger.Batch) error {
		for i := range b.Messages {
			e, err := events.Decode(&b.Messages[i], nil)
			if err != nil {
				return err
			}
			switch p := e.Payload.(type) {
			case *events.Expiring:
				of[p.KeyID] = append(of[p.KeyID], p.Horizon.String())
			case *events.Expired:
				of[p.KeyID] = append(of[p.KeyID], "expired")
			case *events.FirstUsed:
				of[p.KeyID] = append(of[p.KeyID], "used")
			}
		}
		if err := fold.Apply(b); err != nil || b.Pending > 0 {
			return err
		}
		return end
	})
	if err != end {
		t.Fatal(err)
	}
	return of, fold
}

// TestNoticesOfTwoNodes lets two nodes announce the same at the same time, several times over: each notice is in the
// ledger once, the views of both and a fold of the ledger agree, and a node with new views finds nothing left.
func TestNoticesOfTwoNodes(t *testing.T) {
	const keys = 300
	logs := streams(t, 2)
	var mu sync.Mutex
	clock := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}
	node := func(log *jetstream.Log, diskIndex bool) (*running, *ledger.Service, *ledger.Announcer) {
		v := run(t, open(t, projections.Options{FS: vfs.NewMem(), DiskIndex: diskIndex, Now: now}), log)
		s := ledger.New(ledger.Config{Log: log, State: v, Now: now, FirstUses: true})
		return v, s, ledger.NewAnnouncer(s, ledger.AnnouncerConfig{
			Horizons: []time.Duration{24 * time.Hour, 168 * time.Hour}, FirstUses: 1000,
		})
	}
	v, s, a := node(logs[0], false)
	w, other, b := node(logs[1], true)
	if _, _, err := s.Bootstrap(t.Context(), ledger.Secret{}); err != nil {
		t.Fatal(err)
	}
	call := &ledger.Call{Principal: ledger.Principal{Actor: "test", Scopes: ledger.ScopeAll}}
	tokens := make([]string, keys)
	for i := range tokens {
		issued, err := s.Create(t.Context(), call, &ledger.Create{
			Name: fmt.Sprint("key ", i), ExpiresAt: now().Add(300 * time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = issued.Token.Reveal()
	}
	w.catchUp(t, 0)
	for _, hours := range []int{0, 140, 140, 100} {
		mu.Lock()
		clock = clock.Add(time.Duration(hours) * time.Hour)
		mu.Unlock()
		for _, token := range tokens {
			if hours == 0 {
				verify(t, s, token)
				verify(t, other, token)
			}
		}
		var looking sync.WaitGroup
		for _, a := range []*ledger.Announcer{a, b} {
			looking.Go(func() {
				if err := a.Look(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		looking.Wait()
	}
	v.catchUp(t, 0)
	w.catchUp(t, 0)
	_, _, late := node(logs[1], false)
	if err := late.Look(t.Context()); err != nil {
		t.Error(err)
	}
	of, fold := notices(t, logs[0])
	if len(of) != keys {
		t.Errorf("%d keys have notices, want %d", len(of), keys)
	}
	for id, got := range of {
		if want := "[used 168h0m0s 24h0m0s expired]"; fmt.Sprint(got) != want {
			t.Fatalf("key %s has %v, want %s", id, got, want)
		}
	}
	for _, v := range []*running{v, w} {
		if err := fold.Diff(t.Context(), v); err != nil {
			t.Error(err)
		}
	}
}

// verify uses a token.
func verify(t *testing.T, s *ledger.Service, token string) {
	t.Helper()
	v, err := s.Authorize(t.Context(), &ledger.VerifyRequest{Token: token})
	if err != nil || v.Decision != ledger.Valid {
		t.Fatalf("got %s, %v", v.Decision, err)
	}
}
