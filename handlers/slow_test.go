package handlers_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// The limits of time of the servers of these tests: a fraction of the real ones.
const (
	briefly = 300 * time.Millisecond
	patient = 30 * time.Second // after which a test gives up
)

// serveBriefly serves as the program does, but with little time for everything.
func serveBriefly(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	server := handlers.NewHTTPServer(h, slog.New(slog.DiscardHandler), nil)
	for _, limit := range []*time.Duration{&server.ReadHeaderTimeout, &server.ReadTimeout, &server.WriteTimeout, &server.IdleTimeout} {
		if *limit == 0 || *limit > 5*time.Minute {
			t.Fatalf("a limit of time is %v", *limit)
		}
		*limit = briefly
	}
	return dialWire(t, handlerstest.Serve(t, server))
}

func dialWire(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(patient))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// trickle sends a byte every few milliseconds, for as long as the connection takes them.
func trickle(conn net.Conn) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := conn.Write([]byte("x")); err != nil {
			return
		}
	}
}

// ended reads to the end of a connection, which the server must make.
func ended(t *testing.T, conn net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the server keeps the connection")
	}
	return string(text)
}

// Whoever sends slowly, or does not read, is cut off.
func TestSlowClientsAreCutOff(t *testing.T) {
	post := "POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + rootToken + "\r\n"
	for name, begin := range map[string]string{
		"nothing":          "",
		"half a line":      "GET /v1/ke",
		"a header":         "GET /v1/keys HTTP/1.1\r\nHost: x\r\nX-Long: ",
		"a body":           post + "Content-Length: 60000\r\n\r\n",
		"a body in chunks": post + "Transfer-Encoding: chunked\r\n\r\nf000\r\n",
	} {
		for _, silent := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, silent %v", name, silent), func(t *testing.T) {
				w := newWorld(t)
				before := w.Events(t)
				conn := serveBriefly(t, w.Server)
				if _, err := io.WriteString(conn, begin); err != nil {
					t.Fatal(err)
				}
				if !silent && begin != "" {
					go trickle(conn)
				}
				text := ended(t, conn)
				if strings.Contains(text, "HTTP/1.1 2") || strings.Contains(text, "HTTP/1.1 5") || w.Events(t) != before {
					t.Errorf("it is answered with %q", text)
				}
			})
		}
	}
}

func TestClientsThatDoNotReadAreCutOff(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		w.key(ledger.Create{Name: strings.Repeat("n", 100)})
	}
	conn := serveBriefly(t, w.Server)
	request := []byte("GET /v1/keys?limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + rootToken + "\r\n\r\n")
	for {
		if _, err := conn.Write(request); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the server waits for its answers to be read")
		} else if err != nil {
			return // it was cut off
		}
	}
}

// A stream of events, which may be idle for long, is not ended by the limits of requests.
func TestStreamsHaveNoEnd(t *testing.T) {
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) { c.Stream.Heartbeat = briefly / 3 })
	conn := serveBriefly(t, w.Server)
	fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", rootToken)
	in := bufio.NewScanner(conn)
	for beats := 0; beats < 10; {
		if !in.Scan() {
			t.Fatalf("it ends after %d heartbeats: %v", beats, in.Err())
		}
		if strings.HasPrefix(in.Text(), ": heartbeat") {
			beats++
		}
	}
}
