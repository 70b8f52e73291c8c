package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/handlers"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// rootToken is the token of every world's root key.
const rootToken = "root-token-of-the-tests-0123456789"

// world is a server over a ledger in memory, with its clock in the test's hand.
type world struct {
	t       *testing.T
	log     *ledgertest.Log
	state   *ledgertest.State
	service *ledger.Service
	config  handlers.Config
	server  *handlers.Server
	metrics *prometheus.Registry
	lines   lines
	root    ledger.Call
	notYet  atomic.Pointer[error] // why /readyz says no
	shift   atomic.Int64          // of the clock

	mu       sync.Mutex
	secrets  []string  // tokens that no access line may show
	contract *contract // loaded when it is first needed
}

// now is the time of the world.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.shift.Load())) }

// later moves the clock.
func (w *world) later(d time.Duration) { w.shift.Add(int64(d)) }

func newWorld(t *testing.T, change ...func(*handlers.Config, *ledger.Config)) *world {
	t.Helper()
	w := &world{t: t, log: ledgertest.NewLog(), metrics: prometheus.NewRegistry(), secrets: []string{rootToken}}
	feed := new(ledger.Feed)
	w.state = ledgertest.Follow(t, w.log, w.now, feed)
	usage := ledger.NewUsage(w.log, 10*time.Millisecond)
	rules := ledger.Config{Log: w.log, State: w.state, Now: w.now, MaxStaleness: 100 * 365 * 24 * time.Hour, Usage: usage, Feed: feed}
	config := handlers.Config{
		State:      w.state,
		Memo:       w.log,
		Secret:     []byte("a secret of the server, 32 bytes"),
		LedgerName: "test",
		Version:    "v0",
		Logger:     slog.New(slog.NewJSONHandler(&w.lines, nil)),
		Registerer: w.metrics,
		Gatherer:   w.metrics,
		Ready:      w.ready,
		Now:        w.now,
	}
	for _, c := range change {
		c(&config, &rules)
	}
	w.service = ledger.New(rules)
	config.Service = w.service
	var err error
	w.config = config
	if w.server, err = handlers.New(config); err != nil {
		t.Fatal(err)
	}
	w.run(usage.Run)
	issued, made, err := w.service.Bootstrap(t.Context(), ledger.NewSecret(rootToken))
	if err != nil || !made {
		t.Fatalf("bootstrap: made %v, %v", made, err)
	}
	w.root = ledger.Call{Principal: ledger.Principal{KeyID: issued.Key.ID, Scopes: issued.Key.Scopes}}
	t.Cleanup(w.checkLines)
	return w
}

// run runs something beside the test until it ends.
func (w *world) run(something func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = something(ctx) })
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func (w *world) ready(context.Context) error {
	if err := w.notYet.Load(); err != nil {
		return *err
	}
	return nil
}

// key creates a key past HTTP.
func (w *world) key(in ledger.Create) ledger.Issued {
	w.t.Helper()
	issued, err := w.service.Create(w.t.Context(), &w.root, &in)
	if err != nil {
		w.t.Fatal(err)
	}
	w.hide(issued.Token.Reveal())
	return issued
}

// waitForUse waits until so many uses of a key are in the views.
func (w *world) waitForUse(key string, count uint64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	if err := w.state.WaitForUses(ctx, uuid.MustParse(key), count); err != nil {
		w.t.Fatal(err)
	}
}

// answer is an answer with its body.
type answer struct {
	*http.Response
	text   []byte
	events int // appended meanwhile
}

// field is what stands at a dotted path in the body, nil when nothing does.
func (a *answer) field(path string) any {
	var v any
	if json.Unmarshal(a.text, &v) != nil {
		return nil
	}
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// request makes a request with a JSON body, when there is one, and root's token, unless a header says otherwise. A
// header that is "-" is left out.
func request(method, path, body string, header map[string]string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	r.Header.Set("Authorization", "Bearer "+rootToken)
	r.Header.Set("User-Agent", "tests")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		if r.Header.Set(name, value); value == "-" {
			r.Header.Del(name)
		}
	}
	return r
}

// do sends a request and holds the answer against the OpenAPI document.
func (w *world) do(method, path, body string, header map[string]string) *answer {
	w.t.Helper()
	return w.send(request(method, path, body, header))
}

func (w *world) send(r *http.Request) *answer {
	w.t.Helper()
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	before := w.log.Len()
	recorder := httptest.NewRecorder()
	w.server.ServeHTTP(recorder, r)
	a := &answer{Response: recorder.Result(), text: recorder.Body.Bytes(), events: w.log.Len() - before}
	if token, ok := a.field("token").(string); ok {
		w.hide(token)
	}
	w.document().check(w.t, r, sent, a)
	return a
}

// hide keeps a token to be looked for in the access lines.
func (w *world) hide(token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, token)
}

// document is the contract of the answers.
func (w *world) document() *contract {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.contract == nil {
		w.contract = theContract(w.t)
	}
	return w.contract
}

// checkLines holds the access lines against what they must never show.
func (w *world) checkLines() {
	text := w.lines.String()
	for _, secret := range w.secrets {
		if strings.Contains(text, secret) {
			w.t.Errorf("the log shows a token:\n%s", text)
		}
	}
}

// lines is a log that tests can read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// last is the last line, decoded.
func (l *lines) last() map[string]any {
	text := strings.TrimSpace(l.String())
	line := make(map[string]any)
	_ = json.Unmarshal([]byte(text[strings.LastIndexByte(text, '\n')+1:]), &line)
	return line
}
