package handlers_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

const rootToken = handlerstest.RootToken

// world is a server over a ledger in memory, asked without a network, and held against the OpenAPI document.
type world struct {
	*handlerstest.World
	t      *testing.T
	log    *ledgertest.Log
	state  *ledgertest.State
	config handlers.Config
	notYet atomic.Pointer[error] // why /readyz says no

	mu       sync.Mutex
	contract *contract // loaded when it is first needed
}

func newWorld(t *testing.T, change ...func(*handlers.Config, *ledger.Config)) *world {
	t.Helper()
	return newWorldOf(t, nil, change...)
}

// newWorldOf is a world whose server has dialects too.
func newWorldOf(t *testing.T, mount func(*handlers.Server, *ledger.Service) error, change ...func(*handlers.Config, *ledger.Config)) *world {
	t.Helper()
	w := &world{t: t}
	w.World = handlerstest.New(t, handlerstest.Options{Mount: mount, Configure: func(config *handlers.Config, rules *ledger.Config) {
		config.Ready = w.ready
		for _, c := range change {
			c(config, rules)
		}
		w.config = *config
	}})
	w.config.Service, w.config.Webhooks = w.Service, w.Hooks
	w.log, w.state = w.Log.(*ledgertest.Log), w.State.(*ledgertest.State)
	return w
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
	return w.Key(w.t, in)
}

// waitForUse waits until so many uses of a key are in the views.
func (w *world) waitForUse(key string, count uint64) {
	w.t.Helper()
	w.WaitForUse(w.t, uuid.MustParse(key), count)
}

// answer is an answer with its body.
type answer struct {
	*http.Response
	text   []byte
	events int // appended meanwhile
}

// field is what stands at a dotted path in the body, nil when nothing does.
func (a *answer) field(path string) any { return handlerstest.Field(a.text, path) }

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
	w.Server.ServeHTTP(recorder, r)
	a := &answer{Response: recorder.Result(), text: recorder.Body.Bytes(), events: w.log.Len() - before}
	for _, name := range []string{"token", "secret"} {
		if secret, ok := a.field(name).(string); ok {
			w.Hide(secret)
		}
	}
	w.document().check(w.t, r, sent, a)
	return a
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
