package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

func TestResponseReader(t *testing.T) {
	large := strings.Repeat("x", 200_000)
	responses := []struct {
		raw    string
		status int
		body   string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"HTTP/1.1 201 Created\r\ncontent-length:0\r\nX: y\r\n\r\n", 201, ""},
		{"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", 204, ""},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", 200, "hello world"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + large, 200, large},
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", 503, "no"},
	}
	var stream strings.Builder
	for _, r := range responses {
		stream.WriteString(r.raw)
	}
	for name, in := range map[string]io.Reader{
		"at once":     strings.NewReader(stream.String()),
		"in halves":   iotest.HalfReader(strings.NewReader(stream.String())),
		"bit by bit":  iotest.OneByteReader(strings.NewReader(stream.String())),
		"with an end": iotest.DataErrReader(strings.NewReader(stream.String())),
	} {
		t.Run(name, func(t *testing.T) {
			reader := newResponseReader(in)
			for _, want := range responses {
				status, body, err := reader.read()
				if err != nil || status != want.status || string(body) != want.body {
					t.Fatalf("got %d, %d bytes, %v; want %d, %d bytes", status, len(body), err, want.status, len(want.body))
				}
			}
			if _, _, err := reader.read(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last response: %v, want EOF", err)
			}
		})
	}
}

func TestResponseReaderRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"no HTTP":           "SSH-2.0-OpenSSH\r\n\r\n",
		"no status":         "HTTP/1.1 \r\n\r\n",
		"no number":         "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
		"no length":         "HTTP/1.1 200 OK\r\n\r\nhello",
		"length is no size": "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
		"cut off":           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
		"cut off in chunk":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"trailer":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if status, body, err := newResponseReader(strings.NewReader(raw)).read(); err == nil {
				t.Errorf("got %d and %q, want an error", status, body)
			}
		})
	}
}

// TestLoad: what is counted as good and as an error adds up to what the server was asked.
func TestLoad(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case n%10 == 0:
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case n%10 == 1:
			io.WriteString(w, "bad")
		default:
			io.WriteString(w, "good")
		}
	}))
	defer server.Close()
	const requests = 1000
	var sent atomic.Int64
	l := load{
		addr:   server.Listener.Addr().String(),
		conns:  8,
		period: time.Hour,
		status: http.StatusOK,
		requests: func(int) func([]byte) ([]byte, bool) {
			request := httpRequest(http.MethodPost, "/", "token", []byte("{}"))
			return func([]byte) ([]byte, bool) { return request, sent.Add(1) <= requests }
		},
		inspect: func(_ int, body []byte) error {
			if string(body) != "good" {
				return errors.New("bad body")
			}
			return nil
		},
	}
	s, err := l.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if asked.Load() != requests || s.errors != requests/5 || s.cause == nil {
		t.Errorf("asked %d, errors %d, cause %v", asked.Load(), s.errors, s.cause)
	}
	if s.rate <= 0 || s.p50 <= 0 || s.p99 < s.p50 {
		t.Errorf("rate %v, p50 %v, p99 %v", s.rate, s.p50, s.p99)
	}
}

func TestQuantile(t *testing.T) {
	values := make([]time.Duration, 100)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	for q, want := range map[float64]time.Duration{0.5: 50, 0.99: 99, 1: 100, 0.001: 1} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v of 1 to 100 is %d, want %d", q, got, want)
		}
	}
	if got := quantile(values[:1], 0.99); got != 1 {
		t.Errorf("quantile of one value is %d", got)
	}
}
