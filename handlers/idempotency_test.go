package handlers_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// hasStatus fails the test unless a has the status.
func hasStatus(t *testing.T, a *answer, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d\n%s", a.StatusCode, status, a.text)
	}
}

// isReplay fails the test unless again is first once more, byte for byte, with nothing appended.
func isReplay(t *testing.T, first, again *answer) {
	t.Helper()
	if again.events != 0 {
		t.Errorf("the repeat appended %d messages", again.events)
	}
	if again.StatusCode != first.StatusCode || !bytes.Equal(again.text, first.text) {
		t.Errorf("the repeat answers %d\n%swant %d\n%s", again.StatusCode, again.text, first.StatusCode, first.text)
	}
	for _, name := range []string{"ETag", "Location", "Content-Type", "Keyledger-Sequence"} {
		if first.Header.Get(name) != again.Header.Get(name) {
			t.Errorf("%s of the repeat is %q, want %q", name, again.Header.Get(name), first.Header.Get(name))
		}
	}
	if again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("Idempotency-Replayed is %q, then %q", first.Header.Get("Idempotency-Replayed"), again.Header.Get("Idempotency-Replayed"))
	}
}

// A repeat of each command gets the first answer, and does nothing, even when the key has changed since.
func TestIdempotentRepeat(t *testing.T) {
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/keys", `{"name":"once","scopes":["deploy"]}`},
		{"POST", "/v1/keys", `{"token":"my-own-token-of-at-least-32-characters"}`},
		{"POST", "/v1/keys/{active.id}/rotate", `{"grace_seconds":60}`},
		{"POST", "/v1/keys/{active.id}/revoke", `{"reason":"why"}`},
		{"POST", "/v1/keys/{active.id}/disable", ``},
		{"POST", "/v1/keys/{disabled.id}/enable", ``},
		{"POST", "/v1/keys/{active.id}/erase", ``},
		{"POST", "/v1/workspaces/acme/erase", ``},
		{"PATCH", "/v1/keys/{active.id}", `{"name":"new"}`},
		{"POST", "/v1/agents", `{"name":"Support"}`},
	} {
		t.Run(c.path+c.body, func(t *testing.T) {
			w := newWorld(t)
			path := cast(w).Replace(c.path)
			header := with("Idempotency-Key", "0198-once")
			first := w.do(c.method, path, c.body, header)
			if first.StatusCode >= 300 || first.events == 0 {
				t.Fatalf("the first answer is %d, with %d messages\n%s", first.StatusCode, first.events, first.text)
			}
			if id, ok := first.field("id").(string); ok && strings.Contains(path, "/keys") {
				w.do("PATCH", "/v1/keys/"+id, `{"name":"changed since"}`, nil)
			}
			isReplay(t, first, w.do(c.method, path, c.body, header))
			isReplay(t, first, w.do(c.method, path, c.body, header))
		})
	}
}

// The id of a key says when it was made, with an Idempotency-Key as without one.
func TestIdempotentCreateDrawsTimedID(t *testing.T) {
	w := newWorld(t)
	made := w.do("POST", "/v1/keys", `{"name":"once"}`, with("Idempotency-Key", "0198-once"))
	id, err := uuid.Parse(made.field("id").(string))
	if err != nil || id.Version() != 7 {
		t.Fatalf("the id is %v, of version %d: %v", id, id.Version(), err)
	}
	seconds, _ := id.Time().UnixTime()
	if at := time.Unix(seconds, 0); w.Now().Sub(at).Abs() > time.Minute {
		t.Errorf("the id is of %v, now is %v", at, w.Now())
	}
}

func TestIdempotencyKeyIsOfOnePrincipal(t *testing.T) {
	w := newWorld(t)
	second := w.key(ledger.Create{Scopes: []string{"ledger:*"}}).Token.Reveal()
	mine := w.do("POST", "/v1/keys", `{}`, with("Idempotency-Key", "k"))
	theirs := w.do("POST", "/v1/keys", `{}`, with("Idempotency-Key", "k", "Authorization", "Bearer "+second))
	hasStatus(t, mine, http.StatusCreated)
	hasStatus(t, theirs, http.StatusCreated)
	if mine.field("id") == theirs.field("id") || theirs.events != 1 {
		t.Error("one principal was given the answer of another")
	}
}

