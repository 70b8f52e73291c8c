package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"keyledger/client"
	"keyledger/cmd/keyledger/clustertest"
)

// TestMigrate copies the ledger of one server to a cluster of nodes: every event has its sequence there, every token its
// answer, and the head that was signed before is that of the beginning of the new tree.
func TestMigrate(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(data+"/server.secret", []byte(clustertest.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, data, "--first-used-rate", "0")
	on := p.client(t)
	ctx := t.Context()
	var issued []client.Issued
	for i := range 50 {
		name := fmt.Sprint("key-", i)
		one, err := on.CreateKey(ctx, client.CreateKey{Name: name, WorkspaceID: "acme"}, client.IdempotencyKey(name))
		if err != nil {
			t.Fatal(err)
		}
		issued = append(issued, one)
	}
	if _, err := on.RevokeKey(ctx, issued[0].ID, "lost"); err != nil {
		t.Fatal(err)
	}
	before := allEvents(t, on)
	p.stop(t)
	head, err := os.ReadFile(data + "/ledger.head")
	if err != nil {
		t.Fatal(err)
	}

	c := clustertest.New(t, clustertest.Options{Args: []string{"--first-used-rate", "0"}})
	for _, n := range c.Nodes[1:] {
		n.Run(t, "migrate")
	}
	c.Nodes[0].Run(t, "migrate", "--from", data)
	if code := c.Nodes[0].Wait(t); code != exitOK {
		t.Fatalf("migrate: exit code %d\n%s", code, c.Nodes[0].Log())
	}
	if kept, err := os.ReadFile(c.Nodes[0].Data + "/ledger.head"); err != nil || !bytes.Equal(kept, head) {
		t.Errorf("the last head was not taken along: %v", err)
	}
	for _, n := range c.Nodes[1:] {
		n.Stop(t)
	}
	for _, n := range c.Nodes {
		n.Start(t)
	}
	for _, n := range c.Nodes {
		n.AwaitReady(t)
		there := patient(t, n)
		if after := allEvents(t, there); !slices.Equal(before, after[:min(len(after), len(before))]) {
			t.Fatalf("%s has other events:\n%s\n%s", n.Name, before, after)
		}
		for i, key := range issued {
			v, err := there.Verify(ctx, client.Verify{Token: key.Token})
			if err != nil || v.Valid != (i > 0) || v.Key.Sequence < key.Sequence {
				t.Fatalf("%s: key %d: %v, %v", n.Name, i, v.Code, err)
			}
		}
	}
	again, err := patient(t, c.Nodes[2]).CreateKey(ctx, client.CreateKey{Name: "key-1", WorkspaceID: "acme"}, client.IdempotencyKey("key-1"))
	if err != nil || again.ID != issued[1].ID {
		t.Errorf("a repeat of a request of before gives %s, not %s: %v", again.ID, issued[1].ID, err)
	}

	old := serveHere(t, data)
	if code := <-old.code; code != exitFailed || !strings.Contains(old.stderr.String(), "copied to a cluster") {
		t.Errorf("the old folder is served again: exit code %d\n%s", code, old.stderr)
	}
}

// allEvents are the events of a ledger, with their sequences.
func allEvents(t *testing.T, c *client.Client) (list []string) {
	t.Helper()
	for e, err := range c.Events(t.Context(), client.EventQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(line))
	}
	return list
}

// TestMigrateRefuses: what is no ledger, one with another secret, and a target that holds another ledger.
func TestMigrateRefuses(t *testing.T) {
	secret := []string{"--secret", clustertest.Secret}
	alone := t.TempDir()
	s := serveHere(t, alone, secret...)
	if _, err := waitReady(alone); err != nil {
		t.Fatal(err)
	}
	s.end(t, alone, exitOK)
	url := externalNATS(t)
	target := start(t, t.TempDir(), append(secret, "--nats", url, "--drain", "1ms", "--first-used-rate", "0")...)
	last := allEvents(t, target.client(t))
	mark, err := os.ReadFile(alone + "/keyledger.json")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		code int
	}{
		"is not that of this ledger": {[]string{"--from", alone, "--nats", externalNATS(t), "--secret", "another-secret-than-the-other-nodes-have"}, exitFailed},
		"holds another ledger":       {append([]string{"--from", alone, "--nats", url}, secret...), exitFailed},
		"not a data folder":          {append([]string{"--from", t.TempDir(), "--nats", url}, secret...), exitUsage},
		"where the ledger goes to":   {append([]string{"--from", alone}, secret...), exitUsage},
	}
	for _, says := range slices.Sorted(maps.Keys(tests)) {
		test := tests[says]
		stderr := new(syncBuffer)
		code := run(t.Context(), append([]string{"migrate", "--data", t.TempDir()}, test.args...), nil, os.Stdout, stderr)
		if code != test.code || !strings.Contains(stderr.String(), says) {
			t.Errorf("%q: exit code %d, want %d\n%s", says, code, test.code, stderr)
		}
	}
	if after := allEvents(t, target.client(t)); len(after) != len(last) {
		t.Errorf("the target has %d events, it had %d", len(after), len(last))
	}
	if now, err := os.ReadFile(alone + "/keyledger.json"); err != nil || !bytes.Equal(now, mark) {
		t.Errorf("the folder is marked %s: %v", now, err)
	}
}
