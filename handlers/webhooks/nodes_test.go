package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers/handlerstest"
	"keyledger/handlers/webhooks"
	"keyledger/ledger"
)

// dispatch runs one more node's deliveries until stop.
func (w *world) dispatch(schedule ...time.Duration) (stop func()) {
	w.t.Helper()
	d, err := webhooks.New(webhooks.Config{
		Service: w.Service, State: w.State, Log: w.Log, Queue: w.Queue, Secret: []byte("a secret of the server, 32 bytes"),
		Network: &webhooks.Network{Private: true}, LedgerName: "test", Version: "v0", Schedule: schedule, Now: w.Now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			w.t.Error(err)
		}
	}
}

// Nodes share the events of an endpoint: none is delivered twice while no node dies.
func TestNodesShare(t *testing.T) {
	w := newWorld(t, nil)
	stop := w.dispatch()
	defer stop()
	r := receive(t, nil)
	w.create(r.URL, `,"types":["key.created"]`)
	ids := map[string]bool{}
	for range 100 {
		w.key(acme)
	}
	for range 100 {
		m := r.next(t)
		ids[m.id()] = true
	}
	if len(ids) != 100 || len(r.got) > 0 {
		t.Errorf("%d events in %d deliveries", len(ids), 100+len(r.got))
	}
}

// When a node ends, others go on where it was: with the attempts that were made, and at the time of the next one.
func TestNodeEnds(t *testing.T) {
	w := &world{t: t, World: handlerstest.New(t, handlerstest.Options{JetStream: true, Idle: true})}
	var fails atomic.Bool
	fails.Store(true)
	r := receive(t, func(out http.ResponseWriter, _ *http.Request) {
		if fails.Load() {
			out.WriteHeader(500)
		}
	})
	stop := w.dispatch(2*time.Second, time.Hour)
	e := w.create(r.URL, `,"types":["key.created"]`)
	k := w.key(acme)
	first := r.next(t)
	e.await("retrying", 1)
	stop()
	missed := w.key(acme)
	fails.Store(false)
	stop = w.dispatch(2*time.Second, time.Hour)
	defer stop()
	if m := r.next(t); m.id() != missed.LastEvent.String() {
		t.Errorf("%s came before its time", m.id())
	}
	again := r.next(t)
	if again.id() != k.LastEvent.String() || again.id() != first.id() {
		t.Errorf("got %s, want %s", again.id(), k.LastEvent)
	}
	if waited := again.at.Sub(first.at); waited < 1500*time.Millisecond {
		t.Errorf("tried again after %v", waited)
	}
	if d := e.await("delivered", 1)[0]; d["attempts"] != 2.0 && d["attempts"] != 1.0 {
		t.Errorf("%v", d)
	}
}

// The queue of an endpoint that was deleted while no node looked is dropped by the next one.
func TestOrphans(t *testing.T) {
	w := &world{t: t, World: handlerstest.New(t, handlerstest.Options{JetStream: true, Idle: true})}
	orphan := ledger.Webhook{ID: uuid.Must(uuid.NewV7())}
	ctx, cancel := context.WithCancel(t.Context())
	handed := make(chan struct{}, 1)
	go func() {
		_ = w.Queue.Consume(ctx, &orphan, 1, func(context.Context, *ledger.Handover) (bool, time.Duration) {
			select {
			case handed <- struct{}{}:
			default:
			}
			return true, 0
		})
		close(handed)
	}()
	<-handed
	cancel()
	for range handed { // until it has ended
	}
	r := receive(t, nil)
	e := w.create(r.URL, `,"types":["key.created"]`)
	stop := w.dispatch()
	defer stop()
	w.key(acme)
	r.next(t)
	w.until(func() bool {
		queues, err := w.Queue.Consumed(t.Context())
		return err == nil && len(queues) == 1 && queues[0].String() == e.id
	}, func() string { return "the orphan stays" })
}

// The library of Standard Webhooks for JavaScript takes what is sent, also while secrets overlap, and nothing else.
func TestReferenceLibrary(t *testing.T) {
	w := newWorld(t, nil)
	r := receive(t, nil)
	e := w.create(r.URL, `,"types":["key.created"],"workspace_id":"acme"`)
	second := w.ask("POST", e.path+"/rotate-secret", "", 200).Field("secret").(string)
	w.key(acme)
	m := r.next(t)
	in, err := json.Marshal(map[string]any{"body": string(m.body), "secrets": []string{e.secret, second}, "headers": map[string]string{
		"webhook-id": m.id(), "webhook-timestamp": m.header.Get("Webhook-Timestamp"), "webhook-signature": m.header.Get("Webhook-Signature"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	out := string(handlerstest.Node(t, handlerstest.Clients, `
		import { Webhook } from "standardwebhooks";
		const { body, secrets, headers } = JSON.parse(process.env.MESSAGE);
		const takes = (secret, text, h) => {
			try { return new Webhook(secret).verify(text, h).type; } catch (e) { return e.constructor.name; }
		};
		for (const secret of secrets) console.log(takes(secret, body, headers));
		console.log(takes("whsec_" + btoa("another secret of thirty-two byt"), body, headers));
		console.log(takes(secrets[0], body + " ", headers));
		console.log(takes(secrets[0], body, { ...headers, "webhook-id": "x" }));
		console.log(takes(secrets[0], body, { ...headers, "webhook-timestamp": "1" }));
	`, "MESSAGE="+string(in)))
	const no = "WebhookVerificationError\n"
	if want := strings.Repeat("keyledger.key.created\n", 2) + strings.Repeat(no, 4); out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if fmt.Sprint(m.field("data.workspace_id")) != "acme" {
		t.Errorf("%s", m.body)
	}
}
