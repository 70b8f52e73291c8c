package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

func ledgerScenarios() []scenario {
	signed := func(w *world) { w.sign() }
	none := with("Authorization", "-")
	asText := with("Authorization", "-", "Accept", "text/plain;q=0.9, application/json")
	const text, bytes = "Content-Type: text/plain; charset=utf-8", "Content-Type: application/octet-stream"
	const inclusion, consistency = "/v1/ledger/proof/inclusion", "/v1/ledger/proof/consistency"
	return []scenario{
		{name: "checkpoint", path: "/v1/ledger/checkpoint", header: none, before: signed, status: 200, want: []string{text, "Cache-Control: no-store", "Keyledger-Source: /keyledger/test"}},
		{name: "checkpoint before any", path: "/v1/ledger/checkpoint", header: none, status: 503, want: []string{"Retry-After: 1"}},
		{name: "checkpoint of when", path: "/v1/ledger/checkpoint?at=1", header: none, status: 400},
		{name: "checkpoint that witnesses may have cosigned", path: "/v1/ledger/checkpoint?witnesses=0", header: none, before: signed, status: 200, want: []string{text}},
		{name: "checkpoint that no witness has cosigned", path: "/v1/ledger/checkpoint?witnesses=1", header: none, before: signed, status: 404},
		{name: "checkpoint of no number of witnesses", path: "/v1/ledger/checkpoint?witnesses=all", header: none, status: 400, want: []string{"field=witnesses"}},
		{name: "key", path: "/v1/ledger/key", header: none, status: 200, want: []string{text}},
		{name: "key of whom", path: "/v1/ledger/key?name=a", header: none, status: 400},
		{name: "tile", path: "/v1/ledger/tile/0/000.p/5", header: none, status: 200, want: []string{bytes, "Cache-Control: no-store"}},
		{name: "tile of leaves not there yet", path: "/v1/ledger/tile/0/000", header: none, status: 404, want: []string{"Cache-Control: no-store"}},
		{name: "tile not there yet", path: "/v1/ledger/tile/1/x001/000.p/1", header: none, status: 404},
		{name: "tile far beyond", path: "/v1/ledger/tile/7/x999/x999/x999/x999/x999/999", header: none, status: 404},
		{name: "tile with a parameter", path: "/v1/ledger/tile/0/000.p/5?a=1", header: none, status: 400},
		{name: "entries", path: "/v1/ledger/tile/entries/000.p/5", status: 200, want: []string{bytes, "Cache-Control: no-store"}},
		{name: "entries not there yet", path: "/v1/ledger/tile/entries/001", status: 404},
		{name: "entries for an owner", path: "/v1/ledger/tile/entries/000.p/5", header: bearer("bound"), status: 403},
		{name: "inclusion", path: inclusion + "?sequence={active.sequence}", header: none, before: signed, status: 200,
			want: []string{"sequence={active.sequence}"}},
		{name: "inclusion in a size", path: inclusion + "?sequence=2&size=3", header: none, status: 200,
			want: []string{"sequence=2", "leaf_index=1", "tree_size=3", "checkpoint=<nil>"}},
		{name: "inclusion as text", path: inclusion + "?sequence=2", header: asText, before: signed, status: 200, want: []string{text}},
		{name: "inclusion as text in a size", path: inclusion + "?sequence=2&size=3", header: asText, before: signed, status: 400,
			want: []string{"field=size"}},
		{name: "inclusion of what", path: inclusion, header: none, status: 400, want: []string{"field=sequence"}},
		{name: "inclusion of no number", path: inclusion + "?sequence=a", header: none, status: 400, want: []string{"field=sequence"}},
		{name: "inclusion in what is smaller", path: inclusion + "?sequence=3&size=2", header: none, status: 400, want: []string{"field=size"}},
		{name: "inclusion in what is not there yet", path: inclusion + "?sequence=3&size=1000", header: none, status: 400, want: []string{"field=size"}},
		{name: "inclusion of event 0", path: inclusion + "?sequence=0", header: none, status: 404},
		{name: "inclusion of what is not there yet", path: inclusion + "?sequence=1000", header: none, status: 404},
		{name: "inclusion before any head", path: inclusion + "?sequence=1", header: none, status: 503, want: []string{"Retry-After: 1"}},
		{name: "consistency", path: consistency + "?from=3", header: none, before: signed, status: 200, want: []string{"from_size=3"}},
		{name: "consistency of two sizes", path: consistency + "?from=3&to=5", header: none, status: 200,
			want: []string{"from_size=3", "to_size=5", "checkpoint=<nil>"}},
		{name: "consistency with itself", path: consistency + "?from=3&to=3", header: none, status: 200, want: []string{"hashes=[]"}},
		{name: "consistency of what", path: consistency, header: none, before: signed, status: 400, want: []string{"field=from"}},
		{name: "consistency with nothing", path: consistency + "?from=0&to=3", header: none, status: 400, want: []string{"field=from"}},
		{name: "consistency backwards", path: consistency + "?from=4&to=3", header: none, status: 400, want: []string{"field=from"}},
		{name: "consistency with what is not there yet", path: consistency + "?from=4&to=1000", header: none, status: 400, want: []string{"field=to"}},
		{name: "consistency with the largest number", path: consistency + "?from=4&to=18446744073709551615", header: none, status: 400},
		{name: "consistency before any head", path: consistency + "?from=1", header: none, status: 503},
	}
}

