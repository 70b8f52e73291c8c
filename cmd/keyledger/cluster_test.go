package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"keyledger/client"
)

// externalNATS runs a NATS server with JetStream, as an operator would beside keyledger.
func externalNATS(t *testing.T) (url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS does not start")
	}
	return s.ClientURL()
}

// TestTwoNodes: what one node of a ledger did, the other one answers, once it is asked for a view that has it.
func TestTwoNodes(t *testing.T) {
	external := []string{"--nats", externalNATS(t), "--secret", "one-secret-for-all-nodes-of-a-ledger"}
	folders := []string{t.TempDir(), t.TempDir()}
	a, b := start(t, folders[0], external...), start(t, folders[1], external...)
	on, other := a.client(t), b.client(t)
	ctx := t.Context()

	issued, err := on.CreateKey(ctx, client.CreateKey{Name: "shared"}, client.IdempotencyKey("once"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := other.Verify(ctx, client.Verify{Token: issued.Token}, client.MinSequence(issued.Sequence))
	if err != nil || !v.Valid {
		t.Fatalf("verify on the other node: %v, %v", v.Code, err)
	}
	again, err := other.CreateKey(ctx, client.CreateKey{Name: "shared"}, client.IdempotencyKey("once"))
	if err != nil || again.ID != issued.ID || again.Token.Reveal() != issued.Token.Reveal() {
		t.Fatalf("the same create on the other node gave %s, not %s: %v", again.ID, issued.ID, err)
	}
	revoked, err := other.RevokeKey(ctx, issued.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	v, err = on.Verify(ctx, client.Verify{Token: issued.Token}, client.MinSequence(revoked.Sequence))
	if err != nil || v.Code != client.KeyRevoked {
		t.Fatalf("verify of what the other node revoked: %v, %v", v.Code, err)
	}
	if !strings.Contains(a.stderr.String()+b.stderr.String(), "sync_interval") {
		t.Error("nobody said that sync_interval cannot be checked")
	}
	a.stop(t)
	b.stop(t)

	stranger := serveHere(t, t.TempDir(), append(external[:2:2], "--secret", "another-secret-than-the-other-nodes-have")...)
	if code := <-stranger.code; code != exitFailed || !strings.Contains(stranger.stderr.String(), "--secret") {
		t.Fatalf("a node with another secret: exit code %d\n%s", code, stranger.stderr)
	}
	embedded := serveHere(t, folders[0])
	if code := <-embedded.code; code != exitFailed || !strings.Contains(embedded.stderr.String(), "external") {
		t.Fatalf("the folder of an external ledger with a NATS of its own: exit code %d\n%s", code, embedded.stderr)
	}
}

// TestNATSIsNotThere: a node waits for its NATS, not ready, says so, and stops when it is told to.
func TestNATSIsNotThere(t *testing.T) {
	data := t.TempDir()
	s := serveHere(t, data, "--nats", "nats://127.0.0.1:1", "--secret", "one-secret-for-all-nodes-of-a-ledger")
	url := awaitAddress(t, data)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/v1/keys": 503, "/metrics": 503} {
		if got := status(t, url+path); got != want {
			t.Errorf("%s answers %d, want %d", path, got, want)
		}
	}
	for !strings.Contains(s.stderr.String(), "still starting") {
		pause()
	}
	s.end(t, data, exitOK)
}

// TestNoticesOfTwoNodes: a key that is used on both nodes, and one that expires, are announced, each thing once.
func TestNoticesOfTwoNodes(t *testing.T) {
	external := []string{
		"--nats", externalNATS(t), "--secret", "one-secret-for-all-nodes-of-a-ledger", "--expiry-notices", "1s",
	}
	a, b := start(t, t.TempDir(), external...), start(t, t.TempDir(), external...)
	on, other := a.client(t), b.client(t)
	ctx := t.Context()
	used, err := on.CreateKey(ctx, client.CreateKey{Name: "used"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client.Client{on, other} {
		v, err := c.Verify(ctx, client.Verify{Token: used.Token}, client.MinSequence(used.Sequence))
		if err != nil || !v.Valid {
			t.Fatalf("verify: %v, %v", v.Code, err)
		}
	}
	short, err := on.CreateKey(ctx, client.CreateKey{Name: "short", ExpiresAt: time.Now().Add(2 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	awaitHistory(t, other, used.ID, "key.created key.first_used")
	awaitHistory(t, other, short.ID, "key.created key.expiring key.expired")
	awaitHistory(t, on, used.ID, "key.created key.first_used")
	name := "renamed"
	if _, err := on.UpdateKey(ctx, used.ID, client.UpdateKey{Name: &name}, client.IfSequence(used.Sequence)); err != nil {
		t.Errorf("a change of what was only used since: %v", err)
	}
	key, err := on.Key(ctx, short.ID)
	if err != nil || key.Status != client.Expired || key.Sequence != short.Sequence {
		t.Errorf("the key is %s at %d, created at %d: %v", key.Status, key.Sequence, short.Sequence, err)
	}
}

// awaitHistory waits until a key has as many events as want names, and fails unless they are these.
func awaitHistory(t *testing.T, c *client.Client, id, want string) {
	t.Helper()
	var types []string
	for deadline := time.Now().Add(patience); len(types) < len(strings.Fields(want)); {
		types = nil
		var last uint64
		for e, err := range c.KeyEvents(t.Context(), id, 0) {
			if err != nil {
				t.Fatal(err)
			}
			types, last = append(types, strings.TrimPrefix(e.Type, "keyledger.")), e.Sequence
		}
		if time.Now().After(deadline) {
			break
		}
		_, _ = c.Key(t.Context(), id, client.MinSequence(last+1)) // the server waits for what comes next
	}
	if got := strings.Join(types, " "); got != want {
		t.Errorf("the history is %s, want %s", got, want)
	}
}
