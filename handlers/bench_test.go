package handlers_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"keyledger/handlers"
	"keyledger/ledger"
)

// The benchmarks send b.N requests over 64 connections to a real server over a real stack with everything on, and as
// many to a gorilla/mux handler that does nothing, and report the throughput as a ratio of that.

const benchConnections = 64

func BenchmarkVerify(b *testing.B) {
	s, token := benchStack(b, 1)
	body := fmt.Sprintf(`{"token":"%s"}`, token)
	compare(b, strings.TrimPrefix(s.URL, "http://"), rawRequest("POST", "/v1/keys/verify", body), rawRequest("POST", "/noop", body))
}

func BenchmarkAuthorize(b *testing.B) {
	s, _ := benchStack(b, 1)
	compare(b, strings.TrimPrefix(s.URL, "http://"), rawRequest("GET", "/v1/authorize", ""), rawRequest("GET", "/noop", ""))
}

func BenchmarkList50(b *testing.B) {
	s, _ := benchStack(b, 1000)
	compare(b, strings.TrimPrefix(s.URL, "http://"), rawRequest("GET", "/v1/workspaces/acme/keys?limit=50", ""), rawRequest("GET", "/noop", ""))
}

func BenchmarkGet(b *testing.B) {
	s, _ := benchStack(b, 1)
	id := s.ask("GET", "/v1/keys?limit=1", "", nil, 200)["data"].([]any)[0].(map[string]any)["id"].(string)
	compare(b, strings.TrimPrefix(s.URL, "http://"), rawRequest("GET", "/v1/keys/"+id, ""), rawRequest("GET", "/noop", ""))
}

// BenchmarkGetAsOf reads a key with 20 events as of a time among them, one request after the other.
func BenchmarkGetAsOf(b *testing.B) {
	s, _ := benchStack(b, 1000)
	key := s.ask("GET", "/v1/keys?limit=1", "", nil, 200)["data"].([]any)[0].(map[string]any)
	path := "/v1/keys/" + key["id"].(string)
	var at string
	for i := range 19 {
		changed := s.ask("PATCH", path, fmt.Sprintf(`{"name":"key %d"}`, i), nil, 200)
		if i == 9 {
			at = changed["updated_at"].(string)
		}
	}
	for b.Loop() {
		s.ask("GET", path+"?at="+at, "", nil, 200)
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/read")
}

func BenchmarkCreate(b *testing.B) {
	s, _ := benchStack(b, 1)
	body := `{"name":"deploy bot","workspace_id":"acme","scopes":["deploy","read"]}`
	compare(b, strings.TrimPrefix(s.URL, "http://"), rawRequest("POST", "/v1/keys", body), rawRequest("POST", "/noop", body))
}

// benchStack is a stack with keys, whose access lines go through the buffered writer to nowhere. It returns the token of
// one of them.
func benchStack(b *testing.B, keys int) (*stack, string) {
	b.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { null.Close() })
	s := newStack(b, slog.New(slog.NewTextHandler(handlers.NewLogWriter(null, time.Second), nil)))
	var token string
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			issued, err := s.Service.Create(b.Context(), &ledger.Call{Principal: ledger.Principal{Scopes: "ledger:*"}},
				&ledger.Create{Name: fmt.Sprintf("key %d", i), Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{"deploy", "read"}})
			if err != nil {
				b.Error(err)
			} else if i == 0 {
				token = issued.Token.Reveal()
			}
		})
	}
	all.Wait()
	return s, token
}

func rawRequest(method, path, body string) string {
	head := method + " " + path + " HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAuthorization: Bearer " + rootToken + "\r\n"
	if body != "" {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return head + "\r\n" + body
}

// compare measures the subject and the handler that does nothing.
func compare(b *testing.B, address, subject, nothing string) {
	router := mux.NewRouter()
	router.HandleFunc("/noop", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	noop := serve(b, router, nil)
	warm := max(b.N/10, benchConnections)
	drive(b, address, subject, warm)
	drive(b, noop, nothing, warm)
	var ours, theirs time.Duration
	b.ResetTimer()
	const rounds = 8 // taking turns, because other load on the machine comes and goes
	for range rounds {
		b.StartTimer()
		ours += drive(b, address, subject, b.N/rounds+benchConnections)
		b.StopTimer()
		theirs += drive(b, noop, nothing, b.N/rounds+benchConnections)
	}
	b.ReportMetric(float64(b.N+rounds*benchConnections)/ours.Seconds(), "req/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "×noop")
}

// drive sends n requests and returns how long they took.
func drive(b *testing.B, address, request string, n int) time.Duration {
	b.Helper()
	connections := make([]net.Conn, benchConnections)
	for i := range connections {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		connections[i] = conn
	}
	began := time.Now()
	var all sync.WaitGroup
	for i, conn := range connections {
		all.Go(func() {
			in := bufio.NewReaderSize(conn, 64<<10)
			for range (n + i) / benchConnections {
				if _, err := io.WriteString(conn, request); err != nil {
					b.Error(err)
					return
				}
				if err := skipAnswer(in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

// skipAnswer reads one answer that is a success.
func skipAnswer(in *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch text := string(line); {
		case first && !strings.HasPrefix(text, "HTTP/1.1 2"):
			return fmt.Errorf("answer %q", text)
		case text == "\r\n":
			_, err := in.Discard(length)
			return err
		case strings.HasPrefix(text, "Content-Length: "):
			if length, err = strconv.Atoi(strings.TrimSpace(text[len("Content-Length: "):])); err != nil {
				return err
			}
		}
	}
}

// BenchmarkVerifyAlone is the handler without net/http: what a change of it costs, free of the noise of sockets.
func BenchmarkVerifyAlone(b *testing.B) {
	s, token := benchStack(b, 1)
	body := fmt.Sprintf(`{"token":"%s"}`, token)
	r := request("POST", "/v1/keys/verify", body, nil)
	w := &nowhere{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(body))
		s.Server.ServeHTTP(w, r)
		clear(w.header)
	}
}

// BenchmarkList50Alone is the same for a list.
func BenchmarkList50Alone(b *testing.B) {
	s, _ := benchStack(b, 1000)
	r := request("GET", "/v1/workspaces/acme/keys?limit=50", "", nil)
	w := &nowhere{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		s.Server.ServeHTTP(w, r)
		clear(w.header)
	}
}

// nowhere is a http.ResponseWriter that drops the answer.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
