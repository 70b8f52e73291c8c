package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cosignatures "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/persistence/inmemory"
	theirs "github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

// aWitness is a witness of another make that trusts whichever key it is told to by the first answer on keys.
func aWitness(t *testing.T, ledgerKey func() string) (flag string, verifier note.Verifier) {
	t.Helper()
	secret, key, err := note.GenerateKey(nil, "witness.example/w")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cosignatures.NewSignerForCosignatureV1(secret)
	if err != nil {
		t.Fatal(err)
	}
	w, err := theirs.New(t.Context(), theirs.Opts{
		Persistence: inmemory.New(), Signers: []note.Signer{signer},
		VerifierForLog: func(context.Context, string) (note.Verifier, bool, error) {
			v, err := note.NewVerifier(ledgerKey())
			return v, err == nil, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", theirs.NewHTTPHandler(w).AddCheckpoint)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return key + "=" + server.URL, signer.Verifier()
}

// A server has its heads cosigned, and gives the cosigned head also after a restart while its witness is down.
func TestServeWithAWitness(t *testing.T) {
	data := t.TempDir()
	key := make(chan string, 1)
	flag, verifier := aWitness(t, func() string { k := <-key; key <- k; return k })
	p := start(t, data, "--secret", sharedSecret, "--witness", flag)
	ledgerKey := strings.TrimSpace(string(p.get(t, "/v1/ledger/key")))
	key <- ledgerKey
	own, err := note.NewVerifier(ledgerKey)
	if err != nil {
		t.Fatal(err)
	}
	text := p.cosigned(t)
	n, err := note.Open(text, note.VerifierList(own, verifier))
	if err != nil || len(n.Sigs) != 2 {
		t.Fatalf("%v\n%s", err, text)
	}
	p.stop(t)

	name, _, _ := strings.Cut(flag, "=http")
	p = start(t, data, "--secret", sharedSecret, "--witness", name+"=http://127.0.0.1:1")
	if again := p.cosigned(t); string(again) != string(text) {
		t.Errorf("it was\n%s\nand is\n%s", text, again)
	}
	p.stop(t)

	if err := os.WriteFile(filepath.Join(data, cosignedFile), []byte("another\n1\nAAAA\n\n— another AAAAAAA=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveHere(t, data, "--secret", sharedSecret, "--witness", flag)
	if code := <-s.code; code != exitDamaged || !strings.Contains(s.stderr.String(), cosignedFile) {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
}

// cosigned waits for a head that a witness has cosigned.
func (p *process) cosigned(t *testing.T) []byte {
	t.Helper()
	const path = "/v1/ledger/checkpoint?witnesses=1"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause() {
		if status(t, p.url+path) == http.StatusOK {
			return p.get(t, path)
		}
	}
	t.Fatalf("no head is cosigned\n%s", p.stderr)
	return nil
}
