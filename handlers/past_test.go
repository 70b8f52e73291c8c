package handlers_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// frozen is a world whose clock moves by hand alone, and the time on it in microseconds since 1970.
func frozen(t *testing.T, change ...func(*handlers.Config, *ledger.Config)) (*world, *atomic.Int64) {
	micros := new(atomic.Int64)
	micros.Store(time.Now().UnixMicro())
	now := func() time.Time { return time.UnixMicro(micros.Load()).UTC() }
	change = append(change, func(config *handlers.Config, rules *ledger.Config) { config.Now, rules.Now = now, now })
	return newWorld(t, change...), micros
}

// recorded is what was answered at a time, when an event was the last one.
type recorded struct {
	at       int64
	sequence int // 0: it does not bear that time
	path     string
	code     int
	text     string
}

// What is answered as of a time, and as of a sequence, is what was answered then, byte for byte, whatever happened since. Every
// check makes the history of one ledger longer, and asks for something of its past.
func TestAsOfIsWhatWasAnswered(t *testing.T) {
	w, clock := frozen(t)
	var keys []string
	var ofKeys, lists []recorded
	rapid.Check(t, func(rt *rapid.T) {
		clock.Add(rapid.Int64Range(1, 3_000_000).Draw(rt, "time"))
		before := w.log.Len()
		w.step(rt, clock.Load(), &keys)
		clock.Add(rapid.SampledFrom([]int64{0, 0, 900_000}).Draw(rt, "until it is read"))
		sequence := w.log.Len()
		if messages, err := w.log.Read(t.Context(), uint64(sequence)); err != nil {
			rt.Fatal(err)
		} else if sequence == before || messages[0].Time.UnixMicro() != clock.Load() {
			sequence = 0
		}
		for _, path := range []string{"/v1/keys?limit=1000", "/v1/workspaces/acme/keys", "/v1/orgs/eu/keys", "/v1/agents/bot/keys",
			"/v1/keys?status=expired", "/v1/agents", "/v1/agents?workspace_id=acme", "/v1/webhooks", "/v1/webhooks?workspace_id=acme"} {
			lists = append(lists, w.record(path, clock.Load(), sequence))
		}
		for _, id := range keys[max(0, len(keys)-5):] {
			ofKeys = append(ofKeys, w.record("/v1/keys/"+id, clock.Load(), sequence))
		}
		asked := rapid.SliceOfN(rapid.SampledFrom(lists), 2, 2).Draw(rt, "lists") // each is made of the whole ledger
		if len(ofKeys) > 0 {
			asked = append(asked, rapid.SliceOfN(rapid.SampledFrom(ofKeys), 5, 5).Draw(rt, "keys")...)
		}
		for _, then := range asked {
			w.isAsOf(rt, &then)
		}
	})
}

// record asks for a path now.
func (w *world) record(path string, now int64, sequence int) recorded {
	a := w.do("GET", path, "", nil)
	return recorded{now, sequence, path, a.StatusCode, unused(a.text)}
}

// isAsOf fails unless what was answered then is answered as of then.
func (w *world) isAsOf(t *rapid.T, then *recorded) {
	paths := []string{asOf(then.path, "at", time.UnixMicro(then.at).UTC().Format(time.RFC3339Nano))}
	if then.sequence > 0 {
		paths = append(paths, asOf(then.path, "at_seq", fmt.Sprint(then.sequence)))
	}
	for _, path := range paths {
		if a := w.do("GET", path, "", nil); a.StatusCode != then.code || string(a.text) != then.text {
			t.Fatalf("%s\n got %s\nwant %s", path, a.text, then.text)
		}
	}
}

// unused is an answer with keys that were never used: uses are not in the ledger.
func unused(text []byte) string {
	uses := regexp.MustCompile(`"last_used_at":("[^"]*"|null),"use_count":\d+`)
	return uses.ReplaceAllString(string(text), `"last_used_at":null,"use_count":0`)
}

