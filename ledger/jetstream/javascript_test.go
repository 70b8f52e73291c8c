package jetstream_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// jsClient is the folder of the NATS client for JavaScript. It fails or skips the test when that is not installed.
func jsClient(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("testdata/nats-client")
	if err != nil {
		t.Fatal(err)
	}
	_, err = exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(folder, "node_modules"))
	}
	if err == nil {
		return folder
	}
	const missing = "the NATS client for JavaScript, because it is not installed (npm ci --prefix ledger/jetstream/testdata/nats-client)"
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI must install %s: %v", missing, err)
	}
	t.Skip("NOT TESTED: " + missing)
	return ""
}

// TestSubscribersJS: a second implementation of NATS clients reads what is its own, and is disconnected when its key is
// revoked.
func TestSubscribersJS(t *testing.T) {
	folder := jsClient(t)
	h := newHouse(t)
	owner := ledger.Owner{Workspace: "ac.me"}
	k, _, third := h.key(owner, ledger.ScopeEvents), h.key(ledger.Owner{Workspace: "umbrella"}), h.key(owner)
	if _, err := h.js.CreateConsumer(t.Context(), jetstream.LedgerStream, natsjs.ConsumerConfig{Durable: "projection"}); err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "read.mjs", h.url, k.Key.ID.String(), k.Token.Reveal(),
		"ledger.ac=2Eme.>", "2", "ledger.umbrella.>", "projection")
	node.Dir = folder
	stderr := new(syncBuffer)
	node.Stderr = stderr
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		got = append(got, lines.Text())
		if lines.Text() == "waiting" {
			call := h.root
			if _, err := h.Revoke(t.Context(), &call, k.Key.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := node.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	want := []string{"refused: a foreign filter", "refused: a foreign consumer", "refused: a stream"}
	for i, subject := range subjects(k, third) {
		want = append(want, fmt.Sprintf("event: %s %d key.created", subject, []uint64{k.Key.Sequence, third.Key.Sequence}[i]))
	}
	if want = append(want, "waiting", "disconnected"); !slices.Equal(got, want) {
		t.Errorf("it said\n%q\nnot\n%q\n%s", got, want, stderr)
	}
}
