package handlers_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyledger/handlers/handlerstest"
)

// site serves a page, and the API to it as a reverse proxy of the same origin that adds the token: so the page needs none.
type site struct {
	*httptest.Server
	told    chan string   // what the page tells
	refused chan struct{} // a connection to the API was refused

	mu   sync.Mutex
	down bool
	cuts []context.CancelFunc // of the connections to the API
}

func newSite(t *testing.T, api string) *site {
	s := &site{told: make(chan string, 100), refused: make(chan struct{}, 100)}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: api})
			r.Out.Header.Set("Authorization", "Bearer "+rootToken)
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/eventsource.html") })
	mux.HandleFunc("POST /told", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		s.told <- string(text)
	})
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		ctx, cut := context.WithCancel(r.Context())
		defer cut()
		s.mu.Lock()
		down := s.down
		s.cuts = append(s.cuts, cut)
		s.mu.Unlock()
		if down {
			s.refused <- struct{}{}
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = proxy.ErrorLog
	s.Start()
	t.Cleanup(func() { // the browser is gone by now, its connections may not be
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// cut cuts the connections to the API and refuses new ones until open.
func (s *site) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	for _, cut := range s.cuts {
		cut()
	}
	s.cuts = nil
}

func (s *site) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// browse opens a page in a headless Chromium until the test ends.
func browse(t *testing.T, address string) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing: CI must install it (Debian: apt-get install chromium)")
		}
		t.Skip("NOT TESTED: EventSource in a browser, because chromium is missing (Debian: apt-get install chromium)")
	}
	folder := t.TempDir()
	var said handlerstest.Lines
	browser := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--disable-breakpad", "--password-store=basic", "--no-proxy-server", "--disable-default-apps",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", // it talks to this machine alone
		"--user-data-dir="+folder, address)
	browser.Env = append(os.Environ(), "HOME="+folder)
	browser.Stdout, browser.Stderr = &said, &said
	browser.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it consists of many processes
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-browser.Process.Pid, syscall.SIGKILL)
		_ = browser.Wait()
		if t.Failed() {
			t.Logf("chromium said: %s", said.String())
		}
	})
}

// A page in a browser receives live events, loses the connection, before the first event and after some, and resumes:
// without a gap and without a repetition.
func TestEventSourceInChromium(t *testing.T) {
	s := newStack(t, slog.New(slog.DiscardHandler))
	s.ask("POST", "/v1/keys", `{"name":"before the page","workspace_id":"acme"}`, nil, 201)
	from := s.State.Position() + 1
	web := newSite(t, s.address())
	browse(t, web.URL)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // a browser takes its time on a busy machine
	defer cancel()
	var got []string // events that the page has told of
	until := func(what string, here func(told string) bool) {
		t.Helper()
		for {
			select {
			case told := <-web.told:
				if strings.Contains(told, "{") {
					got = append(got, told)
				}
				if here(told) {
					return
				}
				if told == "closed" {
					t.Fatalf("%s: the page has given up", what)
				}
			case <-ctx.Done():
				t.Fatalf("%s: it never came; the page has told of %d events", what, len(got))
			}
		}
	}
	is := func(want string) func(string) bool { return func(told string) bool { return told == want } }
	names := func(want string) func(string) bool {
		return func(told string) bool { return strings.Contains(told, `"name":"`+want+`"`) }
	}
	create := func(list ...string) {
		for _, name := range list {
			s.ask("POST", "/v1/keys", `{"name":"`+name+`","workspace_id":"acme"}`, nil, 201)
			s.ask("POST", "/v1/keys", `{"name":"not acme's"}`, nil, 201)
		}
	}
	lose := func(meanwhile ...string) {
		t.Helper()
		web.cut()
		until("the connection was cut", is("lost"))
		select {
		case <-web.refused:
		case <-ctx.Done():
			t.Fatal("the browser does not connect again")
		}
		create(meanwhile...)
		web.open()
		until("the connection is there again", is("open"))
		until("what was appended meanwhile", names(meanwhile[len(meanwhile)-1]))
	}

	until("the page is open", is("open"))
	lose("first", "second")
	create("third", "fourth")
	until("live events", names("fourth"))
	lose("fifth", "sixth", "seventh")
	create("last")
	until("live events after it resumed", names("last"))

	var want []string
	for _, e := range history(t, s.address(), "/v1/events?workspace_id=acme&limit=1000&from="+strconv.FormatUint(from, 10)) {
		want = append(want, e.id+" "+e.text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page has received\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
