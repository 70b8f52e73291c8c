package client_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"keyledger/client"
)

// verifierScopes are what the token of a verifier needs.
func verifierScopes() []string { return []string{"ledger:events:read", "ledger:keys:verify"} }

// reader gives a client over NATS with a new key that is bound to a workspace.
func reader(t *testing.T, workspace string) (*client.Client, client.Issued) {
	t.Helper()
	key, err := open(t, "").CreateKey(t.Context(), client.CreateKey{Name: "verifier", WorkspaceID: workspace, Scopes: verifierScopes()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(os.Getenv("KEYLEDGER_SERVER"), key.Token, client.WithNATS(os.Getenv("KEYLEDGER_NATS")))
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// verifier starts a verifier and waits until it is ready.
func verifier(t *testing.T, c *client.Client, options client.VerifierOptions) *client.Verifier {
	t.Helper()
	if options.Trouble == nil {
		options.Trouble = func(err error) { t.Log("trouble:", err) }
	}
	v, err := client.NewVerifier(c, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return v
}

// reaches waits until a verifier has applied a sequence.
func reaches(t *testing.T, v *client.Verifier, sequence uint64) {
	t.Helper()
	for deadline := time.Now().Add(patience); v.Position() < sequence; <-time.After(time.Millisecond) {
		if err := v.Err(); err != nil || time.Now().After(deadline) {
			t.Fatalf("it is at %d, not at %d: %v", v.Position(), sequence, err)
		}
	}
}

func TestVerifierFollows(t *testing.T) {
	root := open(t, "")
	key, err := root.CreateKey(t.Context(), client.CreateKey{Name: "k", WorkspaceID: "v1", Scopes: []string{"deploy"}})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := root.CreateKey(t.Context(), client.CreateKey{Name: "k", WorkspaceID: "other"})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := reader(t, "v1")
	v := verifier(t, c, client.VerifierOptions{})
	decides := func(token client.Token, want client.Want, code client.Decision) {
		t.Helper()
		got, err := v.VerifyFor(token.Reveal(), &want)
		if err != nil || got.Code != code {
			t.Fatalf("got %v %v, want %v", got.Code, err, code)
		}
	}
	decides(key.Token, client.Want{Scopes: []string{"deploy"}, WorkspaceID: "v1"}, client.Valid)
	decides(key.Token, client.Want{Scopes: []string{"admin"}}, client.InsufficientScope)
	decides(foreign.Token, client.Want{}, client.NotFound)
	last, err := root.RevokeKey(t.Context(), key.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	reaches(t, v, last.Sequence)
	decides(key.Token, client.Want{}, client.KeyRevoked)
}

// TestVerifierRevoked: a verifier whose own token is revoked decides nothing any more.
func TestVerifierRevoked(t *testing.T) {
	root := open(t, "")
	c, own := reader(t, "v2")
	v := verifier(t, c, client.VerifierOptions{MaxStaleness: time.Hour})
	if _, err := root.RevokeKey(t.Context(), own.ID, ""); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); v.Err() == nil; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it goes on")
		}
	}
	_, err := v.Verify(own.Token.Reveal())
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != client.CodeUnauthenticated {
		t.Fatalf("got %v", err)
	}
}
