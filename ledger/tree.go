package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

// TileWidth is how many hashes or entries a full tile has (C2SP tlog-tiles).
const TileWidth = 1 << tileHeight

const tileHeight = 8

// Inclusion proves that an event is in the ledger (RFC 6962 section 2.1.1).
type Inclusion struct {
	Sequence uint64
	Leaf     tlog.Hash
	Size     uint64 // of the tree
	Root     tlog.Hash
	Hashes   []tlog.Hash
	Signed   *SignedHead // of this size; nil: this node has none
}

// Consistency proves that the ledger, when it had From events, is the beginning of what it was with To (RFC 6962 section
// 2.1.2).
type Consistency struct {
	From, To         uint64
	FromRoot, ToRoot tlog.Hash
	Hashes           []tlog.Hash
	Signed           *SignedHead // of the size To; nil: this node has none
}

// Head is the last head that this node has signed. Heads, proofs and tiles are for everyone: they tell how many events there
// are, and nothing of what is in them. CodeUnavailable: there is none yet.
func (s *Service) Head() (*SignedHead, error) {
	return s.CosignedHead(0)
}

// CosignedHead is the last head that so many witnesses have cosigned. CodeNotFound: there is none. CodeUnavailable: none is
// signed yet.
func (s *Service) CosignedHead(witnesses int) (*SignedHead, error) {
	if s.heads == nil || s.heads.Latest() == nil {
		return nil, &Error{Code: CodeUnavailable, Detail: "no head of the ledger is signed yet", RetryAfter: retryAfter}
	}
	head := s.heads.Cosigned(witnesses)
	if head == nil {
		return nil, &Error{Code: CodeNotFound, Detail: "no head of the ledger is cosigned by so many witnesses"}
	}
	return head, nil
}

// VerifierKey is what heads are verified with, in the form of signed notes.
func (s *Service) VerifierKey() (string, error) {
	if s.heads == nil {
		return "", &Error{Code: CodeUnavailable, Detail: "this server signs no heads of the ledger", RetryAfter: retryAfter}
	}
	return s.heads.VerifierKey(), nil
}

// Tile gives the first width hashes of a tile. CodeNotFound: the tree does not reach that far.
func (s *Service) Tile(level int, n uint64, width int) ([]byte, error) {
	if !s.reaches(level, n, width) {
		return nil, notFound("tile yet")
	}
	data, err := tlog.ReadTileData(tlog.Tile{H: tileHeight, L: level, N: int64(n), W: width}, s.state)
	return data, failed(err)
}

// reaches tells whether the tree has so many hashes of a tile.
func (s *Service) reaches(level int, n uint64, width int) bool {
	if level < 0 || level >= 64/tileHeight || width < 1 || width > TileWidth || n > math.MaxInt64/TileWidth {
		return false
	}
	return n*TileWidth+uint64(width) <= s.state.Position()>>(tileHeight*level)
}

// Entries gives the first width leaves below a tile of level 0, each with its length in two bytes before it (C2SP
// tlog-tiles): scope ledger:audit, and a principal without an owner. CodeNotFound: the tree does not reach that far.
func (s *Service) Entries(ctx context.Context, p *Principal, n uint64, width int) ([]byte, error) {
	if err := Allow(p, ScopeAudit, &Owner{}); err != nil {
		return nil, forbidden("entries of the ledger need the scope %s and a key without an owner: a part of the ledger cannot be "+
			"proven to be whole; the events of an owner are at /v1/events", ScopeAudit)
	}
	tile, err := s.Tile(0, n, width)
	if err != nil {
		return nil, err
	}
	first := n*TileWidth + 1
	messages, err := s.log.Scan(ctx, ">", first, width)
	if err != nil {
		return nil, failed(err)
	}
	var bundle []byte
	for i := range width {
		if i >= len(messages) || messages[i].Sequence != first+uint64(i) {
			return nil, failed(fmt.Errorf("%w: event %d cannot be read", ErrDiverged, first+uint64(i)))
		}
		start := len(bundle)
		bundle = events.AppendLeaf(append(bundle, 0, 0), &messages[i])
		leaf := bundle[start+2:]
		if len(leaf) > math.MaxUint16 { // Encode does not make such a body
			return nil, failed(fmt.Errorf("ledger: event %d has a leaf of %d bytes, which no entry can hold", messages[i].Sequence, len(leaf)))
		}
		binary.BigEndian.PutUint16(bundle[start:], uint16(len(leaf)))
		if tlog.RecordHash(leaf) != tlog.Hash(tile[i*tlog.HashSize:]) {
			return nil, failed(fmt.Errorf("%w: event %d", ErrDiverged, messages[i].Sequence))
		}
	}
	return bundle, nil
}

// Inclusion proves that an event is in the tree of a size, 0: that of Head. CodeNotFound: there is no such event.
// CodeUnavailable: the tree is not that large yet.
func (s *Service) Inclusion(sequence, size uint64) (Inclusion, error) {
	if sequence == 0 || sequence > s.state.Position() {
		return Inclusion{}, notFound("event yet")
	}
	root, signed, size, err := s.treeOf("size", size)
	if err != nil {
		return Inclusion{}, err
	}
	if sequence > size {
		if signed != nil {
			return Inclusion{}, &Error{Code: CodeUnavailable, Detail: "no head with this event is signed yet", RetryAfter: retryAfter}
		}
		return Inclusion{}, invalid("size", "a tree of this size does not have the event")
	}
	leaf, err := s.state.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(sequence-1))})
	if err != nil {
		return Inclusion{}, failed(err)
	}
	hashes, err := tlog.ProveRecord(int64(size), int64(sequence-1), s.state)
	if err != nil {
		return Inclusion{}, failed(err)
	}
	return Inclusion{Sequence: sequence, Leaf: leaf[0], Size: size, Root: root, Hashes: hashes, Signed: signed}, nil
}

// Consistency proves that the tree of one size is the beginning of that of another, 0: that of Head.
func (s *Service) Consistency(from, to uint64) (Consistency, error) {
	root, signed, to, err := s.treeOf("to", to)
	if err != nil {
		return Consistency{}, err
	}
	if from == 0 || from > to {
		return Consistency{}, invalid("from", "it must be from 1 to %d, the size of the later tree", to)
	}
	older, err := tlog.TreeHash(int64(from), s.state)
	if err != nil {
		return Consistency{}, failed(err)
	}
	hashes, err := tlog.ProveTree(int64(to), int64(from), s.state)
	if err != nil {
		return Consistency{}, failed(err)
	}
	return Consistency{From: from, To: to, FromRoot: older, ToRoot: root, Hashes: hashes, Signed: signed}, nil
}

// treeOf gives the root of the tree of a size that the caller named in a field, and its signed head if it is that of Head.
func (s *Service) treeOf(field string, size uint64) (tlog.Hash, *SignedHead, uint64, error) {
	head, err := s.Head()
	switch {
	case size == 0 && err != nil:
		return tlog.Hash{}, nil, 0, err
	case err == nil && (size == 0 || size == head.Size):
		return head.Root, head, head.Size, nil
	case size > s.state.Position():
		return tlog.Hash{}, nil, 0, invalid(field, "the ledger does not have so many events yet")
	}
	root, err := tlog.TreeHash(int64(size), s.state)
	return root, nil, size, failed(err)
}

// leafHash is the hash of a message in the tree.
func leafHash(m *events.Message) tlog.Hash { return tlog.RecordHash(events.AppendLeaf(nil, m)) }
