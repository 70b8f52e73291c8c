package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/client"
	"keyledger/events"
)

// sharedSecret is that of servers whose ledgers are put in each other's place.
const sharedSecret = "a-secret-of-the-tests-that-is-long-enough"

// get reads what a server answers at a path.
func (p *process) get(t *testing.T, path string) []byte {
	t.Helper()
	a, err := http.Get(p.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v\n%s", path, a.StatusCode, err, text)
	}
	return text
}

// createKeys creates keys and waits until a head of the ledger has them.
func (p *process) createKeys(t *testing.T, n int) (head tlog.Tree) {
	t.Helper()
	var last client.Issued
	for i := range n {
		var err error
		if last, err = p.client(t).CreateKey(t.Context(), client.CreateKey{Name: fmt.Sprint("key ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause() {
		if head = p.head(t); head.N >= int64(last.Sequence) {
			return head
		}
	}
	t.Fatalf("the last head has %d events, not %d", head.N, last.Sequence)
	return head
}

// head reads and verifies the last head.
func (p *process) head(t *testing.T) tlog.Tree {
	t.Helper()
	verifier, err := note.NewVerifier(strings.TrimSpace(string(p.get(t, "/v1/ledger/key"))))
	if err != nil {
		t.Fatal(err)
	}
	p.says(t, "verifier    "+verifier.Name()+"+")
	n, err := note.Open(p.get(t, "/v1/ledger/checkpoint"), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	var origin, hash string
	var tree tlog.Tree
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &origin, &tree.N, &hash); err != nil || origin != "keyledger/main" {
		t.Fatalf("%q: %v", n.Text, err)
	}
	if tree.Hash, err = tlog.ParseHash(hash); err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestHeadsOutliveKills: what was signed before a kill is the beginning of what is signed after it.
func TestHeadsOutliveKills(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	key := string(p.get(t, "/v1/ledger/key"))
	for range 3 {
		before := p.createKeys(t, 5)
		p.kill(t)
		p = start(t, data)
		if again := string(p.get(t, "/v1/ledger/key")); again != key {
			t.Fatalf("the key was %s and is %s", key, again)
		}
		after := p.createKeys(t, 5)
		var proof struct {
			Hashes tlog.TreeProof `json:"hashes"`
		}
		path := fmt.Sprintf("/v1/ledger/proof/consistency?from=%d&to=%d", before.N, after.N)
		if err := json.Unmarshal(p.get(t, path), &proof); err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(proof.Hashes, after.N, after.Hash, before.N, before.Hash); err != nil {
			t.Errorf("%d and %d events: %v", before.N, after.N, err)
		}
	}
	p.stop(t)
}

// refused holds that a server does not start, for a damaged ledger, and says why.
func refused(t *testing.T, data string, words ...string) {
	t.Helper()
	s := serveHere(t, data, "--secret", sharedSecret)
	if code := <-s.code; code != exitDamaged {
		t.Fatalf("exit code %d, want %d\n%s", code, exitDamaged, s.stderr)
	}
	for _, word := range words {
		if !strings.Contains(s.stderr.String(), word) {
			t.Errorf("it does not say %q:\n%s", word, s.stderr)
		}
	}
}

// replace puts a copy of a folder in the place of another one, and gives what brings that back.
func replace(t *testing.T, folder, with string) (restore func()) {
	t.Helper()
	aside := folder + ".aside"
	if err := os.Rename(folder, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(folder, os.DirFS(with)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.RemoveAll(folder); err == nil {
			err = os.Rename(aside, folder)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func remove(t *testing.T, folder string) {
	t.Helper()
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
}

// TestAnotherLedgerIsRefused puts another ledger, and an older copy of its own, where a server has its own.
func TestAnotherLedgerIsRefused(t *testing.T) {
	data, other, older := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "nats")
	for _, folder := range []string{data, other} {
		p := start(t, folder, "--secret", sharedSecret)
		p.createKeys(t, 10)
		p.stop(t)
	}
	nats := filepath.Join(data, "nats")
	if err := os.CopyFS(older, os.DirFS(nats)); err != nil {
		t.Fatal(err)
	}
	p := start(t, data, "--secret", sharedSecret)
	last := p.createKeys(t, 10)
	p.stop(t)
	p = start(t, other, "--secret", sharedSecret)
	p.createKeys(t, 20)
	p.stop(t)

	views := filepath.Join(data, viewsFolder)
	keep := filepath.Join(t.TempDir(), viewsFolder)
	if err := os.CopyFS(keep, os.DirFS(views)); err != nil {
		t.Fatal(err)
	}
	restore := replace(t, nats, filepath.Join(other, "nats"))
	refused(t, data, "event 1 is another one than was seen before")
	remove(t, views)
	refused(t, data, fmt.Sprintf("the root of its first %d events is", last.N), "cannot be told")
	restore()

	remove(t, views)
	restore = replace(t, nats, older)
	refused(t, data, fmt.Sprintf("a head of %d events was signed: those from %d on are gone", last.N, last.N-9))
	restore()

	remove(t, views)
	p = start(t, data, "--secret", sharedSecret)
	if again := p.head(t); again.N < last.N {
		t.Errorf("the head has %d events, and had %d", again.N, last.N)
	}
	p.stop(t)
}

// TestARewrittenEventIsRefused changes one event in the stream, which NATS has no objection to.
func TestARewrittenEventIsRefused(t *testing.T) {
	data := t.TempDir()
	p := start(t, data, "--secret", sharedSecret)
	p.createKeys(t, 20)
	p.stop(t)
	const sequence = 9
	rewritten(t, data, false, func(all []events.Message) []events.Message {
		all[sequence-1].Actor = "someone"
		return all
	})
	refused(t, data, fmt.Sprintf("event %d is another one than was seen before", sequence))
}
