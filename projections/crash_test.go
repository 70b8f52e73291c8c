package projections_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"keyledger/ledger"
	"keyledger/projections"
)

// TestCrashesWhileBuilding crashes again and again while Pebble flushes and compacts in the background. Whatever is left
// is the state as of its position, no more and no less; and it can be completed.
func TestCrashesWhileBuilding(t *testing.T) {
	const n, steps = 5000, 20
	modes(t, func(t *testing.T, diskIndex bool) {
		log := newBulk(t, n)
		fs := vfs.NewCrashableMem()
		o := projections.Options{FS: fs, Dir: "views", DiskIndex: diskIndex}
		v := open(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		gate := &gated{bulk: log, open: make(chan int)}
		go func() { ended <- v.Run(ctx, gate, nil) }()
		rng := rand.New(rand.NewPCG(1, 2))
		reached, tree := map[uint64]bool{}, treeOf(t, log)
		for step := range steps {
			stop := n / steps * (step + 1)
			gate.open <- stop
			if err := v.WaitFor(t.Context(), uint64(stop)); err != nil {
				t.Fatal(err)
			}
			flushed := make(chan error, 1)
			go func() { flushed <- v.Flush() }()
			if step%2 == 0 { // else the crash comes while it is flushed
				if err := <-flushed; err != nil {
					t.Fatal(err)
				}
				flushed <- nil
			}
			o.FS = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: step % 3 * 50, RNG: rng})
			if err := <-flushed; err != nil {
				t.Fatal(err)
			}
			left, err := projections.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			log.check(t, left, step%4 == 0)
			sameTree(t, "crashed", left, tree, left.Position())
			reached[left.Position()] = true
			if step%5 == 0 {
				build(t, left, log)
				log.check(t, left, step == 0)
			}
			if err := left.Close(); err != nil {
				t.Error(err)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(reached) < 3 {
			t.Errorf("the crashes left the positions %v only", reached)
		}
	})
}

// gated is a log that hands over its messages up to each number that is sent to open.
type gated struct {
	*bulk
	open chan int
}

func (g *gated) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case to := <-g.open:
			messages := g.messages[from-1 : to]
			if err := handle(ledger.Batch{Messages: messages, Pending: uint64(len(g.messages) - to)}); err != nil {
				return err
			}
			from = uint64(to + 1)
		}
	}
}

// check holds the views to be of the first keys of the log, as many as their position says.
func (b *bulk) check(t *testing.T, v *projections.Views, lists bool) {
	t.Helper()
	position := int(v.Position())
	if lists {
		if keys := allKeys(t, v, ledger.Query{Limit: 1000}); len(keys) != position {
			t.Errorf("%d keys are listed at %d", len(keys), position)
		}
	}
	for i := 0; i < len(b.ids); i += 197 {
		k, ok, err := v.Key(t.Context(), b.ids[i])
		if err != nil || ok != (i < position) || ok && k.Sequence != uint64(i+1) {
			t.Errorf("key %d at %d: %v %v %v", i, position, k, ok, err)
		}
		k, _, ok, err = v.KeyByDigest(b.digests[i])
		if err != nil || ok != (i < position) || ok && k.ID != b.ids[i] {
			t.Errorf("digest %d at %d: %v %v %v", i, position, k, ok, err)
		}
		history, err := v.History(t.Context(), b.ids[i], 0, 10)
		if err != nil || len(history) == 1 != (i < position) {
			t.Errorf("history %d at %d: %v %v", i, position, history, err)
		}
	}
}
