package handlers

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/ledger"
)

type fakeState struct {
	ledger.State
	keys map[ledger.Digest]*ledger.Key
	page ledger.Page
}

func (f *fakeState) KeyByDigest(d ledger.Digest) (ledger.Key, bool, bool, error) {
	k, ok := f.keys[d]
	if !ok {
		return ledger.Key{}, false, false, nil
	}
	return *k, false, true, nil
}
func (f *fakeState) Position() uint64 { return 42 }
func (f *fakeState) Lag() uint64      { return 0 }
func (f *fakeState) Heard() time.Time { return time.Now() }
func (f *fakeState) Keys(context.Context, *ledger.Query) (ledger.Page, error) {
	return f.page, nil
}

type fakeMemo struct{ ledger.Memo }

const tok = "root-token-root-token-root-token-root"

func benchServer(b testing.TB) *Server {
	k := sampleKey()
	root := ledger.Key{ID: k.ID, Scopes: "ledger:*"}
	st := &fakeState{keys: map[ledger.Digest]*ledger.Key{ledger.NewSecret(tok).Digest(): &root, ledger.NewSecret(tok + "2").Digest(): &k}}
	for range 50 {
		st.page.Keys = append(st.page.Keys, k)
	}
	out, _ := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	w := NewLogWriter(out, time.Second)
	reg := prometheus.NewRegistry()
	s, err := New(Config{Service: ledger.New(ledger.Config{State: st}), State: st, Memo: fakeMemo{}, Secret: make([]byte, 32), LedgerName: "x",
		Logger: slog.New(slog.NewTextHandler(w, nil)), Registerer: reg, Gatherer: reg, Ready: func(context.Context) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func noop() http.Handler {
	r := mux.NewRouter()
	r.HandleFunc("/noop", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"ok":true}`))
	})
	return r
}

func load(b *testing.B, h http.Handler, raw []byte) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := NewHTTPServer(h, slog.New(slog.DiscardHandler), nil)
	go srv.Serve(l)
	defer srv.Close()
	conns := make([]net.Conn, 64)
	for i := range conns {
		conns[i], err = net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	per := b.N/64 + 1
	b.ResetTimer()
	for _, c := range conns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			buf := make([]byte, 128<<10)
			for range per {
				c.Write(raw)
				n := 0
				want := -1
				for want < 0 || n < want {
					m, err := c.Read(buf[n:])
					if err != nil {
						b.Error(err)
						return
					}
					n += m
					if want < 0 {
						if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); i >= 0 {
							j := bytes.Index(buf[:i], []byte("Content-Length: "))
							cl := 0
							for _, ch := range buf[j+16 : i] {
								if ch < '0' || ch > '9' {
									break
								}
								cl = cl*10 + int(ch-'0')
							}
							want = i + 4 + cl
						}
					}
				}
			}
		}()
	}
	wg.Wait()
	b.ReportMetric(float64(per*64)/b.Elapsed().Seconds(), "req/s")
	_ = io.Discard
}

const hdr = "Host: x\r\nUser-Agent: bench\r\nAuthorization: Bearer " + tok + "\r\nAccept-Encoding: gzip\r\n"

func BenchmarkNoop(b *testing.B) {
	load(b, noop(), []byte("GET /noop HTTP/1.1\r\n"+hdr+"\r\n"))
}
func BenchmarkNoopPost(b *testing.B) {
	load(b, noop(), []byte("POST /noop HTTP/1.1\r\n"+hdr+"Content-Type: application/json\r\nContent-Length: 60\r\n\r\n"+`{"token":"`+tok+"2"+`"          }`))
}
func BenchmarkVerifyHTTP(b *testing.B) {
	load(b, benchServer(b), []byte("POST /v1/keys/verify HTTP/1.1\r\n"+hdr+"Content-Type: application/json\r\nContent-Length: 60\r\n\r\n"+`{"token":"`+tok+"2"+`"          }`))
}
func BenchmarkListHTTP(b *testing.B) {
	load(b, benchServer(b), []byte("GET /v1/workspaces/acme/keys?limit=50 HTTP/1.1\r\n"+hdr+"\r\n"))
}
