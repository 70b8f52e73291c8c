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

// modes are the two ways to hold keys; both give the same answers.
func modes(t *testing.T, test func(t *testing.T, diskIndex bool)) {
	t.Run("memory", func(t *testing.T) { test(t, false) })
	t.Run("disk", func(t *testing.T) { test(t, true) })
}

// open opens views until the test ends.
func open(t testing.TB, o projections.Options) *projections.Views {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	v, err := projections.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// follow runs views until stop is called, at the latest when the test ends, and returns when they show what is stored.
func follow(t testing.TB, v *projections.Views, log *ledgertest.Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx, log, log) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	catchUp(t, v, log)
	return stop
}

// catchUp waits until the views show what is stored.
func catchUp(t testing.TB, v *projections.Views, log *ledgertest.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := v.WaitFor(ctx, uint64(log.Len())); err != nil {
		t.Fatal(err)
	}
}

// service is a ledger on the views, with a root principal.
func service(t testing.TB, v *projections.Views, log *ledgertest.Log) (*ledger.Service, *ledger.Call) {
	t.Helper()
	s := ledger.New(ledger.Config{Log: log, State: v})
	root, made, err := s.Bootstrap(t.Context(), ledger.Secret{})
	if err != nil || !made {
		t.Fatalf("bootstrap: made %v, %v", made, err)
	}
	p, err := s.Authenticate(t.Context(), root.Token.Reveal(), events.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	return s, &ledger.Call{Principal: p}
}

func TestAServiceReadsItsWrites(t *testing.T) {
	modes(t, func(t *testing.T, diskIndex bool) {
		log := ledgertest.NewLog()
		v := open(t, projections.Options{FS: vfs.NewMem(), DiskIndex: diskIndex})
		follow(t, v, log)
		s, call := service(t, v, log)
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
		if _, err := s.Revoke(ctx, call, issued.Key.ID, "lost"); err != nil {
			t.Fatal(err)
		}
		if k, _, _, _ := v.KeyByDigest(issued.Token.Digest()); k.Status(time.Now()) != ledger.Revoked {
			t.Errorf("the key is %s after its revocation", k.Status(time.Now()))
		}
	})
}
