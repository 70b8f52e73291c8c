package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyledger/client"
)

// process is a keyledger serve in a process of its own.
type process struct {
	cmd    *exec.Cmd
	url    string
	stderr *syncBuffer
}

// start runs serve on a data folder and waits until it is ready.
func start(t *testing.T, data string, args ...string) *process {
	t.Helper()
	return startCommand(t, data, exec.Command("keyledger", serveArgs(data, args)...))
}

func serveArgs(data string, args []string) []string {
	return append([]string{"serve", "--data", data, "--http", "127.0.0.1:0"}, args...)
}

// startWith runs serve with the help of another program, whose arguments it is given after.
func startWith(t *testing.T, data, program string, args ...string) *process {
	t.Helper()
	return startCommand(t, data, exec.Command(program, append(args, serveArgs(data, nil)...)...))
}

func startCommand(t *testing.T, data string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, stderr: new(syncBuffer)}
	p.cmd.Env = append(os.Environ(), "KEYLEDGER_ROOT_TOKEN="+rootToken)
	p.cmd.Stderr = p.stderr
	if err := os.Remove(filepath.Join(data, "http.addr")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err) // a killed process leaves it behind
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	url, err := waitReady(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.stderr)
	}
	p.url = url
	return p
}

// rootToken is the root token of the tests' servers.
const rootToken = "kl-test-root-token-0123456789abcdef"

// client gives a client of the process that acts as root.
func (p *process) client(t *testing.T, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(p.url, client.NewToken(rootToken), options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// says waits until the process has said something to its user: what it says comes after it is ready.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(p.stderr.String(), text); pause() {
		if time.Now().After(deadline) {
			t.Fatalf("it does not say %q:\n%s", text, p.stderr)
		}
	}
}

// kill ends the process as a crash does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait() // its error is the kill
}

// stop ends the process as an operator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr)
	}
}

// serving is a serve within this process: run in a goroutine.
type serving struct {
	stop   context.CancelFunc
	stderr *syncBuffer
	code   chan int
}

// serveHere runs serve in this process. It need not become ready.
func serveHere(t *testing.T, data string, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &serving{stop: cancel, stderr: new(syncBuffer), code: make(chan int, 1)}
	env := []string{"KEYLEDGER_ROOT_TOKEN=" + rootToken}
	go func() { s.code <- run(ctx, serveArgs(data, args), env, os.Stdout, s.stderr) }()
	return s
}

// end stops it and checks the exit code and that nothing is left.
func (s *serving) end(t *testing.T, data string, want int) {
	t.Helper()
	s.stop()
	if code := <-s.code; code != want {
		t.Fatalf("exit code %d, want %d\n%s", code, want, s.stderr)
	}
	if exists(filepath.Join(data, "http.addr")) {
		t.Error("http.addr was left behind")
	}
	if strings.Contains(s.stderr.String(), "panic") {
		t.Errorf("it panicked:\n%s", s.stderr)
	}
}

// awaitAddress waits until a server listens, ready or not.
func awaitAddress(t *testing.T, data string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause() {
		if address, err := os.ReadFile(filepath.Join(data, "http.addr")); err == nil {
			return "http://" + strings.TrimSpace(string(address))
		}
	}
	t.Fatal("the server does not listen")
	return ""
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
