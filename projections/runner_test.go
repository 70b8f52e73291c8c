package projections_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// create makes n keys of a workspace.
func create(t tb, s *ledger.Service, call *ledger.Call, workspace string, n int) (issued []ledger.Issued) {
	t.Helper()
	for i := range n {
		one, err := s.Create(t.Context(), call, &ledger.Create{
			Name:  fmt.Sprint("key ", i),
			Owner: ledger.Owner{Workspace: workspace},
		})
		if err != nil {
			t.Fatalf("create: %v", err)
		}
		issued = append(issued, one)
	}
	return issued
}

// filled is a log with a root key and n keys of the workspace acme.
func filled(t tb, n int) (*ledgertest.Log, []ledger.Issued) {
	t.Helper()
	log := ledgertest.NewLog()
	v := run(t, open(t, projections.Options{FS: vfs.NewMem()}), log)
	defer v.stop()
	s, call := rooted(t, v, log, time.Now)
	return log, create(t, s, call, "acme", n)
}

// TestRevocationIsSeenAtOnce revokes 10,000 keys while others look them up: when the ledger has answered, no look-up that
// begins then finds the key valid.
func TestRevocationIsSeenAtOnce(t *testing.T) {
	const rounds = 10_000
	log := ledgertest.NewLog()
	v := run(t, open(t, projections.Options{FS: vfs.NewMem()}), log)
	s, call := rooted(t, v, log, time.Now)
	var revoked atomic.Pointer[ledger.Digest]
	var looked atomic.Int64
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				d := revoked.Load()
				if d == nil {
					continue
				}
				k, _, ok, err := v.KeyByDigest(*d)
				if err != nil || !ok || k.RevokedAt.IsZero() {
					t.Errorf("found %v, %v, revoked at %s", ok, err, k.RevokedAt)
					return
				}
				looked.Add(1)
			}
		})
	}
	for range rounds {
		issued := create(t, s, call, "acme", 1)[0]
		if k, _, ok, err := v.KeyByDigest(issued.Token.Digest()); err != nil || !ok || !k.RevokedAt.IsZero() {
			t.Fatalf("created: found %v, %v, revoked at %s", ok, err, k.RevokedAt)
		}
		if _, err := s.Revoke(t.Context(), call, issued.Key.ID, ""); err != nil {
			t.Fatal(err)
		}
		d := issued.Token.Digest()
		revoked.Store(&d)
		if k, _, _, _ := v.KeyByDigest(d); k.RevokedAt.IsZero() {
			t.Fatal("the key is valid after its revocation")
		}
	}
	close(done)
	readers.Wait()
	if looked.Load() < rounds/100 {
		t.Errorf("only %d look-ups were made meanwhile", looked.Load())
	}
}

func TestWaitFor(t *testing.T) {
	log, _ := filled(t, 100)
	last := uint64(log.Len())
	v := open(t, projections.Options{FS: vfs.NewMem()})
	var waiting sync.WaitGroup
	for i := range 2000 {
		waiting.Go(func() {
			sequence := uint64(i)%last + 1
			if err := v.WaitFor(t.Context(), sequence); err != nil || v.Position() < sequence {
				t.Errorf("waited for %d: %v at %d", sequence, err, v.Position())
			}
		})
	}
	cancelled, cancel := context.WithCancel(t.Context())
	waiting.Go(func() {
		if err := v.WaitFor(cancelled, last+1); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled wait ends with %v", err)
		}
	})
	r := run(t, v, log)
	r.catchUp(t, 0)
	cancel()
	waiting.Wait()

	waiting.Go(func() {
		if err := v.WaitFor(t.Context(), last+1); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("a wait for what will not come ends with %v", err)
		}
	})
	r.stop()
	waiting.Wait()
	if err := v.WaitFor(t.Context(), last); err != nil {
		t.Errorf("a wait for what is there: %v", err)
	}
	if err := v.WaitFor(t.Context(), last+1); err == nil {
		t.Error("a wait on views that do not run succeeds")
	}
}

// ends runs views until they fail.
func ends(t *testing.T, v *projections.Views, log ledger.Log, uses ledger.UsageLog) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := v.Run(ctx, log, uses)
	if err == nil {
		t.Fatal("the views still ran after a minute")
	}
	return err
}

// foreign stores a message as a newer program would.
func foreign(t *testing.T, log *ledgertest.Log, m events.Message) {
	t.Helper()
	m.ID, m.Time = uuid.New(), time.Now()
	m.Subject = events.KeySubject(&events.Owner{}, uuid.New())
	if _, err := log.Append(t.Context(), ledger.Entry{Message: m}); err != nil {
		t.Fatal(err)
	}
}

