package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyledger/events"
	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

func readsScenarios() []scenario {
	const path = "/v1/ledger/reads"
	recorded := func(w *world) { w.store(recordedReads(w.Now())) }
	lines := with("Accept", "application/x-ndjson")
	return []scenario{
		{name: "none", path: path, status: 200, want: []string{"data=[]", "next_cursor=<nil>"}},
		{name: "all", path: path, before: recorded, status: 200, want: []string{"next_cursor=<nil>"}},
		{name: "by an actor", path: path + "?actor=nobody", before: recorded, status: 200, want: []string{"data=[]"}},
		{name: "of a key at a time", path: path + "?key_id={active.id}&from={past}&until={soon}&limit=10", before: recorded, status: 200,
			want: []string{"data=[]"}},
		{name: "as lines", path: path, header: lines, before: recorded, status: 200, want: []string{"Content-Type: application/x-ndjson"}},
		{name: "as lines with pages", path: path + "?limit=1", header: lines, status: 400, want: []string{"field=limit"}},
		{name: "for an owner", path: path, header: bearer("bound"), status: 403},
		{name: "for an owner as lines", path: path, header: with("Accept", "application/x-ndjson", "Authorization", "Bearer {bound.token}"), status: 403},
		{name: "of no key", path: path + "?key_id=a", status: 400, want: []string{"field=key_id"}},
		{name: "from no time", path: path + "?from=yesterday", status: 400, want: []string{"field=from"}},
		{name: "until no time", path: path + "?until=1", status: 400, want: []string{"field=until"}},
		{name: "too many", path: path + "?limit=1001", status: 400, want: []string{"field=limit"}},
		{name: "at another cursor", path: path + "?cursor=AAAA", status: 400, want: []string{"field=cursor"}},
	}
}

// recordedReads are two reads.
func recordedReads(now time.Time) []events.Read {
	now = now.UTC().Truncate(time.Microsecond)
	return []events.Read{
		{Time: now, Actor: "one", Route: "GET /v1/keys", Asked: "limit=1", Status: 200},
		{Time: now, Actor: "two", Route: "GET /v1/keys/{id}", KeyID: [16]byte{15: 1}, RequestID: "r", Status: 404,
			Origin: events.Origin{IP: "192.0.2.1", UserAgent: "tests"}},
	}
}

// store stores a batch of reads.
func (w *world) store(reads []events.Read) {
	w.t.Helper()
	data, err := events.EncodeReads(reads)
	if err == nil {
		err = w.log.AppendReads(w.t.Context(), data)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// audited is a world whose reads are recorded. flush stores those that wait.
func audited(t *testing.T, options handlerstest.Options) (w *handlerstest.World, flush func()) {
	t.Helper()
	var reads *ledger.Reads
	options.Configure = func(c *handlers.Config, rules *ledger.Config) {
		reads = ledger.NewReads(rules.Reads, time.Millisecond)
		c.Reads = reads
	}
	w = handlerstest.New(t, options)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- reads.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return w, func() {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(20 * time.Second); reads.Stats().Waiting > 0; <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("they are not stored: %+v", reads.Stats())
			}
		}
	}
}

// read is a read as the API tells it.
type read struct {
	Time      time.Time
	Actor     string
	IP        *string
	UserAgent *string `json:"user_agent"`
	RequestID *string `json:"request_id"`
	Route     string
	Query     string
	KeyID     *string `json:"key_id"`
	Status    int
}

// readsOf follows the pages of reads.
func readsOf(t *testing.T, w *handlerstest.World, query string) (all []read) {
	t.Helper()
	for cursor := ""; ; {
		a := w.Do(t, handlerstest.Request{Method: "GET", Target: "/v1/ledger/reads?" + query + cursor, Token: w.Root})
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		var page struct {
			Data []read
			Next *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.Body, &page); err != nil {
			t.Fatal(err)
		}
		if all = append(all, page.Data...); page.Next == nil {
			return all
		}
		cursor = "&cursor=" + *page.Next
	}
}