// step is a command, which may be refused.
func (w *world) step(t *rapid.T, now int64, keys *[]string) {
	switch rapid.IntRange(0, 6).Draw(t, "what") {
	case 0:
		w.do("POST", "/v1/agents", rapid.SampledFrom([]string{
			`{"name":"one","workspace_id":"acme"}`, `{"name":"two","workspace_id":"acme"}`, `{"name":"one"}`}).Draw(t, "agent"), nil)
		return
	case 1:
		w.hookStep(t)
		return
	}
	if len(*keys) == 0 || rapid.IntRange(0, 2).Draw(t, "create") == 0 {
		owner := rapid.SampledFrom([]string{`"workspace_id":"acme"`, `"workspace_id":"other","org_id":"eu"`, `"agent_id":"bot"`,
			`"workspace_id":"acme","org_id":"eu","agent_id":"bot"`, `"workspace_id":"b/ü.*"`}).Draw(t, "owner")
		expiry := time.UnixMicro(now).Add(time.Duration(rapid.IntRange(1, 8).Draw(t, "life")) * time.Second)
		body := fmt.Sprintf(`{"name":"key %d","expires_at":%q,%s}`, len(*keys), expiry.UTC().Format(time.RFC3339Nano), owner)
		if a := w.do("POST", "/v1/keys", body, nil); a.StatusCode == http.StatusCreated {
			*keys = append(*keys, a.field("id").(string))
		}
		return
	}
	path := "/v1/keys/" + rapid.SampledFrom(*keys).Draw(t, "key")
	switch rapid.SampledFrom([]string{"update", "rotate", "disable", "enable", "revoke"}).Draw(t, "command") {
	case "update":
		w.do("PATCH", path, `{"name":"another","metadata":{"a":1}}`, nil)
	case "rotate":
		w.do("POST", path+"/rotate", `{"grace_seconds":2}`, nil)
	case "disable":
		w.do("POST", path+"/disable", "", nil)
	case "enable":
		w.do("POST", path+"/enable", "", nil)
	case "revoke":
		w.do("POST", path+"/revoke", `{"reason":"test"}`, nil)
	}
}

// hookStep makes an endpoint, or changes or deletes the newest.
func (w *world) hookStep(t *rapid.T) {
	newest, _ := w.do("GET", "/v1/webhooks?limit=1", "", nil).field("data").([]any)
	if len(newest) == 0 || rapid.Bool().Draw(t, "new hook") {
		w.do("POST", "/v1/webhooks", rapid.SampledFrom([]string{
			`{"url":"https://192.0.2.1/a","workspace_id":"acme"}`, `{"url":"https://192.0.2.1/b"}`}).Draw(t, "hook"), nil)
		return
	}
	path := "/v1/webhooks/" + newest[0].(map[string]any)["id"].(string)
	switch rapid.SampledFrom([]string{"update", "disable", "delete"}).Draw(t, "change") {
	case "update":
		w.do("PATCH", path, `{"name":"another"}`, nil)
	case "disable":
		w.do("POST", path+"/disable", "", nil)
	case "delete":
		w.do("DELETE", path, "", nil)
	}
}

// asOf adds a parameter to a path.
func asOf(path, name, value string) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + name + "=" + url.QueryEscape(value)
}

func asOfSequence(path string, sequence uint64) string {
	return asOf(path, "at_seq", fmt.Sprint(sequence))
}

func TestAsOfSequence(t *testing.T) {
	w := newWorld(t)
	first := w.key(ledger.Create{Name: "first"}).Key
	second := w.key(ledger.Create{Name: "second"}).Key
	path := "/v1/keys/" + first.ID.String()
	hasStatus(t, w.do("PATCH", path, `{"name":"renamed"}`, nil), http.StatusOK)
	a := w.do("GET", asOfSequence(path, second.Sequence), "", with("If-None-Match", "*"))
	if a.StatusCode != http.StatusOK || a.field("name") != "first" || a.Header.Get("ETag") != "" {
		t.Errorf("%s, ETag %q", a.text, a.Header.Get("ETag"))
	}
	hasStatus(t, w.do("GET", asOfSequence("/v1/keys/"+second.ID.String(), first.Sequence), "", nil), http.StatusNotFound)
	a = w.do("GET", asOfSequence("/v1/keys", first.Sequence), "", nil)
	if bytes.Contains(a.text, []byte("second")) || !bytes.Contains(a.text, []byte(`"first"`)) {
		t.Errorf("%s", a.text)
	}
	if a := w.do("GET", "/v1/keys?at=1999-01-01T00:00:00Z", "", nil); string(a.text) != `{"data":[],"next_cursor":null}`+"\n" {
		t.Errorf("before all: %s", a.text)
	}
	long := w.do("GET", asOfSequence("/v1/workspaces/"+strings.Repeat("w", 200)+"/keys", 1), "", nil)
	if string(long.text) != `{"data":[],"next_cursor":null}`+"\n" {
		t.Errorf("an id over 128 bytes: %s", long.text)
	}
}

