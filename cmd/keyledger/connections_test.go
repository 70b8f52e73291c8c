package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"keyledger/ledger/ledgertest"
)

// TestTenThousandIdleConnections: a server with ten thousand idle connections goes on serving, and they cost it little.
func TestTenThousandIdleConnections(t *testing.T) {
	const most = 40 // KiB of each
	idle := 10_000
	if files := int(min(openFiles(), 1<<20)); files < idle+2*reservedFiles {
		idle = max(100, files-2*reservedFiles)
		t.Logf("NOT TESTED: ten thousand idle connections, but %d, because only %d open files are allowed (ulimit -n)", idle, files)
	}
	p := start(t, t.TempDir())
	before, err := residentMemory(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for i := range idle {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		if err := ask(conn); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if got := status(t, p.url+"/readyz"); got != http.StatusOK {
		t.Errorf("/readyz: %d", got)
	}
	after, err := residentMemory(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	each := (after - before) * 1024 / float64(idle)
	t.Logf("%.0f MiB more, %.1f KiB for each", after-before, each)
	if each > most && !ledgertest.Raced {
		t.Errorf("an idle connection costs %.1f KiB, want %d at most", each, most)
	}
}

// ask sends a request and reads the answer; the connection stays open.
func ask(conn net.Conn) error {
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func TestBoundConnections(t *testing.T) {
	for _, c := range []struct {
		most  int
		files uint64
		want  int
	}{
		{16384, 1 << 20, 16384}, {16384, unlimited, 16384}, {16384, 16384, 15360}, {16384, 2048, 1024}, {16384, 256, 128}, {100, 4096, 100}, {10, 1, 1},
	} {
		if got := boundConnections(c.most, c.files); got != c.want {
			t.Errorf("of %d, with %d files: %d, want %d", c.most, c.files, got, c.want)
		}
	}
}
