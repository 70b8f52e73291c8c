package webhooks_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyledger/handlers/handlerstest"
	"keyledger/handlers/webhooks"
	"keyledger/ledger"
)

// acme and other are owners that know nothing of each other.
var (
	acme  = ledger.Owner{Workspace: "acme"}
	other = ledger.Owner{Workspace: "other"}
)

// An endpoint gets exactly the events of its owner after its creation, as the history shows them, each signed.
func TestEventsAfterCreation(t *testing.T) {
	w := newWorld(t, nil)
	r := receive(t, nil)
	for range 3 {
		w.key(acme)
	}
	e := w.create(r.URL, `,"workspace_id":"acme","name":"ci"`)
	want := map[string]bool{}
	for i := range 20 {
		want[w.key(acme).LastEvent.String()] = true
		w.key(other)
		if i == 10 {
			agent := w.ask("POST", "/v1/agents", `{"name":"bot","workspace_id":"acme"}`, 201)
			history := w.ask("GET", fmt.Sprintf("/v1/events?workspace_id=acme&from=%.0f&limit=1", agent.Field("sequence")), "", 200)
			want[strings.Split(string(history.Body), `"id":"`)[1][:36]] = true
		}
	}
	got := map[string]bool{}
	for range want {
		m := r.next(t)
		verified(t, e.secret, &m)
		if got[m.id()] {
			t.Errorf("%s was delivered twice", m.id())
		}
		got[m.id()] = true
		page := w.ask("GET", fmt.Sprintf("/v1/events?workspace_id=acme&from=%s&limit=1", m.field("sequence")), "", 200)
		if !strings.Contains(string(page.Body), `"data":[`+string(m.body)+`]`) {
			t.Errorf("it is not what the history shows:\n%s\n%s", m.body, page.Body)
		}
		if mediaType := m.header.Get("Content-Type"); !strings.HasPrefix(mediaType, "application/cloudevents+json") {
			t.Errorf("it is %s", mediaType)
		}
		if agent := m.header.Get("User-Agent"); agent != "keyledger/v0" {
			t.Errorf("it comes from %s", agent)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	w.until(func() bool { return w.ask("GET", e.path, "", 200).Field("last_delivery.status") == 204.0 },
		func() string { return "the last delivery is not noted" })
	if dead := e.list("dead-letters"); len(dead) > 0 || len(r.got) > 0 {
		t.Errorf("%v, and %d more", dead, len(r.got))
	}
}

func TestFromSequenceAndTypes(t *testing.T) {
	w := newWorld(t, nil)
	r := receive(t, nil)
	first := w.key(acme)
	w.key(acme)
	revoked, err := w.Service.Revoke(t.Context(), &w.Call, first.ID, "done")
	if err != nil {
		t.Fatal(err)
	}
	w.create(r.URL+"/created", fmt.Sprintf(`,"workspace_id":"acme","types":["key.created"],"from_sequence":%d`, first.Sequence+1))
	w.create(r.URL+"/all", `,"workspace_id":"acme","types":["key.revoked","webhook.*"],"from_sequence":1`)
	var got []string
	for range 4 {
		m := r.next(t)
		got = append(got, m.field("type").(string)+" "+m.field("subject").(string))
	}
	slices.Sort(got)
	if strings.Count(strings.Join(got, "\n"), "key.created") != 1 || strings.Count(strings.Join(got, "\n"), "webhook.created") != 2 ||
		!slices.Contains(got, "keyledger.key.revoked "+revoked.ID.String()) {
		t.Error(got)
	}
}

// What fails is tried again with the same id, and after the last attempt it is a dead letter, which can be replayed.
func TestRetriesAndDeadLetters(t *testing.T) {
	w := newWorld(t, retry)
	var healthy atomic.Bool
	var tries sync.Map // *atomic.Int32 by id
	r := receive(t, func(out http.ResponseWriter, in *http.Request) {
		n, _ := tries.LoadOrStore(in.Header.Get("Webhook-Id"), new(atomic.Int32))
		if n := n.(*atomic.Int32).Add(1); !healthy.Load() || n == 2 {
			out.WriteHeader(500)
		}
	})
	e := w.create(r.URL, `,"workspace_id":"acme"`)
	keys := []ledger.Key{w.key(acme), w.key(acme)}
	ids := map[string]int{}
	for range 6 { // three attempts each
		m := r.next(t)
		verified(t, e.secret, &m)
		ids[m.id()]++
	}
	if want := map[string]int{keys[0].LastEvent.String(): 3, keys[1].LastEvent.String(): 3}; !maps.Equal(ids, want) {
		t.Fatalf("attempts %v, want %v", ids, want)
	}
	for _, d := range e.await("dead", 2) {
		if d["attempts"] != 3.0 || d["status"] != 500.0 || d["error"] != nil || d["next_attempt_at"] != nil {
			t.Errorf("a dead letter: %v", d)
		}
	}
	if dead := e.list("dead-letters"); len(dead) != 2 {
		t.Fatalf("%d dead letters, want 2", len(dead))
	}
	healthy.Store(true)
	replay := fmt.Sprintf(`{"from":%d,"to":%d}`, keys[1].Sequence, keys[1].Sequence)
	if n := w.ask("POST", e.path+"/replay", replay, 202); n.Field("replayed") != 1.0 {
		t.Fatalf("%s", n.Body)
	}
	if m := r.next(t); m.id() != keys[1].LastEvent.String() {
		t.Errorf("%s was replayed, want %s", m.id(), keys[1].LastEvent)
	}
	if d := e.await("delivered", 1)[0]; d["attempts"] != 4.0 || d["event_id"] != keys[1].LastEvent.String() {
		t.Errorf("replayed: %v", d)
	}
	if dead := e.list("dead-letters"); len(dead) != 1 || dead[0]["sequence"] != float64(keys[0].Sequence) {
		t.Errorf("what is left: %v", dead)
	}
	w.key(acme)
	r.next(t) // a replay does not stand in the way of what comes
}

// A delivery at the second attempt is noted as such.
func TestRecovers(t *testing.T) {
	w := newWorld(t, retry)
	var n atomic.Int32
	r := receive(t, func(out http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			out.WriteHeader(503)
		}
	})
	e := w.create(r.URL, "")
	k := w.key(acme)
	first, second := r.next(t), r.next(t)
	if first.id() != second.id() || string(first.body) != string(second.body) || first.id() != k.LastEvent.String() {
		t.Errorf("%s, then %s", first.body, second.body)
	}
	if d := e.await("delivered", 1)[0]; d["attempts"] != 2.0 || d["status"] != 200.0 {
		t.Errorf("%v", d)
	}
}

func TestRetryAfter(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds": func() string { return "2" },
		"a date":  func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, retry)
				var n atomic.Int32
				r := receive(t, func(out http.ResponseWriter, _ *http.Request) {
					if n.Add(1) == 1 {
						out.Header().Set("Retry-After", value())
						out.WriteHeader(status)
					}
				})
				w.create(r.URL, "")
				w.key(acme)
				if waited := r.next(t).at.Sub(r.next(t).at); waited > -time.Second {
					t.Errorf("tried again after %v", -waited)
				}
			})
		}
	}
}

