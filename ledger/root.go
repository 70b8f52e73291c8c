package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

// TreeRoot reads the first size messages of a log and gives the root of the tree over them (RFC 6962 section 2.1): what a
// head of this size signs.
func TreeRoot(ctx context.Context, log Log, size uint64) (tlog.Hash, error) {
	var root treeHash
	if size == 0 {
		return root.sum()
	}
	enough := errors.New("enough")
	err := log.Tail(ctx, 1, func(b Batch) error {
		for i := range b.Messages {
			if root.add(&b.Messages[i]); root.size == size {
				return enough
			}
		}
		if b.Pending == 0 && root.size < size {
			return fmt.Errorf("%w: it ends at %d, before %d", ErrGap, root.size, size)
		}
		return nil
	})
	if !errors.Is(err, enough) {
		return tlog.Hash{}, err
	}
	return root.sum()
}

// treeHash makes the root of a tree whose leaves come one after the other, without keeping them.
type treeHash struct {
	size uint64
	full []tlog.Hash // roots of the full subtrees, the largest first: one for each bit of size
	leaf []byte
}

func (r *treeHash) add(m *events.Message) {
	r.leaf = events.AppendLeaf(r.leaf[:0], m)
	hash := tlog.RecordHash(r.leaf)
	for bits := r.size; bits&1 == 1; bits >>= 1 {
		last := len(r.full) - 1
		hash = tlog.NodeHash(r.full[last], hash)
		r.full = r.full[:last]
	}
	r.full = append(r.full, hash)
	r.size++
}

func (r *treeHash) sum() (tlog.Hash, error) {
	if r.size == 0 {
		return tlog.TreeHash(0, nil)
	}
	last := len(r.full) - 1
	hash := r.full[last]
	for i := last - 1; i >= 0; i-- {
		hash = tlog.NodeHash(r.full[i], hash)
	}
	return hash, nil
}