// Pages of a list as of a moment are of that moment, whatever is created meanwhile, even if it bears the same time.
func TestAsOfPages(t *testing.T) {
	w, clock := frozen(t)
	var first, last ledger.Key
	for i := range 25 {
		last = w.key(ledger.Create{Name: fmt.Sprintf("key %d", i), Owner: ledger.Owner{Workspace: "acme"}}).Key
		if i == 0 {
			first = last
		}
		hasStatus(t, w.do("POST", "/v1/agents", fmt.Sprintf(`{"name":"a%d","workspace_id":"acme"}`, i), nil), http.StatusCreated)
		hasStatus(t, w.do("POST", "/v1/webhooks", `{"url":"https://192.0.2.1","workspace_id":"acme"}`, nil), http.StatusCreated)
	}
	at := time.UnixMicro(clock.Load()).UTC().Format(time.RFC3339Nano)
	for _, list := range []string{"/v1/workspaces/acme/keys?limit=10", "/v1/keys?limit=10", "/v1/agents?limit=10", "/v1/webhooks?limit=10"} {
		want := strings.Join(w.pages(list, "id"), " ")
		text := w.do("GET", strings.Replace(list, "limit=10", "limit=1000", 1), "", nil).text
		sequence := uint64(w.log.Len())
		var got []string
		next := asOf(list, "at", at)
		for page := next; page != ""; {
			a := w.do("GET", page, "", nil)
			hasStatus(t, a, http.StatusOK)
			for _, entry := range a.field("data").([]any) {
				member := entry.(map[string]any)
				got = append(got, member["id"].(string))
				if name, ok := member["name"].(string); ok && !bytes.Contains(text, []byte(strconv.Quote(name))) {
					t.Errorf("%s: has %s, of a later moment", page, name)
				}
			}
			page = ""
			if cursor, ok := a.field("next_cursor").(string); ok {
				page = next + "&cursor=" + url.QueryEscape(cursor)
			}
			w.key(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}})
			renamed := fmt.Sprintf(`{"name":"renamed at %d"}`, w.log.Len())
			hasStatus(t, w.do("PATCH", "/v1/keys/"+first.ID.String(), renamed, nil), http.StatusOK) // it is on the last page
			hasStatus(t, w.do("POST", "/v1/agents", fmt.Sprintf(`{"name":"b%d","workspace_id":"acme"}`, w.log.Len()), nil), http.StatusCreated)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s at\n got %v\nwant %v", list, got, want)
		}
		if got := strings.Join(w.pages(asOfSequence(list, sequence), "id"), " "); got != want {
			t.Errorf("%s at_seq\n got %v\nwant %v", list, got, want)
		}
	}
	cursor, _ := w.do("GET", asOfSequence("/v1/keys?limit=1", last.Sequence), "", nil).field("next_cursor").(string)
	for _, path := range []string{"/v1/keys?limit=1", asOfSequence("/v1/keys?limit=1", last.Sequence-1)} {
		hasStatus(t, w.do("GET", path+"&cursor="+url.QueryEscape(cursor), "", nil), http.StatusBadRequest)
	}
}

// replays are the makings of states of a world: each tells that it began, and goes on when it may.
type replays struct {
	began chan ledger.Beginning
	free  chan struct{} // closed: all may
}

// held is a world in which states of the past are not made before they may be.
func held(t *testing.T, most int) (*world, *replays) {
	r := &replays{began: make(chan ledger.Beginning, 16), free: make(chan struct{})}
	w := newWorld(t, func(_ *handlers.Config, rules *ledger.Config) {
		replay := rules.Replay
		rules.PastEvents = most
		rules.Replay = func(ctx context.Context, b ledger.Beginning) (ledger.PastState, error) {
			r.began <- b
			select {
			case <-r.free:
				return replay(ctx, b)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	})
	return w, r
}

// Who may see what is as it is now, a foreign tenant learns nothing, and what is refused costs nothing.
func TestAsOfIsConfined(t *testing.T) {
	w, r := held(t, 0)
	foreign := w.key(ledger.Create{Name: "foreign", Owner: ledger.Owner{Workspace: "other"}}).Key
	mine := w.key(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeRead}})
	poor := w.key(ledger.Create{Scopes: []string{ledger.ScopeVerify}})
	header := with("Authorization", "Bearer "+mine.Token.Reveal())
	at := poor.Key.Sequence
	for path, status := range map[string]int{
		"/v1/keys/" + foreign.ID.String():        http.StatusNotFound,
		"/v1/workspaces/other/keys":              http.StatusNotFound,
		"/v1/agents?workspace_id=other":          http.StatusNotFound,
		"/v1/webhooks?workspace_id=acme":         http.StatusForbidden,
		"/v1/keys?limit=0":                       http.StatusBadRequest,
		"/v1/keys?status=gone":                   http.StatusBadRequest,
		"/v1/keys?cursor=AAAA":                   http.StatusBadRequest,
		"/v1/keys?used_before=" + stamp(w.Now()): http.StatusBadRequest,
	} {
		for _, accept := range []string{"application/json", "application/x-ndjson"} {
			header["Accept"] = accept
			hasStatus(t, w.do("GET", asOfSequence(path, at), "", header), status)
		}
	}
	hasStatus(t, w.do("GET", asOfSequence("/v1/keys", at), "", with("Authorization", "Bearer "+poor.Token.Reveal())), http.StatusForbidden)
	if len(r.began) > 0 {
		t.Errorf("%d states were made for nothing", len(r.began))
	}
	close(r.free)
	delete(header, "Accept")
	a := w.do("GET", asOfSequence("/v1/keys", at), "", header)
	hasStatus(t, a, http.StatusOK)
	if bytes.Contains(a.text, []byte("foreign")) || !bytes.Contains(a.text, []byte(mine.Key.ID.String())) {
		t.Errorf("%s", a.text)
	}
	if b := <-r.began; b.Filter != "ledger.acme.*.*.*" {
		t.Errorf("made of %s", b.Filter)
	}
}

