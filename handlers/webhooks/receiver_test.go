package webhooks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"keyledger/handlers/handlerstest"
	"keyledger/handlers/webhooks"
	"keyledger/ledger"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// message is what a receiver got.
type message struct {
	header http.Header
	body   []byte
	at     time.Time
}

func (m *message) id() string            { return m.header.Get("Webhook-Id") }
func (m *message) field(name string) any { return handlerstest.Field(m.body, name) }

// receiver is an endpoint of a test.
type receiver struct {
	*httptest.Server
	got chan message
}

// receive starts an endpoint that answers by respond, nil: with 204. What it gets is in got before it is answered.
func receive(t testing.TB, respond http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{got: make(chan message, 100_000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			return
		}
		r.got <- message{in.Header.Clone(), body, time.Now()}
		if respond == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		respond(w, in)
	}))
	t.Cleanup(r.Close)
	return r
}

// next is the next message.
func (r *receiver) next(t testing.TB) message {
	t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
		return message{}
	}
}

// world is a server that delivers.
type world struct {
	*handlerstest.World
	t *testing.T
}

func newWorld(t *testing.T, change func(*webhooks.Config)) *world {
	t.Helper()
	return &world{t: t, World: handlerstest.New(t, handlerstest.Options{JetStream: true, Webhooks: change})}
}

// retry makes a second and a third attempt soon.
func retry(c *webhooks.Config) {
	c.Schedule = []time.Duration{20 * time.Millisecond, 20 * time.Millisecond}
}

// ask sends a request as root and wants a status.
func (w *world) ask(method, path, body string, status int) *handlerstest.Response {
	w.t.Helper()
	r := w.Do(w.t, handlerstest.Request{Method: method, Target: path, Token: w.Root, Body: body})
	if secret, ok := r.Field("secret").(string); ok {
		w.Hide(secret)
	}
	if r.Status != status {
		w.t.Fatalf("%s %s: %d, want %d\n%s", method, path, r.Status, status, r.Body)
	}
	return &r
}

// endpoint is a webhook as its owner knows it.
type endpoint struct {
	w                *world
	id, path, secret string
	sequence         uint64 // of its creation
}

// create makes a webhook with more members than its url.
func (w *world) create(url, more string) *endpoint {
	w.t.Helper()
	r := w.ask("POST", "/v1/webhooks", fmt.Sprintf(`{"url":%q%s}`, url, more), 201)
	id := r.Field("id").(string)
	return &endpoint{w, id, "/v1/webhooks/" + id, r.Field("secret").(string), uint64(r.Field("sequence").(float64))}
}

// verified is a message whose signature is by the secret.
func verified(t *testing.T, secret string, m *message) *message {
	t.Helper()
	checker, err := standard.NewWebhook(secret)
	if err == nil {
		err = checker.Verify(m.body, m.header)
	}
	if err != nil {
		t.Fatalf("%v: %v", err, m.header)
	}
	return m
}

// key makes a key, which is one event.
func (w *world) key(owner ledger.Owner) ledger.Key {
	w.t.Helper()
	return w.Key(w.t, ledger.Create{Owner: owner}).Key
}

// list is one page of what became of events.
func (e *endpoint) list(what string) []map[string]any {
	e.w.t.Helper()
	var page struct {
		Data []map[string]any `json:"data"`
	}
	if err := json.Unmarshal(e.w.ask("GET", e.path+"/"+what+"?limit=1000", "", 200).Body, &page); err != nil {
		e.w.t.Fatal(err)
	}
	return page.Data
}

// await asks until so many deliveries are in a state, and returns them.
func (e *endpoint) await(state string, n int) (found []map[string]any) {
	e.w.t.Helper()
	e.w.until(func() bool {
		found = nil
		for _, d := range e.list("deliveries") {
			if d["state"] == state {
				found = append(found, d)
			}
		}
		return len(found) >= n
	}, func() string {
		return fmt.Sprintf("%d deliveries are %s, want %d: %v", len(found), state, n, e.list("deliveries"))
	})
	return found
}

// status asks until the webhook has a status.
func (e *endpoint) status(want string) {
	e.w.t.Helper()
	e.w.until(func() bool { return e.w.ask("GET", e.path, "", 200).Field("status") == want }, func() string { return "it is never " + want })
}

// until asks again and again.
func (w *world) until(reached func() bool, what func() string) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !reached(); <-tick.C {
		if time.Now().After(deadline) {
			w.t.Fatal(what())
		}
	}
}
