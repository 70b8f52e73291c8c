package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyledger/client"
	"keyledger/cmd/keyledger/clustertest"
)

// verifiersAlone stops all nodes but the one that verifiers in other processes read from. It goes on sending them heartbeats,
// if their consumers are there; but what it cannot know it must not have them take for known.
func verifiersAlone(t *testing.T, c *clustertest.Cluster) {
	ctx := t.Context()
	alone := c.Leader(t)
	key, verifiers := verifiersOf(t, alone, 6) // the server that has a consumer is chosen at random
	for _, n := range c.Others(alone) {
		n.Pause(t)
	}
	paused := time.Now()
	for i, v := range verifiers {
		clustertest.Until(t, "a verifier to refuse", func() bool {
			d, err := v.Verify(key.Token.Reveal())
			if took := time.Since(paused); err == nil && took > client.DefaultMaxStaleness+time.Second {
				t.Fatalf("verifier %d says %s, %v after the majority was lost", i, d.Code, took)
			}
			return errors.Is(err, client.ErrStale)
		})
	}
	for _, n := range c.Others(alone) {
		n.Resume(t)
	}
	for _, n := range c.Nodes {
		n.AwaitReady(t)
	}
	if _, err := patient(t, alone).RevokeKey(ctx, key.ID, ""); err != nil {
		t.Fatal(err)
	}
	for _, v := range verifiers {
		clustertest.Until(t, "a verifier to decide again", func() bool {
			d, err := v.Verify(key.Token.Reveal())
			return err == nil && d.Code == client.KeyRevoked
		})
	}
}

// verifiersOf gives some verifiers that read from a node, and a key that they find valid.
func verifiersOf(t *testing.T, n *clustertest.Node, count int) (key client.Issued, verifiers []*client.Verifier) {
	t.Helper()
	ctx := t.Context()
	on := patient(t, n)
	reader, err := on.CreateKey(ctx, client.CreateKey{Name: "verifier", Scopes: []string{"ledger:events:read", "ledger:keys:verify"}})
	if err != nil {
		t.Fatal(err)
	}
	if key, err = on.CreateKey(ctx, client.CreateKey{Name: "verified"}); err != nil {
		t.Fatal(err)
	}
	address, err := os.ReadFile(filepath.Join(n.Data, "nats.addr"))
	if err != nil {
		t.Fatal(err)
	}
	reads, err := client.New(n.URL, reader.Token, client.WithNATS("nats://"+strings.TrimSpace(string(address))))
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		v, err := client.NewVerifier(reads, client.VerifierOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { v.Close() })
		if err := v.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		clustertest.Until(t, "a verifier to decide", func() bool {
			d, err := v.Verify(key.Token.Reveal())
			return err == nil && d.Valid()
		})
		verifiers = append(verifiers, v)
	}
	return key, verifiers
}