// One list is made for a caller at a time, two in all; who wants the same waits for it.
func TestAsOfTwoCallers(t *testing.T) {
	w, r := held(t, 0)
	header := func() map[string]string {
		key := w.key(ledger.Create{Scopes: []string{ledger.ScopeRead}})
		return with("Authorization", "Bearer "+key.Token.Reveal())
	}
	one, two, three := header(), header(), header()
	last := uint64(w.log.Len())
	answers := make(chan *answer, 3)
	ask := func(at uint64, header map[string]string) {
		recorder := httptest.NewRecorder()
		w.Server.ServeHTTP(recorder, request("GET", asOfSequence("/v1/keys", at), "", header))
		answers <- &answer{Response: recorder.Result(), text: recorder.Body.Bytes()}
	}
	go ask(last, one)
	<-r.began
	busy := w.do("GET", asOfSequence("/v1/keys", last-1), "", one)
	hasStatus(t, busy, http.StatusTooManyRequests)
	if busy.Header.Get("Retry-After") != "1" || busy.field("code") != "busy" {
		t.Errorf("%v\n%s", busy.Header, busy.text)
	}
	go ask(last-1, two)
	<-r.began
	hasStatus(t, w.do("GET", asOfSequence("/v1/workspaces/acme/keys", last), "", three), http.StatusTooManyRequests)
	go ask(last, three)
	hasStatus(t, w.do("GET", "/v1/keys", "", one), http.StatusOK) // the present is not held up
	close(r.free)
	for range 3 {
		hasStatus(t, <-answers, http.StatusOK)
	}
	if len(r.began) > 0 {
		t.Error("the same was made twice")
	}
	hasStatus(t, w.do("GET", asOfSequence("/v1/workspaces/acme/keys", last), "", three), http.StatusOK)
}

// A list that would be made of too much is refused; one of a small owner is not.
func TestAsOfBound(t *testing.T) {
	w, r := held(t, 12)
	close(r.free)
	for range 20 {
		w.key(ledger.Create{Owner: ledger.Owner{Workspace: "large"}})
	}
	small := w.key(ledger.Create{Owner: ledger.Owner{Workspace: "small"}}).Key
	for _, path := range []string{"/v1/keys", "/v1/workspaces/large/keys"} {
		a := w.do("GET", asOfSequence(path, small.Sequence), "", nil)
		hasStatus(t, a, http.StatusBadRequest)
		if detail, _ := a.field("detail").(string); !strings.Contains(detail, "more than 12 events") {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	hasStatus(t, w.do("GET", asOfSequence("/v1/workspaces/large/keys", 5), "", nil), http.StatusOK)
	a := w.do("GET", asOfSequence("/v1/workspaces/small/keys", small.Sequence), "", nil)
	if !bytes.Contains(a.text, []byte(small.ID.String())) {
		t.Errorf("%s", a.text)
	}
	a = w.do("GET", asOfSequence("/v1/workspaces/large/keys", small.Sequence), "", with("Accept", "application/x-ndjson"))
	lines := strings.Split(strings.TrimSpace(string(a.text)), "\n")
	problem, _ := handlerstest.Field([]byte(lines[len(lines)-1]), "error.detail").(string)
	if status := handlerstest.Field([]byte(lines[len(lines)-1]), "error.status"); !strings.Contains(problem, "more than 12") || status != 400.0 {
		t.Errorf("%s", a.text)
	}
}

// A client that accepts NDJSON is told how far it is while a list is made, over a real connection.
func TestAsOfProgress(t *testing.T) {
	w, r := held(t, 0)
	key := w.key(ledger.Create{Name: "one"}).Key
	ask := func() *bufio.Scanner {
		q, err := http.NewRequestWithContext(t.Context(), "GET", w.URL+asOfSequence("/v1/keys", key.Sequence), nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+rootToken)
		q.Header.Set("Accept", "application/x-ndjson")
		a, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Body.Close() })
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%d %s", a.StatusCode, a.Header)
		}
		return bufio.NewScanner(a.Body)
	}
	lines := ask()
	if want := fmt.Sprintf(`{"progress":{"done":0,"of":%d}}`, key.Sequence); !lines.Scan() || lines.Text() != want {
		t.Errorf("%s, want %s: %v", lines.Text(), want, lines.Err())
	}
	close(r.free)
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if !strings.HasPrefix(last, `{"data":[{"id":"`) || lines.Err() != nil {
		t.Errorf("%s, %v", last, lines.Err())
	}
	again := ask() // it is kept: the page is the only line
	if !again.Scan() || again.Text() != last || again.Scan() {
		t.Errorf("%s", again.Text())
	}
}

