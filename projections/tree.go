package projections

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

// The tree is kept as C2SP tlog-tiles has it: a tile of level L holds up to 256 hashes of complete subtrees of height 8·L.
const (
	tileHeight = 8
	tileBytes  = tlog.HashSize << tileHeight
)

// tree is the Merkle tree (RFC 6962) over all messages of the ledger, growing at its right edge: full tiles are in Pebble
// alone, the last one of each level is in memory too. Of the last one of level 0, Pebble has runs: the leaves of a commit,
// under the place of the first of them in the tile, after the number of the tile. Those of later tiles overwrite them.
type tree struct {
	size   uint64   // leaves, with those of the current batch
	edge   [][]byte // hashes of the last tile of each level, which is not full; never changed, only appended to
	stored int      // bytes of edge[0] that Pebble has
	shown  atomic.Pointer[treeEdge]
}

// treeEdge is the right edge of the tree as of a commit.
type treeEdge struct {
	size uint64
	edge [][]byte
}

// treeView holds the hashes of the tree.
func (v *Views) treeView() view {
	t := &v.tree
	return view{
		name: "tree", version: 1, prefixes: string([]byte{tilePrefix, leafRunPrefix}),
		apply:  func(b *pebble.Batch, c *change) error { return t.add(b, c.leaf) },
		finish: t.finish,
	}
}

// leafHasher hashes leaves, and keeps the room for them.
type leafHasher struct {
	leaf []byte
	none bool // nobody wants hashes
}

func (h *leafHasher) hash(m *events.Message) tlog.Hash {
	if h.none {
		return tlog.Hash{}
	}
	h.leaf = events.AppendLeaf(h.leaf[:0], m)
	return tlog.RecordHash(h.leaf)
}

// add adds a leaf and every tile that it completes.
func (t *tree) add(b *pebble.Batch, hash tlog.Hash) error {
	for level := 0; ; level++ {
		if level == len(t.edge) {
			t.edge = append(t.edge, nil)
		}
		t.edge[level] = append(t.edge[level], hash[:]...)
		full := t.edge[level]
		if len(full) < tileBytes {
			break
		}
		tile := tlog.Tile{H: tileHeight, L: level, N: int64(tileNumber(t.size, level)), W: 1 << tileHeight}
		if err := b.Set(tileKey(level, uint64(tile.N)), full, nil); err != nil {
			return err
		}
		var err error
		if hash, err = topOfTile(tile, full); err != nil {
			return err
		}
		t.edge[level] = nil
		if level == 0 {
			t.stored = 0
		}
	}
	t.size++
	return nil
}

// topOfTile is the hash of all that is below a full tile.
func topOfTile(tile tlog.Tile, data []byte) (tlog.Hash, error) {
	below := tileHeight*(tile.L+1) - 1
	left, err := tlog.HashFromTile(tile, data, tlog.StoredHashIndex(below, 2*tile.N))
	if err != nil {
		return tlog.Hash{}, err
	}
	right, err := tlog.HashFromTile(tile, data, tlog.StoredHashIndex(below, 2*tile.N+1))
	return tlog.NodeHash(left, right), err
}

// tileNumber is the number of the tile of a level that the leaf with an index is below.
func tileNumber(index uint64, level int) uint64 { return index >> (tileHeight * (level + 1)) }

// finish ends a commit: what the tiles at the edge have gained goes to Pebble.
func (t *tree) finish(b *pebble.Batch) error {
	for level, hashes := range t.edge {
		if level == 0 || len(hashes) == 0 {
			continue
		}
		if shown := t.shown.Load(); level < len(shown.edge) && len(shown.edge[level]) == len(hashes) &&
			tileNumber(shown.size, level) == tileNumber(t.size, level) {
			break // and the levels above it are as they were, too
		}
		if err := b.Set(tileKey(level, tileNumber(t.size, level)), hashes, nil); err != nil {
			return err
		}
	}
	if len(t.edge) == 0 || t.stored == len(t.edge[0]) {
		return nil
	}
	run := binary.BigEndian.AppendUint64(nil, tileNumber(t.size, 0))
	run = append(run, t.edge[0][t.stored:]...)
	key := leafRunKey(t.stored / tlog.HashSize)
	t.stored = len(t.edge[0])
	return b.Set(key, run, nil)
}

// show makes what was committed seen by readers.
func (t *tree) show() {
	t.shown.Store(&treeEdge{size: t.size, edge: append([][]byte(nil), t.edge...)})
}

func tileKey(level int, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tilePrefix, byte(level)}, n)
}

func leafRunKey(place int) []byte { return []byte{leafRunPrefix, byte(place)} }

// loadTree reads the edge of the tree, which has a leaf for each event up to the position.
func (v *Views) loadTree(position uint64) error {
	t := &v.tree
	t.size, t.edge = position, nil
	for level := 0; position>>(tileHeight*level) > 0; level++ {
		hashes, err := v.loadEdge(level)
		if err != nil {
			return err
		}
		if want := position >> (tileHeight * level) % (1 << tileHeight) * tlog.HashSize; uint64(len(hashes)) != want {
			return fmt.Errorf("%w: a tile of level %d has %d bytes, not %d", errDamaged, level, len(hashes), want)
		}
		t.edge = append(t.edge, hashes)
	}
	t.stored = 0
	if len(t.edge) > 0 {
		t.stored = len(t.edge[0])
	}
	t.show()
	return nil
}

// loadEdge reads what is there of the last tile of a level.
func (v *Views) loadEdge(level int) (hashes []byte, err error) {
	n := tileNumber(v.tree.size, level)
	if level > 0 {
		_, err = v.get(tileKey(level, n), func(value []byte) error {
			hashes = append(hashes, value...)
			return nil
		})
		return hashes, err
	}
	err = v.scan(string(leafRunPrefix), func(key, value []byte) error {
		if len(key) != 2 || len(value) < 8 {
			return errDamaged
		}
		if binary.BigEndian.Uint64(value) == n {
			if int(key[1])*tlog.HashSize != len(hashes) {
				return errDamaged
			}
			hashes = append(hashes, value[8:]...)
		}
		return nil
	})
	return hashes, err
}

// ReadHashes implements tlog.HashReader: the hashes of the tree over the first Position messages.
func (v *Views) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	edge := v.tree.shown.Load()
	hashes := make([]tlog.Hash, len(indexes))
	var last tlog.Tile
	var data []byte
	for i, index := range indexes {
		tile := tlog.TileForIndex(tileHeight, index)
		if data == nil || tile.L != last.L || tile.N != last.N {
			var err error
			if data, err = v.tile(edge, tile); err != nil {
				return nil, err
			}
			last = tile
		}
		var err error
		if hashes[i], err = tlog.HashFromTile(tile, data, index); err != nil {
			return nil, fmt.Errorf("projections: tree of %d: %w", edge.size, err)
		}
	}
	return hashes, nil
}

// tile gives the hashes there are of a tile.
func (v *Views) tile(edge *treeEdge, tile tlog.Tile) (data []byte, err error) {
	n := uint64(tile.N)
	switch last := tileNumber(edge.size, tile.L); {
	case n == last && tile.L < len(edge.edge):
		return edge.edge[tile.L], nil
	case n >= last:
		return nil, nil
	}
	ok, err := v.get(tileKey(tile.L, n), func(value []byte) error {
		data = append(data, value...)
		return nil
	})
	if err == nil && (!ok || len(data) != tileBytes) {
		err = fmt.Errorf("projections: tree of %d: tile %s: %w", edge.size, tile.Path(), errDamaged)
	}
	return data, err
}
