package handlers

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"keyledger/ledger"
)

// ledgerRoutes serve the tree over the ledger as C2SP tlog-tiles has it, under /v1/ledger, and proofs made from it. All but
// entries are public.
type ledgerRoutes struct {
	service *ledger.Service
	source  string // of events
}

// checkpoint is GET /v1/ledger/checkpoint: the last signed head (C2SP tlog-checkpoint), or the last one that so many
// witnesses have cosigned. The header tells what the source of events is, for who makes their exchange form from entries.
func (l *ledgerRoutes) checkpoint(x *Exchange) error {
	witnesses, err := x.Query.witnesses()
	if err != nil {
		return err
	}
	head, err := l.service.CosignedHead(witnesses)
	if err != nil {
		return err
	}
	x.Saw(head.Size)
	x.Header()["Keyledger-Source"] = []string{l.source}
	x.writeText(head.Note)
	return nil
}

// witnesses is the parameter of this name: how many must have cosigned.
func (p Parameters) witnesses() (int, error) {
	v, ok := p["witnesses"]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return 0, invalid("witnesses", "it must be a whole number from 0 to 65535")
	}
	return int(n), nil
}

// key is GET /v1/ledger/key: what heads are verified with.
func (l *ledgerRoutes) key(x *Exchange) error {
	key, err := l.service.VerifierKey()
	if err != nil {
		return err
	}
	x.writeText([]byte(key + "\n"))
	return nil
}

// tile is GET /v1/ledger/tile/{level}/{index}: hashes.
func (l *ledgerRoutes) tile(x *Exchange) error {
	t, err := parseTile(x.Var("level"), x.Var("index"))
	if err != nil {
		return err
	}
	data, err := l.service.Tile(t.L, uint64(t.N), t.W)
	if err != nil {
		return err
	}
	x.writeTile(data, t, "public")
	return nil
}

// entries is GET /v1/ledger/tile/entries/{index}: the leaves below a tile of level 0.
func (l *ledgerRoutes) entries(x *Exchange) error {
	t, err := parseTile("0", x.Var("index"))
	if err != nil {
		return err
	}
	data, err := l.service.Entries(x.Context(), &x.Principal, uint64(t.N), t.W)
	if err != nil {
		return err
	}
	x.writeTile(data, t, "private")
	return nil
}

// parseTile reads the path of a tile: its level, and its index in groups of three digits, with the width if it is partial.
// What is not spelled as it should be is CodeNotFound.
func parseTile(level, index string) (tlog.Tile, error) {
	t, err := tlog.ParseTilePath("tile/8/" + level + "/" + index)
	if err != nil || t.L < 0 {
		return t, &ledger.Error{Code: ledger.CodeNotFound, Detail: "no such tile"}
	}
	return t, nil
}

// writeTile answers with the bytes of a tile, which never change.
func (x *Exchange) writeTile(data []byte, t tlog.Tile, whose string) {
	x.Body = append(x.Body, data...)
	x.Header()["Content-Type"] = []string{"application/octet-stream"}
	if t.W == ledger.TileWidth {
		x.Header()["Cache-Control"] = []string{whose + ", max-age=31536000, immutable"}
	}
}

func (x *Exchange) writeText(text []byte) {
	x.Body = append(x.Body, text...)
	x.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
}

// inclusion is GET /v1/ledger/proof/inclusion: JSON, or a C2SP tlog-proof when Accept names text/plain.
func (l *ledgerRoutes) inclusion(x *Exchange) error {
	asText := acceptsText(x.Request.Header["Accept"])
	if asText {
		if err := x.Query.none("a tlog-proof is for the size of the checkpoint in it: leave it out", "size"); err != nil {
			return err
		}
	}
	if x.Query["sequence"] == "" {
		return invalid("sequence", "the sequence of an event is needed")
	}
	sequence, err := x.Query.sequence("sequence", 0)
	if err != nil {
		return err
	}
	size, err := x.Query.sequence("size", 0)
	if err != nil {
		return err
	}
	p, err := l.service.Inclusion(sequence, size)
	if err != nil {
		return err
	}
	x.Saw(p.Size)
	if asText {
		x.writeText(tlogProof(&p))
		return nil
	}
	return x.WriteJSON(http.StatusOK, &inclusionProof{p.Sequence, p.Sequence - 1, p.Leaf, p.Size, p.Root, listOf(p.Hashes), noteOf(p.Signed)})
}

// tlogProof is a proof that can be verified offline, with the verifier key alone.
func tlogProof(p *ledger.Inclusion) []byte {
	b := append([]byte("c2sp.org/tlog-proof@v1\nindex "), strconv.FormatUint(p.Sequence-1, 10)...)
	b = append(b, '\n')
	for _, h := range p.Hashes {
		b = append(append(b, h.String()...), '\n')
	}
	return append(append(b, '\n'), p.Signed.Note...)
}

// acceptsText tells that the first type that Accept names is text/plain.
func acceptsText(accept []string) bool {
	if len(accept) == 0 {
		return false
	}
	first, _, _ := strings.Cut(accept[0], ",")
	media, _, _ := strings.Cut(first, ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/plain")
}

type inclusionProof struct {
	Sequence   uint64      `json:"sequence"`
	Index      uint64      `json:"leaf_index"`
	Leaf       tlog.Hash   `json:"leaf_hash"`
	Size       uint64      `json:"tree_size"`
	Root       tlog.Hash   `json:"root_hash"`
	Hashes     []tlog.Hash `json:"hashes"`
	Checkpoint *string     `json:"checkpoint"`
}

type consistencyProof struct {
	From       uint64      `json:"from_size"`
	To         uint64      `json:"to_size"`
	FromRoot   tlog.Hash   `json:"from_root_hash"`
	ToRoot     tlog.Hash   `json:"to_root_hash"`
	Hashes     []tlog.Hash `json:"hashes"`
	Checkpoint *string     `json:"checkpoint"`
}

// consistency is GET /v1/ledger/proof/consistency.
func (l *ledgerRoutes) consistency(x *Exchange) error {
	if x.Query["from"] == "" {
		return invalid("from", "the size of the earlier tree is needed")
	}
	from, err := x.Query.sequence("from", 0)
	if err != nil {
		return err
	}
	to, err := x.Query.sequence("to", 0)
	if err != nil {
		return err
	}
	p, err := l.service.Consistency(from, to)
	if err != nil {
		return err
	}
	x.Saw(p.To)
	return x.WriteJSON(http.StatusOK, &consistencyProof{p.From, p.To, p.FromRoot, p.ToRoot, listOf(p.Hashes), noteOf(p.Signed)})
}

// listOf is a list that is never null.
func listOf(hashes []tlog.Hash) []tlog.Hash { return slices.Concat([]tlog.Hash{}, hashes) }

func noteOf(head *ledger.SignedHead) *string {
	if head == nil {
		return nil
	}
	text := string(head.Note)
	return &text
}