func TestRunStopsAtAnUnknownEvent(t *testing.T) {
	for _, header := range []events.Header{{Type: "key.exploded", Version: 1}, {Type: events.KeyCreated, Version: 99}} {
		log, keys := filled(t, 10)
		known := uint64(log.Len())
		foreign(t, log, events.Message{Header: header, Data: []byte{0x80}})
		v := open(t, projections.Options{FS: vfs.NewMem()})
		err := ends(t, v, log, nil)
		var unknown *events.UnknownError
		if !errors.As(err, &unknown) || unknown.Sequence != known+1 || !strings.Contains(err.Error(), string(header.Type)) {
			t.Errorf("%v: the views stop with %v", header, err)
		}
		if k, ok, err := v.Key(t.Context(), keys[9].Key.ID); v.Position() != known || !ok || err != nil {
			t.Errorf("%v: the views are at %d, %v %v %v", header, v.Position(), k, ok, err)
		}
		if err := v.WaitFor(t.Context(), known+1); !errors.As(err, &unknown) {
			t.Errorf("%v: a wait ends with %v", header, err)
		}
	}
}

func TestRunStopsAtAGap(t *testing.T) {
	log, _ := filled(t, 10)
	v := open(t, projections.Options{FS: vfs.NewMem()})
	without5 := faulty{log, func(b *ledger.Batch) { b.Messages = append(b.Messages[:4:4], b.Messages[5:]...) }}
	if err := ends(t, v, without5, nil); !errors.Is(err, ledger.ErrGap) || v.Position() != 4 {
		t.Errorf("the views stop with %v at %d", err, v.Position())
	}
	log.Lose(8)
	if err := ends(t, v, log, nil); !errors.Is(err, ledger.ErrGap) {
		t.Errorf("the views stop with %v", err)
	}
}

// faulty is a log that hands over something else than is stored.
type faulty struct {
	*ledgertest.Log
	spoil func(*ledger.Batch)
}

func (f faulty) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	return f.Log.Tail(ctx, from, func(b ledger.Batch) error {
		f.spoil(&b)
		return handle(b)
	})
}

// repeating is a log that begins every tail anew.
type repeating struct{ *ledgertest.Log }

func (r repeating) Tail(ctx context.Context, _ uint64, handle func(ledger.Batch) error) error {
	return r.Log.Tail(ctx, 1, handle)
}

func (r repeating) TailUsage(ctx context.Context, _ uint64, handle func(uint64, []byte) error) error {
	return r.Log.TailUsage(ctx, 1, handle)
}

func TestRepetitionsAreIgnored(t *testing.T) {
	log, keys := filled(t, 10)
	k := keys[0].Key
	data, err := events.EncodeUsage([]events.Use{{KeyID: k.ID, Last: time.Now(), Count: 3}})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.AppendUsage(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	v := open(t, projections.Options{FS: vfs.NewMem()})
	for range 3 {
		r := run(t, v, repeating{log})
		r.catchUp(t, 1)
		r.stop()
	}
	got, _, err := v.Key(t.Context(), k.ID)
	if err != nil || got.Use.Count != 3 || got.Sequence != k.Sequence || v.Position() != uint64(log.Len()) {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAShorterLedgerIsRefused(t *testing.T) {
	log, _ := filled(t, 10)
	v := open(t, projections.Options{FS: vfs.NewMem(), Dir: "views"})
	r := run(t, v, log)
	r.catchUp(t, 0)
	r.stop()
	older, _ := filled(t, 5)
	err := ends(t, v, older, nil)
	if !strings.Contains(err.Error(), "older copy") || !strings.Contains(err.Error(), "delete the folder") {
		t.Errorf("the views stop with %v", err)
	}
}

// TestLagAndHeard lets the log be ahead of what it hands over: views that do not show everything grow old.
func TestLagAndHeard(t *testing.T) {
	log, _ := filled(t, 10)
	var seconds atomic.Int64
	var ahead atomic.Uint64
	v := open(t, projections.Options{FS: vfs.NewMem(), Now: func() time.Time { return time.Unix(seconds.Load(), 0) }})
	if v.Lag() != 0 || !v.Heard().IsZero() {
		t.Errorf("before: lag %d, heard %s", v.Lag(), v.Heard())
	}
	beats := make(chan struct{})
	beat := func() { // two heartbeats: when the second begins, the first was handled
		<-beats
		<-beats
	}
	seconds.Store(1000)
	r := run(t, v, faulty{log, func(b *ledger.Batch) {
		b.Pending += ahead.Load()
		if len(b.Messages) == 0 {
			select {
			case beats <- struct{}{}:
			case <-t.Context().Done():
			}
		}
	}})
	r.catchUp(t, 0)
	beat()
	if v.Lag() != 0 || v.Heard().Unix() != 1000 {
		t.Errorf("complete: lag %d, heard %s", v.Lag(), v.Heard())
	}
	seconds.Store(2000)
	beat()
	if v.Heard().Unix() != 2000 {
		t.Errorf("after a heartbeat: heard %s", v.Heard())
	}
	ahead.Store(7)
	beat()
	seconds.Store(3000)
	beat()
	if v.Lag() != 7 || v.Heard().Unix() != 2000 {
		t.Errorf("behind: lag %d, heard %s", v.Lag(), v.Heard())
	}
}
