package audit

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// maxSize bounds the size of a tree, as tlog does.
const maxSize = 1<<63 - 1

// Tree computes roots of the tree over a ledger from its leaves, one after the other: it keeps the roots of the fewest
// perfect subtrees that cover them, 64 hashes at most.
type Tree struct {
	factory *compact.RangeFactory
	leaves  *compact.Range
}

// NewTree gives the tree of the leaves before the event with sequence from, of which before are the roots of the fewest
// perfect subtrees.
func NewTree(from uint64, before []tlog.Hash) (*Tree, error) {
	if from == 0 || from > maxSize {
		return nil, errors.New("audit: the first event is not number 1 or a later one")
	}
	factory := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	leaves, err := factory.NewRange(0, from-1, slicesOf(before))
	if err != nil {
		return nil, fmt.Errorf("audit: hashes before event %d: %w", from, err)
	}
	return &Tree{factory, leaves}, nil
}

// Size is how many leaves the tree has.
func (t *Tree) Size() uint64 { return t.leaves.End() }

// Add adds the next leaf, of which hash is tlog.RecordHash.
func (t *Tree) Add(hash tlog.Hash) error { return t.leaves.Append(bytes.Clone(hash[:]), nil) }

// Hashes are the roots of the fewest perfect subtrees that cover the leaves.
func (t *Tree) Hashes() []tlog.Hash { return hashesOf(t.leaves.Hashes()) }

// Root is the root of a tree of that size, which begins with the leaves of t; after are the roots of the fewest perfect
// subtrees that cover the others.
func (t *Tree) Root(size uint64, after []tlog.Hash) (tlog.Hash, error) {
	if size < t.Size() || size > maxSize {
		return tlog.Hash{}, fmt.Errorf("audit: a tree of %d leaves does not begin with %d", size, t.Size())
	}
	rest, err := t.factory.NewRange(t.Size(), size, slicesOf(after))
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("audit: hashes after event %d: %w", t.Size(), err)
	}
	all, err := t.factory.NewRange(0, t.Size(), slicesOf(t.Hashes()))
	if err == nil {
		err = all.AppendRange(rest, nil)
	}
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("audit: root of %d leaves: %w", size, err)
	}
	if size == 0 {
		return tlog.TreeHash(0, nil)
	}
	root, err := all.GetRootHash(nil)
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("audit: root of %d leaves: %w", size, err)
	}
	return tlog.Hash(root), nil
}

// Cover reads the roots of the fewest perfect subtrees that cover the leaves with the indexes from begin to end-1.
func Cover(begin, end uint64, from tlog.HashReader) ([]tlog.Hash, error) {
	nodes := compact.RangeNodes(begin, end, nil)
	if len(nodes) == 0 {
		return []tlog.Hash{}, nil
	}
	indexes := make([]int64, len(nodes))
	for i, n := range nodes {
		indexes[i] = tlog.StoredHashIndex(int(n.Level), int64(n.Index))
	}
	return from.ReadHashes(indexes)
}

func slicesOf(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = bytes.Clone(hashes[i][:])
	}
	return out
}

func hashesOf(slices [][]byte) []tlog.Hash {
	out := make([]tlog.Hash, len(slices))
	for i, s := range slices {
		out[i] = tlog.Hash(s)
	}
	return out
}