// The same on JetStream with views on disk.
func TestAsOfOnJetStream(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{JetStream: true})
	get := func(path string) handlerstest.Response {
		t.Helper()
		a := w.Do(t, handlerstest.Request{Method: "GET", Target: path, Token: w.Root})
		if a.Status != http.StatusOK {
			t.Fatalf("%s: %d\n%s", path, a.Status, a.Body)
		}
		return a
	}
	key := w.Key(t, ledger.Create{Name: "first", Owner: ledger.Owner{Workspace: "acme"}}).Key
	for range 150 { // more than the view of times leaves
		w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: "other"}})
	}
	name := "second"
	renamed, err := w.Service.Update(t.Context(), &w.Call, key.ID, &ledger.Update{Name: &name})
	if err == nil {
		_, err = w.Service.Revoke(t.Context(), &w.Call, key.ID, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, parameter, value, name string
	}{
		{"", "at", key.CreatedAt.Format(time.RFC3339Nano), "first"},
		{"", "at", renamed.UpdatedAt.Add(-time.Microsecond).Format(time.RFC3339Nano), "first"},
		{"", "at", renamed.UpdatedAt.Format(time.RFC3339Nano), "second"},
		{"", "at_seq", fmt.Sprint(key.Sequence), "first"},
		{"", "at_seq", fmt.Sprint(renamed.Sequence), "second"},
	} {
		one := get(asOf("/v1/keys/"+key.ID.String(), c.parameter, c.value))
		if one.Field("name") != c.name || one.Field("status") != "active" {
			t.Errorf("%s %s: %s", c.parameter, c.value, one.Body)
		}
		for _, list := range []string{"/v1/workspaces/acme/keys", "/v1/keys?limit=1000"} {
			if many := get(asOf(list, c.parameter, c.value)); !bytes.Contains(many.Body, bytes.TrimSpace(one.Body)) {
				t.Errorf("%s %s %s: %s", list, c.parameter, c.value, many.Body)
			}
		}
	}
}

// Whatever changes something, and what has no past, takes neither parameter.
func TestOnlyReadsAreAsOf(t *testing.T) {
	w := newWorld(t)
	asked := 0
	for _, route := range w.Server.Routes() {
		if strings.Contains(strings.Join(route.Query, " "), "at_seq") {
			asked++
			if route.Method != "GET" {
				t.Errorf("%s %s takes at_seq", route.Method, route.Path)
			}
		}
	}
	if asked != 8 {
		t.Errorf("%d routes take at_seq", asked)
	}
	key := w.key(ledger.Create{}).Key.ID.String()
	for _, c := range []string{"POST /v1/keys", "PATCH /v1/keys/" + key, "POST /v1/keys/" + key + "/revoke", "POST /v1/keys/verify",
		"GET /v1/keys/" + key + "/events", "GET /v1/keys/" + key + "/usage", "GET /v1/events"} {
		method, path, _ := strings.Cut(c, " ")
		a := w.do(method, asOfSequence(path, 1), `{}`, nil)
		if a.StatusCode != http.StatusBadRequest || a.events > 0 {
			t.Errorf("%s: %d, %d events", c, a.StatusCode, a.events)
		}
	}
}
