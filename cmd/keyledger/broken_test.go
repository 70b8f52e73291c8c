package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"keyledger/client"
)

// TestBrokenStore lets writes to the ledger's file fail, by a limit on the size of files: the server refuses further
// commands, is not ready, and ends with a code of its own. Nothing that it acknowledged is lost.
func TestBrokenStore(t *testing.T) {
	data := t.TempDir()
	start(t, data).stop(t) // what is large at the first start only is written without the limit

	p := startWith(t, data, "bash", "-c", `ulimit -f 128 && exec keyledger "$@"`, "bash")
	notReady := make(chan error, 1)
	go func() { notReady <- untilNotReady(p.url) }()
	c := p.client(t, client.WithRetries(0))
	var acknowledged []client.Issued
	var refused *client.Error
	for refused == nil {
		issued, err := c.CreateKey(t.Context(), client.CreateKey{Name: fmt.Sprint("key ", len(acknowledged))})
		if err == nil {
			acknowledged = append(acknowledged, issued)
		} else if !errors.As(err, &refused) {
			t.Fatalf("after %d keys: %v\n%s", len(acknowledged), err, p.stderr)
		}
		if len(acknowledged) > 10_000 {
			t.Fatal("the limit has no effect")
		}
	}
	if refused.Status != http.StatusServiceUnavailable || refused.RetryAfter == 0 {
		t.Errorf("the create that could not be stored got %+v", refused)
	}
	if err := <-notReady; err != nil {
		t.Errorf("it was not seen to be not ready: %v", err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFrozen {
		t.Fatalf("it ended with %v, want exit code %d\n%s", err, exitFrozen, p.stderr)
	}

	again := start(t, data)
	c = again.client(t)
	for _, issued := range acknowledged {
		v, err := c.Verify(t.Context(), client.Verify{Token: issued.Token})
		if err != nil || !v.Valid {
			t.Fatalf("%s was acknowledged, now verify says %v, %v", issued.Name, v.Code, err)
		}
	}
	if _, err := c.CreateKey(t.Context(), client.CreateKey{Name: "afterwards"}); err != nil {
		t.Fatal(err)
	}
	again.stop(t)
}

// untilNotReady asks /readyz until it says no.
func untilNotReady(url string) error {
	for {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			return nil
		}
		pause()
	}
}

// TestNoRoom: while the disk is nearly full, commands are refused for the moment and tokens are verified. The server
// does not end, and what it has acknowledged is kept.
func TestNoRoom(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	issued, err := p.client(t).CreateKey(t.Context(), client.CreateKey{Name: "before"})
	if err != nil {
		t.Fatal(err)
	}
	p.stop(t)

	p = start(t, data, "--disk-reserve", "1000000000") // MiB, which no disk has
	c := p.client(t, client.WithRetries(0))
	for range 10 {
		_, err := c.CreateKey(t.Context(), client.CreateKey{Name: "refused"})
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable || refused.RetryAfter == 0 {
			t.Fatalf("a create without room got %v", err)
		}
		if v, err := c.Verify(t.Context(), client.Verify{Token: issued.Token}); err != nil || !v.Valid {
			t.Fatalf("verify without room: %v, %v", v.Code, err)
		}
	}
	p.stop(t)

	p = start(t, data)
	c = p.client(t)
	page, err := c.KeyPage(t.Context(), client.KeyQuery{NamePrefix: "refused"}, "", 0)
	if err != nil || len(page.Data) != 0 {
		t.Fatalf("%d refused creates were stored, %v", len(page.Data), err)
	}
	if _, err := c.CreateKey(t.Context(), client.CreateKey{Name: "after"}); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
}

// TestDamagedLedger: a server whose ledger has lost an event does not start, and says so with a code of its own.
func TestDamagedLedger(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	for range 100 {
		if _, err := p.client(t).CreateKey(t.Context(), client.CreateKey{Name: "key"}); err != nil {
			t.Fatal(err)
		}
	}
	p.stop(t)
	damage(t, data)
	s := serveHere(t, data)
	if code := <-s.code; code != exitDamaged {
		t.Fatalf("exit code %d, want %d\n%s", code, exitDamaged, s.stderr)
	}
}

// damage flips a byte in the middle of the ledger's file and lets its index be read anew, as after a crash.
func damage(t *testing.T, data string) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(data, "nats", "jetstream", "*", "streams", "LEDGER", "msgs", "1.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("the ledger's file: %v, %v", blocks, err)
	}
	content, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(blocks[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(blocks[0]), "index.db")); err != nil {
		t.Fatal(err)
	}
}