// 410 disables an endpoint; when it is enabled, it gets what it missed.
func TestGone(t *testing.T) {
	w := newWorld(t, retry)
	var back atomic.Bool
	r := receive(t, func(out http.ResponseWriter, _ *http.Request) {
		if !back.Load() {
			out.WriteHeader(410)
		}
	})
	e := w.create(r.URL, `,"types":["key.created"]`)
	w.key(acme)
	r.next(t)
	e.status("disabled")
	if reason := w.ask("GET", e.path, "", 200).Field("disabled_reason"); reason != "the endpoint answered 410 Gone" {
		t.Errorf("reason %v", reason)
	}
	w.ask("POST", e.path+"/replay", "", 409)
	missed := w.key(acme)
	back.Store(true)
	w.ask("POST", e.path+"/enable", "", 200)
	if m := r.next(t); m.id() != missed.LastEvent.String() { // the other one waits for its next attempt
		t.Errorf("got %s, want %s", m.id(), missed.LastEvent)
	}
}

// One endpoint that hangs delays no other.
func TestHangingEndpoint(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	hanging := receive(t, func(_ http.ResponseWriter, in *http.Request) {
		select {
		case <-release:
		case <-in.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	good := receive(t, nil)
	for range 5 {
		w.create(hanging.URL, "")
	}
	w.create(good.URL, `,"types":["key.created"]`)
	w.key(acme)
	for range 5 {
		hanging.next(t)
	}
	began := time.Now()
	for range 200 {
		w.key(acme)
	}
	for range 201 {
		good.next(t)
	}
	if took := time.Since(began); took > webhooks.MaxTimeout {
		t.Errorf("it took %v", took)
	}
	if n := len(hanging.got); n > 5*4 {
		t.Errorf("the hanging endpoint holds %d more attempts", n)
	}
}

// Whatever an endpoint does but answer in time with a 2xx is a failed attempt.
func TestFailures(t *testing.T) {
	elsewhere := receive(t, nil)
	behaviours := map[string]struct {
		respond http.HandlerFunc
		status  any
		failure any
	}{
		"an error": {func(out http.ResponseWriter, _ *http.Request) { out.WriteHeader(400) }, 400.0, nil},
		"a redirect": {func(out http.ResponseWriter, in *http.Request) {
			http.Redirect(out, in, elsewhere.URL, http.StatusTemporaryRedirect)
		}, 307.0, nil},
		"a reset": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, "connection"},
		"silence": {func(_ http.ResponseWriter, in *http.Request) { <-in.Context().Done() }, nil, "timeout"},
		"a large header": {func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("X-Large", strings.Repeat("x", 64<<10))
		}, nil, "connection"},
	}
	for name, b := range behaviours {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *webhooks.Config) { c.Timeout = 500 * time.Millisecond })
			e := w.create(receive(t, b.respond).URL, "")
			w.key(acme)
			d := e.await("dead", 1)[0]
			if d["status"] != b.status || d["error"] != b.failure {
				t.Errorf("%v, want %v and %v", d, b.status, b.failure)
			}
			tested := w.ask("POST", e.path+"/test", "", 200)
			if tested.Field("delivered") != false || tested.Field("status") != b.status || tested.Field("error") != b.failure {
				t.Errorf("test: %s", tested.Body)
			}
		})
	}
	if n := len(elsewhere.got); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
	t.Run("nobody there", func(t *testing.T) {
		w := newWorld(t, nil)
		gone := receive(t, nil)
		gone.Close()
		e := w.create(gone.URL, "")
		w.key(acme)
		if d := e.await("dead", 1)[0]; d["status"] != nil || d["error"] != "refused" {
			t.Errorf("%v", d)
		}
	})
}

