package handlers_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	tessera "github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// grown is a server over JetStream whose ledger takes three tiles, and its signed head.
func grown(t *testing.T) (*handlerstest.World, note.Verifier) {
	t.Helper()
	w := handlerstest.New(t, handlerstest.Options{JetStream: true})
	var creating sync.WaitGroup
	for range 20 {
		creating.Go(func() {
			for i := range 30 {
				w.Key(t, ledger.Create{Name: fmt.Sprint("key ", i), Owner: ledger.Owner{Workspace: "acme"}})
			}
		})
	}
	creating.Wait()
	if err := w.Heads.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	key := w.Do(t, handlerstest.Request{Method: "GET", Target: "/v1/ledger/key"})
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key.Body)))
	if err != nil {
		t.Fatal(err)
	}
	return w, verifier
}

// tiles reads tiles over HTTP for x/mod's tlog, which verifies them against a tree head.
type tiles struct {
	t    *testing.T
	w    *handlerstest.World
	read map[string]bool
}

func (r *tiles) Height() int                     { return 8 }
func (r *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (r *tiles) ReadTiles(list []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range list {
		path := strings.TrimPrefix(tile.Path(), "tile/8/")
		a := r.w.Do(r.t, handlerstest.Request{Method: "GET", Target: "/v1/ledger/tile/" + path})
		if a.Status != http.StatusOK {
			return nil, fmt.Errorf("tile %s: %d", path, a.Status)
		}
		full := strings.Contains(a.Header.Get("Cache-Control"), "immutable")
		if full != (tile.W == 256) {
			r.t.Errorf("tile %s is cached: %v", path, full)
		}
		r.read[path] = true
		data = append(data, a.Body)
	}
	return data, nil
}

// TestTlogReadsTheTiles lets x/mod's own client prove every kind of thing from the tiles that are served.
func TestTlogReadsTheTiles(t *testing.T) {
	w, verifier := grown(t)
	checkpoint := w.Do(t, handlerstest.Request{Method: "GET", Target: "/v1/ledger/checkpoint"})
	n, err := note.Open(checkpoint.Body, note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	size, root := checkpointOf(t, n.Text)
	if size < 600 || uint64(size) != w.Events(t) {
		t.Fatalf("the head has %d events", size)
	}
	served := &tiles{t: t, w: w, read: map[string]bool{}}
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, served)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		sequence, older := 1+rng.Uint64N(uint64(size)), 1+rng.Int64N(size)
		index := int64(sequence - 1)
		messages, err := w.Log.Read(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		leaf := tlog.RecordHash(events.AppendLeaf(nil, &messages[0]))
		proof, err := tlog.ProveRecord(size, index, reader)
		if err == nil {
			err = tlog.CheckRecord(proof, size, root, index, leaf)
		}
		if err != nil {
			t.Errorf("event %d: %v", sequence, err)
		}
		before, err := tlog.TreeHash(older, reader)
		if err != nil {
			t.Fatal(err)
		}
		consistency, err := tlog.ProveTree(size, older, reader)
		if err == nil {
			err = tlog.CheckTree(consistency, size, root, older, before)
		}
		if err != nil {
			t.Errorf("tree of %d: %v", older, err)
		}
		sameProofs(t, w, sequence, older, proof, consistency)
	}
	if !served.read["0/000"] || !served.read["0/002.p/"+fmt.Sprint(size-512)] || !served.read["1/000.p/2"] {
		t.Errorf("the tiles %v were read", served.read)
	}
}

// sameProofs holds that the server gives the proofs that a client makes from its tiles.
func sameProofs(t *testing.T, w *handlerstest.World, sequence uint64, older int64, record tlog.RecordProof, tree tlog.TreeProof) {
	t.Helper()
	for path, want := range map[string][]tlog.Hash{
		fmt.Sprint("inclusion?sequence=", sequence): record, fmt.Sprint("consistency?from=", older): tree,
	} {
		a := w.Do(t, handlerstest.Request{Method: "GET", Target: "/v1/ledger/proof/" + path})
		var got []tlog.Hash
		list, _ := a.Field("hashes").([]any)
		for _, text := range list {
			h, err := tlog.ParseHash(fmt.Sprint(text))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, h)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s, want %v", path, a.Body, want)
		}
	}
}

// TestTesseraChecksTheLedger lets tessera's fsck read the whole ledger as any tlog-tiles client may, with a token for the
// entries, and recompute every tile and the root.
func TestTesseraChecksTheLedger(t *testing.T) {
	w, verifier := grown(t)
	check := func(verifier note.Verifier, spoil func(*http.Response)) error {
		address, err := url.Parse(w.URL + "/v1/ledger/")
		if err != nil {
			t.Fatal(err)
		}
		fetcher, err := tessera.NewHTTPFetcher(address, &http.Client{Transport: spoiled(spoil)})
		if err != nil {
			t.Fatal(err)
		}
		fetcher.SetAuthorizationHeader("Bearer " + w.Root)
		return fsck.New(handlerstest.Origin, verifier, fetcher, leafHashes, fsck.Opts{N: 2}).Check(t.Context())
	}
	if err := check(verifier, func(*http.Response) {}); err != nil {
		t.Fatal(err)
	}
	// and it would have found a changed byte
	for _, path := range []string{"/tile/entries/001", "/tile/0/000", "/tile/1/000.p/2"} {
		if err := check(verifier, flip(path)); err == nil {
			t.Errorf("a byte of %s is changed and nobody sees it", path)
		}
	}
}

type spoiled func(*http.Response)

func (s spoiled) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		s(a)
	}
	return a, err
}

// flip changes a bit of what is answered at a path.
func flip(path string) func(*http.Response) {
	return func(a *http.Response) {
		if strings.HasSuffix(a.Request.URL.Path, path) {
			a.Body = struct {
				io.Reader
				io.Closer
			}{&flipping{a.Body}, a.Body}
		}
	}
}

type flipping struct{ io.Reader }

func (f *flipping) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if n > 0 {
		p[n-1] ^= 1
	}
	return n, err
}

// leafHashes are the hashes of the leaves in a bundle of entries.
func leafHashes(bundle []byte) (hashes [][]byte, err error) {
	for len(bundle) > 0 {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return nil, io.ErrUnexpectedEOF
		}
		leaf := bundle[2 : 2+binary.BigEndian.Uint16(bundle)]
		hash := sha256.Sum256(append([]byte{0}, leaf...))
		hashes = append(hashes, hash[:])
		bundle = bundle[2+len(leaf):]
	}
	return hashes, nil
}
