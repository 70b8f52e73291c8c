package projections_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// modes are the two ways to hold keys; both give the same answers.
func modes(t *testing.T, test func(t *testing.T, diskIndex bool)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, false) })
	t.Run("disk", func(t *testing.T) { test(t, true) })
}

// tb is what testing.TB and rapid.T have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// open opens views until the test ends.
func open(t tb, o projections.Options) *projections.Views {
	t.Helper()
	v, err := projections.Open(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return v
}

// running is views that follow a log.
type running struct {
	*projections.Views
	log  ledger.Log
	stop func()
}

// bothLogs are a ledger and its uses.
type bothLogs interface {
	ledger.Log
	ledger.UsageLog
}

// run makes views follow a log until stop is called, at the latest when the test ends.
func run(t tb, v *projections.Views, log bothLogs) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Views: v, log: log}
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx, log, log) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// catchUp waits until the views show what is stored, with this many batches of uses.
func (r *running) catchUp(t tb, uses uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last, err := r.log.Last(ctx)
	if err == nil {
		err = r.WaitFor(ctx, last)
	}
	if err == nil {
		err = r.WaitForUses(ctx, uses)
	}
	if err != nil {
		t.Fatalf("catch up: %v", err)
	}
}

// rooted is a ledger on the views, with a root principal.
func rooted(t tb, v ledger.State, log ledger.Log, now func() time.Time) (*ledger.Service, *ledger.Call) {
	t.Helper()
	s := ledger.New(ledger.Config{Log: log, State: v, Now: now, FirstUses: true})
	return s, bootstrap(t, s)
}

// bootstrap makes the root key and gives a call of it.
func bootstrap(t tb, s *ledger.Service) *ledger.Call {
	t.Helper()
	root, made, err := s.Bootstrap(t.Context(), ledger.Secret{})
	if err != nil || !made {
		t.Fatalf("bootstrap: made %v, %v", made, err)
	}
	return &ledger.Call{Principal: ledger.Principal{KeyID: root.Key.ID, Scopes: root.Key.Scopes}}
}

func TestAServiceReadsItsWrites(t *testing.T) {
	modes(t, func(t *testing.T, diskIndex bool) {
		log := ledgertest.NewLog()
		v := run(t, open(t, projections.Options{FS: vfs.NewMem(), DiskIndex: diskIndex}), log)
		s, call := rooted(t, v, log, time.Now)
		ctx := t.Context()
		issued, err := s.Create(ctx, call, &ledger.Create{Name: "first", Owner: ledger.Owner{Workspace: "acme"}})
		if err != nil {
			t.Fatal(err)
		}
		k, ok, err := v.Key(ctx, issued.Key.ID)
		if err != nil || !ok || k.Name != "first" || k.Sequence != v.Position() {
			t.Errorf("by id: %+v %v %v", k, ok, err)
		}
		k, previous, ok, err := v.KeyByDigest(issued.Token.Digest())
		if err != nil || !ok || previous || k.ID != issued.Key.ID {
			t.Errorf("by digest: %+v %v %v %v", k, previous, ok, err)
		}
		page, err := v.Keys(ctx, &ledger.Query{Workspace: "acme", Limit: 10})
		if err != nil || len(page.Keys) != 1 || page.Keys[0].ID != issued.Key.ID {
			t.Errorf("list: %+v %v", page, err)
		}
		roots, err := v.Roots(ctx)
		if err != nil || !slices.Contains(roots, call.Principal.KeyID) || len(roots) != 1 {
			t.Errorf("roots: %v %v", roots, err)
		}
		if _, err := s.Revoke(ctx, call, issued.Key.ID, "lost"); err != nil {
			t.Fatal(err)
		}
		if k, _, _, _ := v.KeyByDigest(issued.Token.Digest()); k.Status(time.Now()) != ledger.Revoked {
			t.Errorf("the key is %s after its revocation", k.Status(time.Now()))
		}
		deadline := time.After(time.Minute)
		for v.Heard().IsZero() { // by the tail: that an append was answered does not tell when it was
			select {
			case <-deadline:
				t.Fatal("the log is not heard")
			case <-time.After(time.Millisecond):
			}
		}
		if v.Lag() != 0 || v.Heard().IsZero() {
			t.Errorf("lag %d, heard at %s", v.Lag(), v.Heard())
		}
	})
}
