package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// TestCopy copies a ledger to a replicated one in two parts, as after an interruption: sequences, uses and heads are the same,
// and a webhook gets what it had not got.
func TestCopy(t *testing.T) {
	servers := cluster(t)
	from := open(t, t.TempDir(), jetstream.Options{})
	to := openURL(t, servers[0].ClientURL(), jetstream.Options{Replicas: 3})
	ctx := t.Context()
	appendSome := func() {
		for range 300 {
			if _, err := from.Append(ctx, entry()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := from.Append(ctx, entry(), entry(), entry()); err != nil { // as one batch
			t.Fatal(err)
		}
	}
	appendSome()
	if err := from.AppendUsage(ctx, []byte("uses")); err != nil {
		t.Fatal(err)
	}
	if _, err := from.AppendHead(ctx, []byte("a head"), 0); err != nil {
		t.Fatal(err)
	}
	revision, err := from.Keep(ctx, "acme", []byte("a secret"), 0)
	if err == nil {
		_, err = from.Keep(ctx, "beta", []byte("another"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &ledger.Webhook{ID: uuid.New(), From: 1}
	w.Workspace = "acme"
	if got := consume(t, from, w, 120); got[0] != 1 || got[119] != 120 {
		t.Fatalf("the webhook has got %v", got)
	}
	for range 2 { // the second time there is more
		var done, total uint64
		if err := from.Copy(ctx, to, func(d, n uint64) { done, total = d, n }); err != nil {
			t.Fatal(err)
		}
		if last, err := from.Last(ctx); err != nil || done != last || total != last {
			t.Errorf("%d of %d were shown, the ledger ends at %d: %v", done, total, last, err)
		}
		if err := jetstream.SameVault(ctx, from, to); err != nil {
			t.Error(err)
		}
		size, root, err := jetstream.SameTree(ctx, from, to)
		if err != nil || size == 0 || root == "" {
			t.Fatalf("the trees: %d %s %v", size, root, err)
		}
		if n, err := to.LastUsage(ctx); err != nil || n != 1 {
			t.Errorf("%d batches of uses: %v", n, err)
		}
		if note, _, err := to.LastHead(ctx); err != nil || string(note) != "a head" {
			t.Errorf("the last head is %q: %v", note, err)
		}
		appendSome()
		if revision, err = from.Keep(ctx, "acme", fmt.Append(nil, "a secret after ", revision), revision); err != nil {
			t.Fatal(err)
		}
		if err := jetstream.SameVault(ctx, from, to); !errors.Is(err, ledger.ErrDiverged) {
			t.Errorf("vaults that differ: %v", err)
		}
	}
	if got := consume(t, to, w, 5); got[0] != 121 {
		t.Errorf("after the copy the webhook gets %v, want what follows 120", got)
	}
	if _, err := to.Append(ctx, entry()); err != nil {
		t.Fatal(err)
	}
	if err := from.Copy(ctx, to, nil); !errors.Is(err, jetstream.ErrOther) {
		t.Errorf("a copy to what went on by itself: %v, want ErrOther", err)
	}
}

// consume takes n events of a webhook, and gives their sequences in order.
func consume(t *testing.T, l *jetstream.Log, w *ledger.Webhook, n int) (got []uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := l.Consume(ctx, w, 1, func(_ context.Context, h *ledger.Handover) (bool, time.Duration) {
		if len(got) == n {
			return false, time.Millisecond
		}
		if got = append(got, h.Message.Sequence); len(got) == n {
			cancel()
		}
		return true, 0
	})
	if len(got) != n {
		t.Fatalf("%d of %d events came: %v", len(got), n, err)
	}
	return got
}