// sign signs a head of what the views show.
func (w *world) sign() {
	w.t.Helper()
	if err := w.Heads.Sign(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// A proof as text is verified with what is in it, the verifier key and the hash of the leaf, and nothing else.
func TestTlogProofIsVerifiedOffline(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		w.key(ledger.Create{Name: fmt.Sprint("key ", i)})
	}
	w.sign()
	verifier, err := note.NewVerifier(strings.TrimSpace(string(w.do("GET", "/v1/ledger/key", "", nil).text)))
	if err != nil || verifier.Name() != handlerstest.Origin {
		t.Fatal(verifier, err)
	}
	for sequence := uint64(1); sequence <= w.Events(t); sequence++ {
		path := fmt.Sprint("/v1/ledger/proof/inclusion?sequence=", sequence)
		var proof struct {
			Leaf   tlog.Hash   `json:"leaf_hash"`
			Hashes []tlog.Hash `json:"hashes"`
		}
		if err := json.Unmarshal(w.do("GET", path, "", nil).text, &proof); err != nil {
			t.Fatal(err)
		}
		text := string(w.do("GET", path, "", with("Accept", "text/plain")).text)
		head, checkpoint, _ := strings.Cut(text, "\n\n")
		lines := strings.Split(head, "\n")
		if lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != fmt.Sprint("index ", sequence-1) {
			t.Fatalf("event %d: %q", sequence, lines)
		}
		var hashes tlog.RecordProof
		for i, line := range lines[2:] {
			h, err := tlog.ParseHash(line)
			if err != nil || h != proof.Hashes[i] {
				t.Fatalf("event %d: %q, %v", sequence, line, err)
			}
			hashes = append(hashes, h)
		}
		n, err := note.Open([]byte(checkpoint), note.VerifierList(verifier))
		if err != nil {
			t.Fatalf("event %d: %v\n%s", sequence, err, checkpoint)
		}
		size, root := checkpointOf(t, n.Text)
		if err := tlog.CheckRecord(hashes, size, root, int64(sequence-1), proof.Leaf); err != nil {
			t.Errorf("event %d: %v", sequence, err)
		}
		if err := tlog.CheckRecord(hashes, size, root, int64(sequence-1), tlog.Hash{}); err == nil {
			t.Errorf("event %d: the proof holds for another leaf", sequence)
		}
	}
}

// checkpointOf reads the text of a checkpoint.
func checkpointOf(t *testing.T, text string) (size int64, root tlog.Hash) {
	t.Helper()
	var origin, hash string
	if _, err := fmt.Sscanf(text, "%s\n%d\n%s\n", &origin, &size, &hash); err != nil || origin != handlerstest.Origin {
		t.Fatalf("%q: %v", text, err)
	}
	root, err := tlog.ParseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	return size, root
}

// Entries are held against the tree: what the log gives and was not seen is not served.
func TestEntriesThatDivergeAreNotServed(t *testing.T) {
	other := newWorld(t)
	w := newWorld(t)
	server := ledger.New(ledger.Config{Log: other.Log, State: w.State, Now: w.Now})
	if _, err := server.Entries(t.Context(), &w.Call.Principal, 0, 2); ledger.CodeOf(err) != ledger.CodeInternal {
		t.Errorf("they are served: %v", err)
	}
	if _, err := w.Service.Entries(t.Context(), &w.Call.Principal, 0, 2); err != nil {
		t.Error(err)
	}
}

// An event that came after the last head is not proven before the next one.
func TestProofWaitsForAHead(t *testing.T) {
	w := newWorld(t)
	w.sign()
	k := w.key(ledger.Create{})
	path := fmt.Sprint("/v1/ledger/proof/inclusion?sequence=", k.Key.Sequence)
	hasStatus(t, w.do("GET", path, "", nil), http.StatusServiceUnavailable)
	w.sign()
	hasStatus(t, w.do("GET", path, "", nil), http.StatusOK)
}
