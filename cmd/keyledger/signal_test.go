package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"keyledger/client"
)

// halfRequest sends a create but for the end of its body, and waits until the server has begun to read it. It gives the
// connection and the rest of the body.
func halfRequest(t *testing.T, p *process, name string) (conn net.Conn, rest string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	body := fmt.Sprintf(`{"name": %q}`, name)
	_, err = fmt.Fprintf(conn, "POST /v1/keys HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", rootToken, len(body))
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReaderSize(conn, 16).ReadString('\n') // the server asks for the body: the handler runs
	if err != nil || !strings.Contains(line, "100") {
		t.Fatalf("got %q, %v", line, err)
	}
	return conn, body
}

// refusing waits until the server takes no connections any more.
func refusing(p *process) {
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			conn.Close()
		}
		pause()
	}
}

// TestStopFinishesRequests: a request that runs when the server is told to stop is answered, and what it did is kept.
func TestStopFinishesRequests(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	conn, rest := halfRequest(t, p, "in flight")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	refusing(p)
	if _, err := io.WriteString(conn, rest); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(conn)
	for line := ""; !strings.HasPrefix(line, "HTTP/"); { // past the end of "100 Continue"
		peek, err := answer.Peek(5)
		if err != nil {
			t.Fatal(err)
		}
		if line = string(peek); line != "HTTP/" {
			if _, err := answer.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("the request was answered with %s", resp.Status)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr)
	}
	again := start(t, data)
	page, err := again.client(t).KeyPage(t.Context(), client.KeyQuery{NamePrefix: "in flight"}, "", 0)
	if err != nil || len(page.Data) != 1 {
		t.Fatalf("there are %d such keys, %v", len(page.Data), err)
	}
	again.stop(t)
}

// TestSecondSignalEndsAtOnce: who does not want to wait for the running requests sends a second signal.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := start(t, t.TempDir())
	halfRequest(t, p, "never ends")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	refusing(p) // the first signal is being obeyed
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Fatalf("it ended with %v, want the signal", err)
	}
}

// TestStopDoesNotWaitForEver: requests that do not end in time are cut off, and that is said.
func TestStopDoesNotWaitForEver(t *testing.T) {
	data := t.TempDir()
	p := start(t, data, "--shutdown-timeout", "100ms")
	halfRequest(t, p, "never ends")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(p.stderr.String(), "finish requests") {
		t.Fatalf("it ended with %v\n%s", err, p.stderr)
	}
	start(t, data).stop(t)
}
