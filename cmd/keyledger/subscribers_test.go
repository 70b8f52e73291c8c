package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyledger/client"
)

// startSubscribed runs serve with a NATS client port, and gives its address and a key that may subscribe.
func startSubscribed(t *testing.T) (p *process, address string, k client.Issued) {
	t.Helper()
	data := t.TempDir()
	p = start(t, data, "--nats-listen", "127.0.0.1:0")
	content, err := os.ReadFile(filepath.Join(data, "nats.addr"))
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(string(content))
	p.says(t, "nats://"+address)
	k, err = p.client(t).CreateKey(t.Context(), client.CreateKey{Name: "subscriber", WorkspaceID: "acme", Scopes: []string{"ledger:events:read"}})
	if err != nil {
		t.Fatal(err)
	}
	return p, address, k
}

// TestSubscriberRevoked: who subscribes is disconnected within a second of the answer to the revoke, and the address is
// given up with the server.
func TestSubscriberRevoked(t *testing.T) {
	p, address, k := startSubscribed(t)
	closed := make(chan struct{})
	nc, err := nats.Connect("nats://"+address, nats.Token(k.Token.Reveal()), nats.MaxReconnects(0),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := p.client(t).RevokeKey(t.Context(), k.ID, ""); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	select {
	case <-closed:
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	case <-time.After(patience):
		t.Fatal("it is still connected")
	}
	if strings.Contains(p.stderr.String(), k.Token.Reveal()) {
		t.Errorf("the token is in the log:\n%s", p.stderr)
	}
	p.stop(t)
}

// TestReadmeSubscribe runs the README's subscribers: each prints the events that there are, and goes on waiting.
func TestReadmeSubscribe(t *testing.T) {
	blocks := readmeBlocks(t)
	for language, command := range map[string]func(t *testing.T, file string) *exec.Cmd{
		"go": func(_ *testing.T, file string) *exec.Cmd { return exec.Command("go", "run", file) },
		"js": func(t *testing.T, file string) *exec.Cmd {
			modules, err := filepath.Abs("../../ledger/jetstream/testdata/nats-client/node_modules")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(modules); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("CI must install the NATS client for JavaScript: %v", err)
				}
				t.Skip("NOT TESTED: the README's subscriber in JavaScript, because its client is not installed " +
					"(npm ci --prefix ledger/jetstream/testdata/nats-client)")
			}
			if err := os.Symlink(modules, filepath.Join(filepath.Dir(file), "node_modules")); err != nil {
				t.Fatal(err)
			}
			return exec.Command("node", file)
		},
	} {
		t.Run(language, func(t *testing.T) {
			i := slices.IndexFunc(blocks, func(b block) bool {
				return b.language == language && strings.Contains(b.text, "localhost:4222") && strings.Contains(b.text, "import ")
			})
			if i < 0 {
				t.Fatalf("the README has no %s block that subscribes", language)
			}
			_, address, k := startSubscribed(t)
			file := filepath.Join(t.TempDir(), "subscriber."+map[string]string{"go": "go", "js": "mjs"}[language])
			text := strings.ReplaceAll(blocks[i].text, "localhost:4222", address)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%d key.created ledger.acme.~.~.%s", k.Sequence, k.ID)
			if got := firstLine(t, command(t, file), "KEY="+k.ID, "TOKEN="+k.Token.Reveal()); got != want {
				t.Errorf("it prints %q, not %q", got, want)
			}
		})
	}
}

// firstLine runs a program until it has printed a line.
func firstLine(t *testing.T, program *exec.Cmd, env ...string) string {
	t.Helper()
	program.Env = append(os.Environ(), env...)
	stderr := new(syncBuffer)
	program.Stderr = stderr
	program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run does not pass signals on: signal both
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { syscall.Kill(-program.Process.Pid, syscall.SIGKILL) }
	late := time.AfterFunc(5*time.Minute, kill) // go run builds first
	defer late.Stop()
	lines := bufio.NewScanner(out)
	lines.Scan()
	kill()
	program.Wait() // its error is the kill
	if lines.Text() == "" {
		t.Errorf("it prints nothing:\n%s", stderr)
	}
	return lines.Text()
}