func TestIdempotencyKeyOfAnotherRequest422(t *testing.T) {
	for name, r := range map[string]struct{ method, path, body, ifMatch string }{
		"another body":      {"POST", "/v1/keys", `{"name":"b"}`, "-"},
		"another route":     {"POST", "/v1/agents", `{"name":"a"}`, "-"},
		"another condition": {"POST", "/v1/keys", `{"name":"a"}`, `"7"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			hasStatus(t, w.do("POST", "/v1/keys", `{"name":"a"}`, with("Idempotency-Key", "k")), http.StatusCreated)
			a := w.do(r.method, r.path, r.body, with("Idempotency-Key", "k", "If-Match", r.ifMatch))
			hasStatus(t, a, http.StatusUnprocessableEntity)
			if a.events != 0 {
				t.Errorf("it appended %d messages", a.events)
			}
		})
	}
}

// While the first request runs, a repeat is told to come back; then it gets the answer.
func TestIdempotentRequestRunning409(t *testing.T) {
	w := newWorld(t)
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpAppend {
			once.Do(func() { close(reached) })
			<-release
		}
		return ledgertest.Fault{}
	})
	header := with("Idempotency-Key", "k")
	done := make(chan *answer)
	go func() { done <- w.do("POST", "/v1/keys", `{}`, header) }()
	<-reached
	early := w.do("POST", "/v1/keys", `{}`, header)
	close(release)
	first := <-done
	hasStatus(t, first, http.StatusCreated)
	hasStatus(t, early, http.StatusConflict)
	if early.field("code") != "idempotency_running" || early.Header.Get("Retry-After") != "1" {
		t.Errorf("code %v, Retry-After %q", early.field("code"), early.Header.Get("Retry-After"))
	}
	again := w.do("POST", "/v1/keys", `{}`, header)
	again.events = 0
	isReplay(t, first, again)
}

// The log stores the event but its answer is lost: the repeat finds out, and nothing happens twice.
func TestIdempotentRepeatAfterLostAppend(t *testing.T) {
	for _, c := range []struct {
		path, body string
		messages   int
	}{
		{"/v1/keys", `{"name":"once"}`, 1},
		{"/v1/keys", `{"token":"my-own-token-of-at-least-32-characters"}`, 2},
		{"/v1/keys/{active.id}/rotate", `{}`, 1},
		{"/v1/keys/{active.id}/revoke", ``, 1},
		{"/v1/agents", `{"name":"Support"}`, 2},
	} {
		t.Run(c.path+c.body, func(t *testing.T) {
			w := newWorld(t)
			path := cast(w).Replace(c.path)
			before := w.log.Len()
			w.log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: true})
			header := with("Idempotency-Key", "k")
			hasStatus(t, w.do("POST", path, c.body, header), http.StatusServiceUnavailable)
			first := w.do("POST", path, c.body, header)
			if first.StatusCode >= 300 {
				t.Fatalf("the repeat answers %d\n%s", first.StatusCode, first.text)
			}
			if stored := w.log.Len() - before; stored != c.messages {
				t.Errorf("%d messages are stored, want %d", stored, c.messages)
			}
			isReplay(t, first, w.do("POST", path, c.body, header))
			if token, ok := first.field("token").(string); ok {
				v := w.do("POST", "/v1/keys/verify", `{"token":"`+token+`"}`, nil)
				if v.field("code") != "VALID" {
					t.Errorf("its token is %v", v.field("code"))
				}
			}
		})
	}
}

// The runner dies after the command but before its answer is remembered: it is taken for running for half a minute,
// then a repeat comes to the same end.
func TestIdempotentRepeatAfterDeath(t *testing.T) {
	w := newWorld(t)
	w.log.FailNext(ledgertest.OpReplace, ledgertest.Fault{Err: ledger.ErrUnavailable})
	header := with("Idempotency-Key", "k")
	first := w.do("POST", "/v1/keys", `{"name":"once"}`, header)
	hasStatus(t, first, http.StatusCreated)
	if line := w.Lines.Last(); line["status"] != 201.0 || line["error"] == nil {
		t.Errorf("the access line does not tell of it: %v", line)
	}
	hasStatus(t, w.do("POST", "/v1/keys", `{"name":"once"}`, header), http.StatusConflict)
	w.Later(31 * time.Second)
	again := w.do("POST", "/v1/keys", `{"name":"once"}`, header)
	hasStatus(t, again, http.StatusCreated)
	if again.events != 0 || !bytes.Equal(again.text, first.text) {
		t.Errorf("it appended %d messages and answers\n%swant\n%s", again.events, again.text, first.text)
	}
	isReplay(t, again, w.do("POST", "/v1/keys", `{"name":"once"}`, header))
}

// Of many that take over a dead runner's claim at once, one runs and nothing happens twice.
func TestIdempotentTakeOverRace(t *testing.T) {
	w := newWorld(t)
	w.log.FailNext(ledgertest.OpReplace, ledgertest.Fault{Err: ledger.ErrUnavailable})
	header := with("Idempotency-Key", "k")
	first := w.do("POST", "/v1/keys", `{}`, header)
	w.Later(time.Minute)
	before := w.log.Len()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			a := w.do("POST", "/v1/keys", `{}`, header)
			if a.StatusCode != http.StatusConflict && !bytes.Equal(a.text, first.text) {
				t.Errorf("%d\n%s", a.StatusCode, a.text)
			}
		})
	}
	all.Wait()
	if stored := w.log.Len() - before; stored != 0 {
		t.Errorf("%d messages were appended", stored)
	}
}

// A request that failed without effect gives its key free, for a corrected one too.
func TestIdempotencyKeyAfterFailure(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		fault  error
		status int
	}{
		"invalid":    {`{"environment":"prod"}`, nil, 400},
		"malformed":  {`{`, nil, 400},
		"forbidden":  {`{"scopes":["ledger:nothing"]}`, nil, 400},
		"overloaded": {`{}`, ledger.ErrOverloaded, 503},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.fault != nil {
				w.log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: c.fault})
			}
			header := with("Idempotency-Key", "k")
			hasStatus(t, w.do("POST", "/v1/keys", c.body, header), c.status)
			hasStatus(t, w.do("POST", "/v1/keys", `{"name":"corrected"}`, header), http.StatusCreated)
		})
	}
}

// When it is unknown whether the first request had an effect, another request may not take its key.
func TestIdempotencyKeyAfterUnknownEnd(t *testing.T) {
	w := newWorld(t)
	w.log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: ledger.ErrUnavailable})
	header := with("Idempotency-Key", "k")
	hasStatus(t, w.do("POST", "/v1/keys", `{}`, header), http.StatusServiceUnavailable)
	hasStatus(t, w.do("POST", "/v1/keys", `{"name":"other"}`, header), http.StatusUnprocessableEntity)
	hasStatus(t, w.do("POST", "/v1/keys", `{}`, header), http.StatusCreated)
}

// Without the store of idempotency keys, a request that has one is refused, and nothing happens.
func TestIdempotencyUnavailable503(t *testing.T) {
	w := newWorld(t)
	w.log.FailNext(ledgertest.OpClaim, ledgertest.Fault{Err: ledger.ErrUnavailable})
	a := w.do("POST", "/v1/keys", `{}`, with("Idempotency-Key", "k"))
	hasStatus(t, a, http.StatusServiceUnavailable)
	if a.events != 0 {
		t.Errorf("it appended %d messages", a.events)
	}
}

// A client that goes away leaves a claim that its repeat can take over at once.
func TestIdempotentRepeatAfterClientLeft(t *testing.T) {
	w := newWorld(t)
	ctx, leave := context.WithCancel(t.Context())
	w.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpAppend {
			leave()
		}
		return ledgertest.Fault{}
	})
	header := with("Idempotency-Key", "k")
	r := request("POST", "/v1/keys", `{}`, header)
	hasStatus(t, w.send(r.WithContext(ctx)), http.StatusServiceUnavailable)
	if line := w.Lines.Last(); line["status"] != 499.0 {
		t.Errorf("the access line says %v", line["status"])
	}
	w.log.Inject(nil)
	hasStatus(t, w.do("POST", "/v1/keys", `{}`, header), http.StatusCreated)
}

func TestIdempotencyKeyForm400(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"", "a b", "ä", strings.Repeat("k", 256), "a\x7f"} {
		a := w.do("POST", "/v1/keys", `{}`, with("Idempotency-Key", key))
		if a.StatusCode != http.StatusBadRequest || a.events != 0 || a.field("field") != "Idempotency-Key" {
			t.Errorf("%q: %d, %d messages\n%s", key, a.StatusCode, a.events, a.text)
		}
	}
	r := request("POST", "/v1/keys", `{}`, nil)
	r.Header["Idempotency-Key"] = []string{"a", "b"}
	hasStatus(t, w.send(r), http.StatusBadRequest)
	hasStatus(t, w.do("POST", "/v1/keys", `{}`, with("Idempotency-Key", strings.Repeat("~", 255))), http.StatusCreated)
}

// memo keeps all that a Memo is given.
type memo struct {
	ledger.Memo
	mu    sync.Mutex
	given bytes.Buffer
}

func (m *memo) keep(name string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.given.WriteString(name)
	m.given.Write(value)
}

func (m *memo) Claim(ctx context.Context, name string, value []byte) ([]byte, uint64, error) {
	m.keep(name, value)
	return m.Memo.Claim(ctx, name, value)
}

func (m *memo) Replace(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	m.keep(name, value)
	return m.Memo.Replace(ctx, name, value, revision)
}

// What is stored of an idempotent request shows nothing of it, in no usual encoding.
func TestIdempotencyStoresNothingInTheClear(t *testing.T) {
	kept := new(memo)
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) { kept.Memo, c.Memo = c.Memo, kept })
	a := w.do("POST", "/v1/keys", `{"name":"a-name-to-find"}`, with("Idempotency-Key", "a-key-to-find"))
	hasStatus(t, a, http.StatusCreated)
	token, _ := a.field("token").(string)
	id, _ := a.field("id").(string)
	if kept.given.Len() == 0 || token == "" {
		t.Fatal("nothing was stored")
	}
	for _, secret := range []string{token, id, "a-name-to-find", "a-key-to-find", w.Call.Principal.KeyID.String()} {
		for encoding, text := range encodings(secret) {
			if strings.Contains(kept.given.String(), text) {
				t.Errorf("%q is stored, in %s", secret, encoding)
			}
		}
	}
}
