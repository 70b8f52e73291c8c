package projections_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// storedHashes are the hashes of the tree over messages, as tlog itself makes them.
type storedHashes []tlog.Hash

func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(s)) {
			return nil, errors.New("beyond the tree")
		}
		list[i] = s[index]
	}
	return list, nil
}

// treeOf builds the tree over all messages of a log.
func treeOf(t tb, log ledger.Log) (hashes storedHashes) {
	t.Helper()
	last, err := log.Last(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	end := errors.New("the end")
	err = log.Tail(t.Context(), 1, func(b ledger.Batch) error {
		for i := range b.Messages {
			m := &b.Messages[i]
			more, err := tlog.StoredHashes(int64(m.Sequence-1), events.AppendLeaf(nil, m), hashes)
			if err != nil {
				return err
			}
			if hashes = append(hashes, more...); m.Sequence == last {
				return end
			}
		}
		return nil
	})
	if !errors.Is(err, end) {
		t.Fatalf("tree: %v", err)
	}
	return hashes
}

// sameTree holds a tree against the one that tlog makes: every hash of every height up to a size.
func sameTree(t tb, name string, got tlog.HashReader, want storedHashes, size uint64) {
	t.Helper()
	n := tlog.StoredHashCount(int64(size))
	indexes := make([]int64, n)
	for i := range indexes {
		indexes[i] = int64(i)
	}
	hashes, err := got.ReadHashes(indexes)
	if err != nil {
		t.Fatalf("%s: tree of %d: %v", name, size, err)
	}
	for i := range hashes {
		if hashes[i] != want[i] {
			level, number := tlog.SplitStoredHashIndex(int64(i))
			t.Fatalf("%s: tree of %d: hash %d of level %d is wrong", name, size, number, level)
		}
	}
	if _, err := got.ReadHashes([]int64{n}); err == nil {
		t.Errorf("%s: the tree of %d has a hash that is beyond it", name, size)
	}
}

// TestTreeIsThatOfTlog grows a tree over two levels of tiles and half of a third, in commits of all sizes, closes and
// crashes it in between, and reads proofs from it that tlog accepts.
func TestTreeIsThatOfTlog(t *testing.T) {
	n := 66_000 // a tree of three levels of tiles
	if ledgertest.Raced {
		n = 7_000
	}
	log := newBulk(t, n)
	want := treeOf(t, log)
	rng := rand.New(rand.NewPCG(1, 2))
	fs := vfs.NewCrashableMem()
	for position := 0; position < n; {
		v, err := projections.Open(projections.Options{FS: fs, Dir: "views", DiskIndex: true})
		if err != nil {
			t.Fatal(err)
		}
		grow(t, v, log, rng)
		position = int(v.Position())
		proves(t, v, rng)
		if rng.IntN(2) == 0 || position == n {
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			fs = left
		}
	}
	v := open(t, projections.Options{FS: fs, Dir: "views", DiskIndex: true})
	sameTree(t, "closed and crashed", v, want, uint64(n))
}

// grow lets views take some thousands of messages, a few or many at a time.
func grow(t *testing.T, v *projections.Views, log *bulk, rng *rand.Rand) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	gate := &gated{bulk: log, open: make(chan int)}
	go func() { ended <- v.Run(ctx, gate, nil) }()
	at := int(v.Position())
	for range 12 {
		most := []int{2, 300, 3000}[rng.IntN(3)]
		at = min(at+1+rng.IntN(most), len(log.messages))
		if at == int(v.Position()) {
			break
		}
		gate.open <- at
		if err := v.WaitFor(t.Context(), uint64(at)); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(3) == 0 {
			if err := v.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// proves holds that a random leaf and a random smaller tree are proven to be in the tree.
func proves(t *testing.T, v *projections.Views, rng *rand.Rand) {
	t.Helper()
	size := int64(v.Position())
	root, err := tlog.TreeHash(size, v)
	if err != nil {
		t.Fatal(err)
	}
	n := rng.Int64N(size)
	leaf, err := v.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := tlog.ProveRecord(size, n, v)
	if err == nil {
		err = tlog.CheckRecord(proof, size, root, n, leaf[0])
	}
	if err != nil {
		t.Errorf("leaf %d of %d: %v", n, size, err)
	}
	older, err := tlog.TreeHash(n+1, v)
	if err != nil {
		t.Fatal(err)
	}
	consistency, err := tlog.ProveTree(size, n+1, v)
	if err == nil {
		err = tlog.CheckTree(consistency, size, root, n+1, older)
	}
	if err != nil {
		t.Errorf("tree of %d in that of %d: %v", n+1, size, err)
	}
}