// An answer counts as soon as its status is there: what follows may drip or be endless.
func TestSlowAnswer(t *testing.T) {
	w := newWorld(t, func(c *webhooks.Config) { c.Timeout = 300 * time.Millisecond })
	r := receive(t, func(out http.ResponseWriter, in *http.Request) {
		out.WriteHeader(200)
		out.(http.Flusher).Flush()
		<-in.Context().Done()
	})
	e := w.create(r.URL, "")
	w.key(acme)
	if d := e.await("delivered", 1)[0]; d["status"] != 200.0 {
		t.Errorf("%v", d)
	}
}

// The secret before a rotation signs too until its overlap ends.
func TestRotation(t *testing.T) {
	w := newWorld(t, nil)
	r := receive(t, nil)
	e := w.create(r.URL, `,"types":["key.created"]`)
	rotated := w.ask("POST", e.path+"/rotate-secret", `{"overlap_seconds":100}`, 200)
	second := rotated.Field("secret").(string)
	if second == e.secret || rotated.Field("secret_version") != 2.0 {
		t.Fatalf("%s", rotated.Body)
	}
	w.key(acme)
	m := r.next(t)
	verified(t, e.secret, &m)
	verified(t, second, &m)
	third := w.ask("POST", e.path+"/rotate-secret", `{"overlap_seconds":0}`, 200).Field("secret").(string)
	w.key(acme)
	m = r.next(t)
	verified(t, third, &m)
	if n := strings.Count(m.header.Get("Webhook-Signature"), "v1,"); n != 1 {
		t.Errorf("%d signatures without an overlap", n)
	}
	w.ask("POST", e.path+"/rotate-secret", "", 200)
	w.Later(25 * time.Hour)
	w.key(acme)
	m = r.next(t)
	if n := strings.Count(m.header.Get("Webhook-Signature"), "v1,"); n != 1 {
		t.Errorf("%d signatures after the overlap", n)
	}
	for _, overlap := range []string{"-1", "604801"} {
		w.Refuses(t, handlerstest.Request{Method: "POST", Target: e.path + "/rotate-secret", Token: w.Root,
			Body: `{"overlap_seconds":` + overlap + `}`}, 400)
	}
}

// A change counts for the next attempt, a disabled endpoint gets nothing, a deleted one is forgotten.
func TestLifeOfAWebhook(t *testing.T) {
	w := newWorld(t, nil)
	old, now := receive(t, nil), receive(t, nil)
	e := w.create(old.URL, `,"types":["key.*"]`)
	w.key(acme)
	old.next(t)
	w.ask("PATCH", e.path, fmt.Sprintf(`{"url":%q,"types":["key.revoked"],"name":null}`, now.URL), 200)
	k := w.key(acme)
	if _, err := w.Service.Revoke(t.Context(), &w.Call, k.ID, ""); err != nil {
		t.Fatal(err)
	}
	if m := now.next(t); m.field("type") != "keyledger.key.revoked" {
		t.Errorf("got %s", m.body)
	}
	w.ask("POST", e.path+"/disable", `{"reason":"maintenance"}`, 200)
	tested := w.ask("POST", e.path+"/test", "", 200) // a test asks for no state
	if m := now.next(t); m.field("type") != "keyledger.webhook.test" || m.id() != tested.Field("event_id") || tested.Field("delivered") != true {
		t.Errorf("%s %s", m.body, tested.Body)
	} else {
		verified(t, e.secret, &m)
	}
	w.ask("PATCH", e.path, `{"types":[]}`, 200)
	w.ask("DELETE", e.path, "", 204)
	w.ask("GET", e.path, "", 404)
	w.until(func() bool {
		queues, err := w.Queue.Consumed(t.Context())
		return err == nil && len(queues) == 0
	}, func() string { return "its queue stays" })
	if len(old.got)+len(now.got) > 0 {
		t.Errorf("%d and %d messages more", len(old.got), len(now.got))
	}
}
