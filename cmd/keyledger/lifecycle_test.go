package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"keyledger/client"
)

// syncBuffer is a buffer that one goroutine writes while another reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestStopAfterReady(t *testing.T) {
	data := t.TempDir()
	s := serveHere(t, data)
	if _, err := waitReady(data); err != nil {
		t.Fatal(err)
	}
	s.end(t, data, exitOK)
}

func TestStopBeforeReady(t *testing.T) {
	data := t.TempDir()
	s := serveHere(t, data)
	s.end(t, data, exitOK) // at whatever moment of the start the stop falls

	again := serveHere(t, data)
	if _, err := waitReady(data); err != nil {
		t.Fatalf("%v\n%s", err, again.stderr)
	}
	again.end(t, data, exitOK)
}

func TestStartTwiceOnOneFolder(t *testing.T) {
	data := t.TempDir()
	first := serveHere(t, data)
	if _, err := waitReady(data); err != nil {
		t.Fatal(err)
	}
	second := serveHere(t, data)
	if code := <-second.code; code != exitFailed {
		t.Fatalf("exit code %d, want %d", code, exitFailed)
	}
	if text := second.stderr.String(); !strings.Contains(text, data) || !strings.Contains(text, "in use") {
		t.Fatalf("the refusal does not name the folder: %s", text)
	}
	if _, err := waitReady(data); err != nil {
		t.Fatalf("the first was harmed: %v", err)
	}
	first.end(t, data, exitOK)
}

func TestTwoInstances(t *testing.T) {
	folders := []string{t.TempDir(), t.TempDir()}
	instances := []*serving{serveHere(t, folders[0]), serveHere(t, folders[1])}
	for i, data := range folders {
		url, err := waitReady(data)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(url, client.NewToken(rootToken))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateKey(t.Context(), client.CreateKey{Name: fmt.Sprint("only ", i)}); err != nil {
			t.Fatal(err)
		}
		page, err := c.KeyPage(t.Context(), client.KeyQuery{NamePrefix: "only "}, "", 0)
		if err != nil || len(page.Data) != 1 {
			t.Fatalf("instance %d has %d keys, %v", i, len(page.Data), err)
		}
	}
	for i, instance := range instances {
		instance.end(t, folders[i], exitOK)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	data := t.TempDir()
	s := serveHere(t, data, "--http", l.Addr().String())
	if code := <-s.code; code != exitFailed {
		t.Fatalf("exit code %d, want %d", code, exitFailed)
	}
	if !strings.Contains(s.stderr.String(), l.Addr().String()) {
		t.Fatalf("the refusal does not name the address: %s", s.stderr)
	}
}

// TestFailedSetupCleansUp makes one part of the start after the other fail: what was started before it is let go, so
// that the next start works.
func TestFailedSetupCleansUp(t *testing.T) {
	for _, broken := range []string{"keyledger.json", "server.secret", "views", "nats"} {
		t.Run(broken, func(t *testing.T) {
			data := t.TempDir()
			path := filepath.Join(data, broken)
			if broken == "views" || broken == "nats" { // a file where a folder must be
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			} else if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			s := serveHere(t, data)
			if code := <-s.code; code != exitFailed {
				t.Fatalf("exit code %d, want %d\n%s", code, exitFailed, s.stderr)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			again := serveHere(t, data)
			if _, err := waitReady(data); err != nil {
				t.Fatalf("%v\n%s", err, again.stderr)
			}
			again.end(t, data, exitOK)
		})
	}
}