// Whatever a principal reads is recorded: who, from where, what, and how it was answered. What is not read is not.
func TestReadsAreRecorded(t *testing.T) {
	w, flush := audited(t, handlerstest.Options{JetStream: true, Idle: true})
	key := w.Key(t, ledger.Create{Name: "ci", Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{"deploy"}})
	id, token := key.Key.ID.String(), key.Token.Reveal()
	root := w.Call.Principal.KeyID.String()
	type want struct {
		actor, route, query, key string
		status                   int
	}
	var wants []want
	for i, test := range []struct {
		method, target, token, body string
		want                        *want
	}{
		{"GET", "/v1/keys?status=active&workspace_id=acme&limit=5", w.Root, "", &want{root, "GET /v1/keys", "limit=5&status=active&workspace_id=acme", "", 200}},
		{"GET", "/v1/workspaces/acme/keys", w.Root, "", &want{root, "GET /v1/workspaces/{id}/keys", "id=acme", "", 200}},
		{"GET", "/v1/workspaces/acme/keys?status=active", w.Root, "", &want{root, "GET /v1/workspaces/{id}/keys", "id=acme&status=active", "", 200}},
		{"GET", "/v1/keys/" + id, w.Root, "", &want{root, "GET /v1/keys/{id}", "", id, 200}},
		{"HEAD", "/v1/keys/" + id, w.Root, "", &want{root, "GET /v1/keys/{id}", "", id, 200}},
		{"GET", "/v1/keys/" + id, token, "", &want{id, "GET /v1/keys/{id}", "", id, 403}},
		{"GET", "/v1/keys/00000000-0000-7000-8000-000000000000", w.Root, "", &want{root, "GET /v1/keys/{id}", "", "00000000-0000-7000-8000-000000000000", 404}},
		{"GET", "/v1/keys/" + id + "/events", w.Root, "", &want{root, "GET /v1/keys/{id}/events", "", id, 200}},
		{"GET", "/v1/keys/" + id + "/usage", w.Root, "", &want{root, "GET /v1/keys/{id}/usage", "", id, 200}},
		{"GET", "/v1/events?until=now", w.Root, "", &want{root, "GET /v1/events", "until=now", "", 400}},
		{"GET", "/v1/agents", w.Root, "", &want{root, "GET /v1/agents", "", "", 200}},
		{"GET", "/v1/ledger/tile/entries/000.p/2", w.Root, "", &want{root, "GET /v1/ledger/tile/entries/{index:.+}", "index=000.p%2F2", "", 200}},
		{"GET", "/v1/keys?name=" + token, w.Root, "", &want{root, "GET /v1/keys", "name=%5Btoken%5D", "", 200}},
		{"GET", "/v1/keys?name=" + w.Root, w.Root, "", &want{root, "GET /v1/keys", "name=%5Btoken%5D", "", 200}},
		{"GET", "/v1/keys/" + token, w.Root, "", &want{root, "GET /v1/keys/{id}", "id=%5Btoken%5D", "", 404}},
		{"GET", "/v1/keys", "", "", nil},
		{"GET", "/v1/keys", "kl_neverseenbutlongenough", "", nil},
		{"GET", "/v1/ledger/key", w.Root, "", nil},
		{"GET", "/healthz", w.Root, "", nil},
		{"GET", "/metrics", w.Root, "", nil},
		{"GET", "/v1/authorize", token, "", nil},
		{"POST", "/v1/keys/verify", w.Root, `{"token":"` + token + `"}`, nil},
		{"POST", "/v1/keys", w.Root, `{"name":"new"}`, nil},
	} {
		before := w.Events(t)
		a := w.Do(t, handlerstest.Request{Method: test.method, Target: test.target, Token: test.token, Body: test.body,
			Header: map[string]string{"X-Request-Id": fmt.Sprint("request-", i)}})
		if test.method != "POST" && w.Events(t) != before {
			t.Errorf("%s appended an event", test.target)
		}
		if test.want != nil {
			if wants = append(wants, *test.want); a.Status != test.want.status {
				t.Errorf("%s: %d %s", test.target, a.Status, a.Body)
			}
		}
		flush()
	}
	got := readsOf(t, w, "limit=3")
	for i, r := range got[:min(len(got), len(wants))] {
		key := ""
		if r.KeyID != nil {
			key = *r.KeyID
		}
		if g := (want{r.Actor, r.Route, r.Query, key, r.Status}); g != wants[i] {
			t.Errorf("read %d is %+v, want %+v", i, g, wants[i])
		}
		if r.IP == nil || *r.IP != "127.0.0.1" || r.UserAgent == nil || *r.UserAgent != "tests" || *r.RequestID != fmt.Sprint("request-", i) {
			t.Errorf("read %d is not told where from: %+v", i, r)
		}
		if age := time.Since(r.Time); age < 0 || age > time.Minute {
			t.Errorf("read %d was at %v", i, r.Time)
		}
	}
	if len(got) < len(wants) || slices.ContainsFunc(got[len(wants):], func(r read) bool { return r.Route != "GET /v1/ledger/reads" }) {
		t.Errorf("%d reads were recorded, want %d and those of the record", len(got), len(wants))
	}
	if got := readsOf(t, w, "actor="+id); len(got) != 1 || got[0].Status != 403 {
		t.Errorf("by the key: %+v", got)
	}
	if got := readsOf(t, w, "key_id="+id); len(got) != 5 {
		t.Errorf("of the key: %+v", got)
	}
}

// A stream of reads has all of them, a line each.
func TestStreamOfReads(t *testing.T) {
	w := newWorld(t)
	batch := slices.Repeat(recordedReads(w.Now()), 200)
	for i := range 7 {
		batch[0].Actor = fmt.Sprint("batch ", i)
		w.store(batch)
	}
	a := w.do("GET", "/v1/ledger/reads", "", with("Accept", "application/x-ndjson"))
	hasStatus(t, a, http.StatusOK)
	n := 0
	for lines := bufio.NewScanner(strings.NewReader(string(a.text))); lines.Scan(); n++ {
		var r read
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.Route == "" {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if n%400 == 0 && r.Actor != fmt.Sprint("batch ", n/400) {
			t.Errorf("line %d is of %q", n, r.Actor)
		}
	}
	if n != 7*400 {
		t.Errorf("%d lines", n)
	}
}

// A read that cannot be recorded is refused, and tells nothing.
func TestReadsThatCannotBeRecordedAreRefused(t *testing.T) {
	reads := ledger.NewReads(ledgertest.NewLog(), time.Hour) // which nobody stores
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) { c.Reads = reads })
	key := w.key(ledger.Create{Name: "ci"})
	path := "/v1/keys/" + key.Key.ID.String()
	for reads.Record(&events.Read{Actor: "a", Route: "r", Status: 200, Time: time.Now()}) == nil {
	}
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		for _, p := range []string{path, path + "/events"} {
			a := w.do("GET", p, "", with("Accept", accept))
			hasStatus(t, a, http.StatusServiceUnavailable)
			if strings.Contains(string(a.text), "ci") && strings.Contains(string(a.text), key.Key.Hint) || a.Header.Get("Etag") != "" {
				t.Errorf("it tells something:\n%s", a.text)
			}
		}
	}
	a := w.do("POST", "/v1/keys/verify", `{"token":"`+key.Token.Reveal()+`"}`, nil)
	hasStatus(t, a, http.StatusOK)
	a = w.do("POST", path+"/revoke", "", nil)
	hasStatus(t, a, http.StatusOK)
}
