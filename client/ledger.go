package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// TileWidth is how many hashes or entries a full tile of the ledger has (C2SP tlog-tiles).
const TileWidth = 1 << tileHeight

const tileHeight = 8

// Checkpoint is the last signed head of the ledger, a signed note (C2SP tlog-checkpoint), and the source of its events. Who
// uses it verifies the signature.
func (c *Client) Checkpoint(ctx context.Context, options ...CallOption) (checkpoint []byte, source string, err error) {
	r := get("v1/ledger/checkpoint", nil)
	r.answered = func(h http.Header) { source = h.Get("Keyledger-Source") }
	var text plainText
	err = c.do(ctx, r, &text, options)
	return text, source, err
}

// VerifierKey is the key that the heads of the ledger are verified with, in the form of signed notes, as the server says.
func (c *Client) VerifierKey(ctx context.Context, options ...CallOption) (string, error) {
	var text plainText
	err := c.do(ctx, get("v1/ledger/key", nil), &text, options)
	return strings.TrimSpace(string(text)), err
}

// Entries gives the first width leaves below the tile n of level 0: those of the events from n*TileWidth+1 on. It needs the
// scope ledger:audit, and a key without an owner. The server reads them from the ledger.
func (c *Client) Entries(ctx context.Context, n uint64, width int, options ...CallOption) ([][]byte, error) {
	path := strings.TrimPrefix(tlog.Tile{H: tileHeight, N: int64(n), W: width}.Path(), "tile/8/0/")
	var bundle plainText
	if err := c.do(ctx, get("v1/ledger/tile/entries/"+path, nil), &bundle, options); err != nil {
		return nil, err
	}
	leaves := make([][]byte, 0, width)
	for rest := []byte(bundle); len(rest) > 0; {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return nil, fmt.Errorf("client: entries %s: cut short", path)
		}
		end := 2 + int(binary.BigEndian.Uint16(rest))
		leaves, rest = append(leaves, rest[2:end:end]), rest[end:]
	}
	if len(leaves) != width {
		return nil, fmt.Errorf("client: entries %s: %d of %d", path, len(leaves), width)
	}
	return leaves, nil
}

// readAhead is how many tiles Leaves asks for at a time.
const readAhead = 4

// Leaves iterates over the leaves of the events from one sequence to another, as Entries gives them. It ends at the first
// error.
func (c *Client) Leaves(ctx context.Context, from, to uint64, options ...CallOption) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type answer struct {
			leaves [][]byte
			err    error
		}
		var ahead []chan answer
		next := (from - 1) / TileWidth
		for at := from; at <= to; {
			for ; len(ahead) < readAhead && next*TileWidth < to; next++ {
				tile, width := next, int(min(TileWidth, to-next*TileWidth))
				asked := make(chan answer, 1)
				ahead = append(ahead, asked)
				go func() {
					leaves, err := c.Entries(ctx, tile, width, options...)
					asked <- answer{leaves, err}
				}()
			}
			a := <-ahead[0]
			ahead = ahead[1:]
			if a.err != nil {
				yield(nil, a.err)
				return
			}
			for _, leaf := range a.leaves[(at-1)%TileWidth:] {
				if !yield(leaf, nil) {
					return
				}
				at++
			}
		}
	}
}

// Hashes reads hashes of the tree over the ledger when it had that head: each is verified against it.
func (c *Client) Hashes(ctx context.Context, head tlog.Tree) tlog.HashReader {
	return tlog.TileHashReader(head, &tileReader{c, ctx})
}

// tileReader reads tiles for tlog.
type tileReader struct {
	client *Client
	ctx    context.Context
}

func (*tileReader) Height() int                     { return tileHeight }
func (*tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path, ok := strings.CutPrefix(tile.Path(), "tile/8/")
		if !ok {
			return nil, errors.New("client: a tile of another height")
		}
		var hashes plainText
		if err := r.client.do(r.ctx, get("v1/ledger/tile/"+path, nil), &hashes, nil); err != nil {
			return nil, err
		}
		data[i] = hashes
	}
	return data, nil
}
