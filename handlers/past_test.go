package handlers_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyledger/handlers"
	"keyledger/ledger"
)

// recorded is what was answered at a time.
type recorded struct {
	at   time.Time
	path string
	code int
	text string
}

// What is answered as of a time is what was answered then, byte for byte, whatever happened since. Every check makes the history
// of one ledger longer, and asks for something of its past.
func TestAsOfIsWhatWasAnswered(t *testing.T) {
	w := newWorld(t)
	var keys []string
	var ofKeys, lists []recorded
	rapid.Check(t, func(rt *rapid.T) {
		w.step(rt, &keys)
		w.Later(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
		for _, path := range []string{"/v1/keys?limit=1000", "/v1/workspaces/acme/keys", "/v1/keys?status=expired", "/v1/agents?workspace_id=acme"} {
			lists = append(lists, w.record(path))
		}
		for _, id := range keys[max(0, len(keys)-5):] {
			ofKeys = append(ofKeys, w.record("/v1/keys/"+id))
		}
		asked := []recorded{rapid.SampledFrom(lists).Draw(rt, "list")} // one only: it is made of the whole ledger
		if len(ofKeys) > 0 {
			asked = append(asked, rapid.SliceOfN(rapid.SampledFrom(ofKeys), 5, 5).Draw(rt, "keys")...)
		}
		for _, then := range asked {
			a := w.do("GET", asOf(then.path, "at", then.at.Format(time.RFC3339Nano)), "", nil)
			if a.StatusCode != then.code || unused(a.text) != then.text {
				rt.Fatalf("%s as of %s\n got %s\nwant %s", then.path, then.at, a.text, then.text)
			}
		}
	})
}

// record asks for a path now.
func (w *world) record(path string) recorded {
	at := w.Now()
	a := w.do("GET", path, "", nil)
	return recorded{at, path, a.StatusCode, unused(a.text)}
}

// unused is an answer with keys that were never used: uses are not in the ledger.
func unused(text []byte) string {
	uses := regexp.MustCompile(`"last_used_at":("[^"]*"|null),"use_count":\d+`)
	return uses.ReplaceAllString(string(text), `"last_used_at":null,"use_count":0`)
}

// step is a command, which may be refused.
func (w *world) step(t *rapid.T, keys *[]string) {
	if len(*keys) == 0 || rapid.IntRange(0, 2).Draw(t, "create") == 0 {
		body := fmt.Sprintf(`{"name": "key %d", "workspace_id": %q, "expires_at": %q}`, len(*keys),
			rapid.SampledFrom([]string{"acme", "other"}).Draw(t, "workspace"),
			w.Now().Add(time.Duration(rapid.IntRange(1, 8).Draw(t, "life"))*time.Second).Format(time.RFC3339))
		if rapid.Bool().Draw(t, "agent") {
			body = fmt.Sprintf(`{"name": "key %d", "workspace_id": "acme", "agent_name": "bot"}`, len(*keys))
		}
		if a := w.do("POST", "/v1/keys", body, nil); a.StatusCode == http.StatusCreated {
			*keys = append(*keys, a.field("id").(string))
		}
		return
	}
	path := "/v1/keys/" + rapid.SampledFrom(*keys).Draw(t, "key")
	switch rapid.SampledFrom([]string{"update", "rotate", "disable", "enable", "revoke"}).Draw(t, "command") {
	case "update":
		w.do("PATCH", path, `{"name": "another", "metadata": {"a": 1}}`, nil)
	case "rotate":
		w.do("POST", path+"/rotate", `{"grace_seconds": 2}`, nil)
	case "disable":
		w.do("POST", path+"/disable", "", nil)
	case "enable":
		w.do("POST", path+"/enable", "", nil)
	case "revoke":
		w.do("POST", path+"/revoke", `{"reason": "test"}`, nil)
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

func TestAsOfSequence(t *testing.T) {
	w := newWorld(t)
	first := w.key(ledger.Create{Name: "first"}).Key
	second := w.key(ledger.Create{Name: "second"}).Key
	hasStatus(t, w.do("PATCH", "/v1/keys/"+first.ID.String(), `{"name": "renamed"}`, nil), http.StatusOK)
	seq := func(n uint64) string { return fmt.Sprint(n) }
	if a := w.do("GET", asOf("/v1/keys/"+first.ID.String(), "at_seq", seq(second.Sequence)), "", nil); a.field("name") != "first" ||
		a.Header.Get("ETag") != "" {
		t.Errorf("%s, ETag %q", a.text, a.Header.Get("ETag"))
	}
	hasStatus(t, w.do("GET", asOf("/v1/keys/"+second.ID.String(), "at_seq", seq(first.Sequence)), "", nil), http.StatusNotFound)
	if a := w.do("GET", asOf("/v1/keys", "at_seq", seq(first.Sequence)), "", nil); bytes.Contains(a.text, []byte("second")) ||
		!bytes.Contains(a.text, []byte(`"first"`)) {
		t.Errorf("%s", a.text)
	}
	for _, query := range []string{"at_seq=0", "at_seq=1000", "at_seq=x", "at=yesterday", "at=2999-01-01T00:00:00Z",
		"at=2026-01-01T00:00:00Z&at_seq=1"} {
		hasStatus(t, w.do("GET", "/v1/keys/"+first.ID.String()+"?"+query, "", nil), http.StatusBadRequest)
		hasStatus(t, w.do("GET", "/v1/keys?"+query, "", nil), http.StatusBadRequest)
	}
	hasStatus(t, w.do("GET", "/v1/keys?at_seq=1&unused_since=2026-01-01T00:00:00Z", "", nil), http.StatusBadRequest)
	if a := w.do("GET", "/v1/keys?at=1999-01-01T00:00:00Z", "", nil); string(a.text) != `{"data":[],"next_cursor":null}`+"\n" {
		t.Errorf("before all: %s", a.text)
	}
}

// Pages of a list as of a moment are of that moment, whatever is created meanwhile.
func TestAsOfPages(t *testing.T) {
	w := newWorld(t)
	var last ledger.Key
	for i := range 25 {
		last = w.key(ledger.Create{Name: fmt.Sprintf("key %d", i), Owner: ledger.Owner{Workspace: "acme"}}).Key
	}
	at := fmt.Sprint(last.Sequence)
	want := w.pages("/v1/keys?workspace_id=acme", "id")
	var got []string
	next := asOf("/v1/workspaces/acme/keys?limit=10", "at_seq", at)
	for page := next; page != ""; {
		a := w.do("GET", page, "", nil)
		hasStatus(t, a, http.StatusOK)
		for _, key := range a.field("data").([]any) {
			got = append(got, key.(map[string]any)["id"].(string))
		}
		page = ""
		if cursor, ok := a.field("next_cursor").(string); ok {
			page = next + "&cursor=" + url.QueryEscape(cursor)
		}
		w.key(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}})
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// Who may see what is as it is now, and a foreign tenant learns nothing.
func TestAsOfIsConfined(t *testing.T) {
	w := newWorld(t)
	foreign := w.key(ledger.Create{Name: "foreign", Owner: ledger.Owner{Workspace: "other"}}).Key
	mine := w.key(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeRead}})
	header := map[string]string{"Authorization": "Bearer " + mine.Token.Reveal()}
	at := fmt.Sprint(mine.Key.Sequence)
	hasStatus(t, w.do("GET", asOf("/v1/keys/"+foreign.ID.String(), "at_seq", at), "", header), http.StatusNotFound)
	hasStatus(t, w.do("GET", asOf("/v1/workspaces/other/keys", "at_seq", at), "", header), http.StatusNotFound)
	if a := w.do("GET", asOf("/v1/keys", "at_seq", at), "", header); bytes.Contains(a.text, []byte("foreign")) {
		t.Errorf("%s", a.text)
	}
}

// A client that accepts NDJSON is told how far the replay is.
func TestAsOfProgress(t *testing.T) {
	w := newWorld(t)
	key := w.key(ledger.Create{Name: "one"}).Key
	a := w.do("GET", asOf("/v1/keys", "at_seq", fmt.Sprint(key.Sequence)), "", map[string]string{"Accept": "application/x-ndjson"})
	hasStatus(t, a, http.StatusOK)
	lines := strings.Split(strings.TrimSpace(string(a.text)), "\n")
	of := fmt.Sprintf(`,"of":%d}}`, key.Sequence)
	if len(lines) < 2 || !strings.HasPrefix(lines[0], `{"progress":{"done":`) || !strings.HasSuffix(lines[0], of) ||
		!strings.HasPrefix(lines[len(lines)-1], `{"data":[{"id":"`) {
		t.Errorf("%s", a.text)
	}
}

// What is refused is refused before the ledger is replayed for it.
func TestAsOfRefusesFirst(t *testing.T) {
	replays := 0
	w := newWorld(t, func(_ *handlers.Config, rules *ledger.Config) {
		replay := rules.Replay
		rules.Replay = func(ctx context.Context, until uint64, progress func(done, total uint64)) (ledger.PastState, error) {
			replays++
			return replay(ctx, until, progress)
		}
	})
	blind := w.key(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeEvents}})
	header := map[string]string{"Authorization": "Bearer " + blind.Token.Reveal()}
	at := fmt.Sprint(blind.Key.Sequence)
	for _, path := range []string{"/v1/keys", "/v1/workspaces/acme/keys", "/v1/agents", "/v1/agents/bot7"} {
		hasStatus(t, w.do("GET", asOf(path, "at_seq", at), "", header), http.StatusForbidden)
	}
	for _, path := range []string{"/v1/keys?limit=0", "/v1/keys?cursor=x", "/v1/keys?status=x", "/v1/agents?limit=0", "/v1/agents?cursor=x"} {
		hasStatus(t, w.do("GET", asOf(path, "at_seq", at), "", nil), http.StatusBadRequest)
	}
	if replays != 0 {
		t.Errorf("the ledger was replayed %d times", replays)
	}
	hasStatus(t, w.do("GET", asOf("/v1/keys", "at_seq", at), "", nil), http.StatusOK)
	if replays != 1 {
		t.Errorf("the ledger was replayed %d times for a list", replays)
	}
}
