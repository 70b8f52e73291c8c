package handlers_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"keyledger/handlers"
)

// bounded is a server of four connections.
type bounded struct {
	*world
	address string
	tls     *tls.Config // of clients; nil: none
}

func newBounded(t *testing.T, encrypted bool) *bounded {
	t.Helper()
	b := &bounded{world: newWorld(t)}
	var config *tls.Config
	if encrypted {
		certificate := httptest.NewUnstartedServer(nil)
		certificate.StartTLS()
		t.Cleanup(certificate.Close)
		config, b.tls = &tls.Config{Certificates: certificate.TLS.Certificates}, &tls.Config{InsecureSkipVerify: true}
	}
	server := handlers.NewHTTPServer(b.Server, slog.New(slog.DiscardHandler), config)
	connections, err := handlers.NewConnections(4, b.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener = connections.Bound(server, listener)
	b.address = listener.Addr().String()
	done := make(chan error, 1)
	go func() {
		if encrypted {
			done <- server.ServeTLS(listener, "", "")
		} else {
			done <- server.Serve(listener)
		}
	}()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return b
}

// wire is one connection to a server.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func (b *bounded) connect() *wire {
	b.t.Helper()
	conn := dialWire(b.t, b.address)
	if b.tls != nil {
		conn = tls.Client(conn, b.tls)
	}
	return &wire{conn, bufio.NewReader(conn)}
}

// ask sends a request and reads the header of its answer.
func (w *wire) ask(path, accept string) (*http.Response, error) {
	if _, err := fmt.Fprintf(w, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, accept, rootToken); err != nil {
		return nil, err
	}
	return http.ReadResponse(w.in, nil)
}

// idle makes a request, after which the connection is idle.
func (w *wire) idle(t *testing.T) {
	t.Helper()
	response, err := w.ask("/healthz", "*/*")
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
}

// Beyond the bound an idle connection is closed for each new one.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", encrypted), func(t *testing.T) {
			b := newBounded(t, encrypted)
			gone := make(chan error, 20)
			for range cap(gone) {
				w := b.connect()
				w.idle(t)
				go func() {
					_, err := w.in.ReadByte()
					gone <- err
				}()
			}
			for range cap(gone) - 4 {
				if err := <-gone; err == nil {
					t.Error("an idle connection was sent something")
				}
			}
			counts(t, b.world, map[string]float64{"keyledger_http_connections_closed_total": 16, "keyledger_http_connections_refused_total": 0})
		})
	}
}

// When all connections are at work, a new one is told to come back, and is served when there is a place.
func TestBusyConnectionsAreKept(t *testing.T) {
	b := newBounded(t, false)
	var streams []*wire
	for range 4 {
		w := b.connect()
		response, err := w.ask("/v1/events", "text/event-stream")
		if err != nil || response.StatusCode != 200 {
			t.Fatal(response, err)
		}
		streams = append(streams, w)
	}
	refused := b.connect()
	response, err := http.ReadResponse(refused.in, nil)
	if err != nil || response.StatusCode != 503 || response.Header.Get("Retry-After") != "1" {
		t.Fatal(response, err)
	}
	counts(t, b.world, map[string]float64{"keyledger_http_connections_closed_total": 0, "keyledger_http_connections_refused_total": 1})
	streams[0].Close()
	for deadline := time.Now().Add(patient); ; { // until the server has seen that it is closed
		response, err := b.connect().ask("/healthz", "*/*")
		if err == nil && response.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a place that is free again is not given to anyone")
		}
	}
	for _, w := range streams[1:] { // they still are
		if _, err := w.in.ReadString('\n'); err != nil {
			t.Error(err)
		}
	}
}
