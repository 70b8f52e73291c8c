package agentex_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// The original's words for what is not there.
const (
	noKey   = "Agent api_key not found."
	noAgent = "Item with name 'nope' does not exist."
)

func TestCreateGetDelete(t *testing.T) {
	w := newWorld(t, false)
	id, _ := w.creates(t, `"name":"one"`)
	byID, byName := "/agent_api_keys/"+id, "/agent_api_keys/name/one?agent_name=test-agent"
	got := w.do(t, root("GET", byID, ""), 200)
	if got.Field("name") != "one" || got.Field("agent_id") != w.agent.ID || got.Field("api_key") != nil {
		t.Errorf("%s", got.Body)
	}
	if again := w.do(t, root("GET", byName, ""), 200); string(again.Body) != string(got.Body) {
		t.Errorf("by name it is %s", again.Body)
	}
	if again := w.do(t, root("GET", strings.Replace(byName, "agent_name=test-agent", "agent_id="+w.agent.ID, 1), ""), 200); string(again.Body) != string(got.Body) {
		t.Errorf("by name and agent id it is %s", again.Body)
	}
	events := w.Events(t)
	says(t, w.do(t, root("DELETE", byID, ""), 200), `"Agent API key with ID `+id+` deleted"`)
	if w.Events(t) == events {
		t.Error("nothing was appended")
	}
	says(t, w.do(t, root("GET", byID, ""), 404), message("404", "Item with id '"+id+"' does not exist."))
	says(t, w.do(t, root("GET", byName, ""), 404), message("404", noKey))

	events = w.Events(t)
	for _, absent := range []string{id, "nope", "00000000-0000-7000-8000-000000000000"} {
		says(t, w.do(t, root("DELETE", "/agent_api_keys/"+absent, ""), 200), `"Agent API key with ID `+absent+` deleted"`)
	}
	if w.Events(t) != events {
		t.Error("deleting what is not there appended events")
	}

	w.creates(t, `"name":"one"`) // the name is free again
	says(t, w.do(t, root("DELETE", byName+"&api_key_type=github", ""), 404), message("404", noKey))
	says(t, w.do(t, root("DELETE", byName, ""), 200), `"Agent api_key 'one' deleted"`)
	says(t, w.do(t, root("DELETE", byName, ""), 404), message("404", noKey))
	says(t, w.do(t, root("GET", "/agent_api_keys?agent_name=test-agent", ""), 200), `[]`)
}

// Every key of an agent is here by its id; one that is not of an agent is not.
func TestNativeKeys(t *testing.T) {
	w := newWorld(t, false)
	owner := ledger.Owner{AgentID: w.agent.ID, AgentName: w.agent.Name}
	native := w.Key(t, ledger.Create{Name: "native", Owner: owner}).Key
	other := w.Key(t, ledger.Create{Name: "other", Owner: ledger.Owner{Workspace: "acme", AgentID: w.agent.ID}}).Key
	if r := w.do(t, root("GET", "/agent_api_keys/"+native.ID.String(), ""), 200); r.Field("name") != "native" {
		t.Errorf("%s", r.Body)
	}
	list := w.do(t, root("GET", "/agent_api_keys?agent_id="+w.agent.ID, ""), 200)
	if !strings.Contains(string(list.Body), native.ID.String()) || strings.Contains(string(list.Body), other.ID.String()) {
		t.Errorf("%s", list.Body)
	}
	events := w.Events(t)
	for _, k := range []ledger.Key{{ID: w.Call.Principal.KeyID}, w.Key(t, ledger.Create{Name: "loose"}).Key} {
		events = w.Events(t)
		w.do(t, root("GET", "/agent_api_keys/"+k.ID.String(), ""), 404)
		w.do(t, root("DELETE", "/agent_api_keys/"+k.ID.String(), ""), 200)
	}
	if w.Events(t) != events {
		t.Error("a key of no agent was deleted")
	}
	w.do(t, root("DELETE", "/agent_api_keys/"+native.ID.String(), ""), 200)
	if k, err := w.Service.Key(t.Context(), &w.Call.Principal, native.ID); err != nil || k.RevokeReason != "deleted" {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t, false)
	w.creates(t, `"name":"one"`)
	w.creates(t, `"name":"two","api_key":"brought"`)
	const post = "/agent_api_keys"
	dup := func(kind, name string) string {
		return message("409", "AgentAPIKeyType."+kind+" agent API key '"+name+"' already exists for agent ID "+w.agent.ID+".")
	}
	body := func(members string) handlerstest.Request {
		return root("POST", post, `{"agent_name":"test-agent",`+members+`}`)
	}
	says(t, w.do(t, body(`"name":"one"`), 409), dup("EXTERNAL", "one"))
	says(t, w.do(t, body(`"name":"two","api_key":"brought"`), 409), dup("EXTERNAL", "two"))
	says(t, w.do(t, body(`"name":"three","api_key":"brought"`), 409), message("409", "The api_key is in use already."))
	says(t, w.do(t, root("POST", post, `{"name":"a","agent_name":"nope"}`), 404), message("404", noAgent))

	finds(t, w.do(t, body(`"name":"`+strings.Repeat("é", 121)+`"`), 422), "string_too_long body.name")
	finds(t, w.do(t, body(`"name":"a\u0000b"`), 422), "value_error body.name")
	finds(t, w.do(t, body(`"name":"a","api_key":"`+strings.Repeat("x", 513)+`"`), 422), "value_error body.api_key")
	finds(t, w.do(t, body(`"name":"a","api_key":"line\nbreak"`), 422), "value_error body.api_key")
	finds(t, w.do(t, root("POST", post, `{"agent_id":1,"agent_name":[],"api_key_type":null,"api_key":{}}`), 422),
		"string_type body.agent_id", "string_type body.agent_name", "missing body.name", "enum body.api_key_type", "string_type body.api_key")
	for text, want := range map[string]string{
		"null": "missing body", `"x"`: "model_attributes_type body", "{} {}": "json_invalid body.3", `{"name":"\ud800"}`: "json_invalid body.9",
	} {
		finds(t, w.do(t, root("POST", post, text), 422), want)
	}
	for kind, want := range map[string]string{"-": "model_attributes_type body", "application/x-www-form-urlencoded": "model_attributes_type body"} {
		in := body(`"name":"a"`)
		in.Header = map[string]string{"Content-Type": kind}
		finds(t, w.do(t, in, 422), want)
	}
	says(t, w.do(t, root("POST", post, "{\"name\":\"\xff\"}"), 400), `{"detail":"There was an error parsing the body"}`)
	says(t, w.do(t, root("POST", post, strings.Repeat(" ", handlers.DefaultMaxBody+1)), 413), message("413", "the body is larger than 65536 bytes"))
	if invalid := w.do(t, body(`"name":5,"api_key":["a-secret-value"]`), 422); strings.Contains(string(invalid.Body), "a-secret-value") {
		t.Errorf("it repeats a secret: %s", invalid.Body)
	}
}

// What is allowed, though it looks odd.
func TestCreateTakes(t *testing.T) {
	w := newWorld(t, false)
	w.creates(t, `"name":"`+strings.Repeat("é", 120)+`"`)
	w.creates(t, `"name":""`)
	w.do(t, root("POST", "/agent_api_keys", `{"agent_name":"test-agent","name":""}`), 409) // one per agent and type
	if _, value := w.creates(t, `"name":"last","name":"first","api_key":"x","api_key":null`); len(value) != 64 {
		t.Errorf("the last member does not count: %q", value)
	}
	w.do(t, root("GET", "/agent_api_keys/name/first?agent_name=nope&agent_name=test-agent", ""), 200)
	for i, kind := range []string{"APPLICATION/JSON; charset=utf-8", "application/problem+json", "application/json; ="} {
		in := root("POST", "/agent_api_keys", "\uFEFF"+fmt.Sprintf(`{"agent_name":"test-agent","name":"kind %d"}`, i))
		in.Header = map[string]string{"Content-Type": kind}
		r := w.Do(t, in)
		if w.Hide(fmt.Sprint(r.Field("api_key"))); r.Status != 200 {
			t.Errorf("%s: %d %s", kind, r.Status, r.Body)
		}
	}
}

func TestNamedRefuses(t *testing.T) {
	w := newWorld(t, false)
	for method, doing := range map[string]string{"GET": "get", "DELETE": "delete"} {
		const path = "/agent_api_keys/name/x"
		says(t, w.do(t, root(method, path, ""), 400), message("400", "Either 'agent_id' or 'agent_name' must be provided to "+doing+" an agent api_key."))
		says(t, w.do(t, root(method, path+"?agent_id=a&agent_name=b", ""), 400),
			message("400", "Only one of 'agent_id' or 'agent_name' should be provided to "+doing+" an agent api_key."))
		says(t, w.do(t, root(method, path+"?agent_name=nope", ""), 404), message("404", noAgent))
		says(t, w.do(t, root(method, path+"?agent_name=test-agent", ""), 404), message("404", noKey))
		finds(t, w.do(t, root(method, path+"?api_key_type=EXTERNAL", ""), 422), "enum query.api_key_type")
		for _, slash := range []string{"/agent_api_keys/name/o%2Fr", "/agent_api_keys/name/o/r", "/agent_api_keys/o%2Fr", "/agent_api_keys/%ff"} {
			says(t, w.do(t, root(method, slash+"?agent_name=test-agent", ""), 404), `{"detail":"Not Found"}`)
		}
	}
}

func TestListPages(t *testing.T) {
	w := newWorld(t, false)
	var ids []string
	for i := range 5 {
		id, _ := w.creates(t, fmt.Sprintf(`"name":"%d"`, i))
		ids = append(ids, id)
	}
	w.do(t, root("DELETE", "/agent_api_keys/"+ids[1], ""), 200)
	left := []string{ids[0], ids[2], ids[3], ids[4]}
	for page := range 4 {
		r := w.do(t, root("GET", fmt.Sprintf("/agent_api_keys?agent_name=test-agent&limit=2&page_number=%d", page+1), ""), 200)
		var got []string
		for _, k := range keysIn(t, r) {
			got = append(got, k.ID)
		}
		if want := left[min(2*page, 4):min(2*page+2, 4)]; !slices.Equal(got, want) {
			t.Errorf("page %d: %v, want %v", page+1, got, want)
		}
	}
	for _, page := range []string{"9223372036854775807", "99999999999999999999", "%201000%20"} {
		r := w.Do(t, root("GET", "/agent_api_keys?agent_name=test-agent&limit=1000&page_number="+page, ""))
		says(t, &r, `[]`)
	}
	finds(t, w.do(t, root("GET", "/agent_api_keys?limit=99999999999999999999&page_number=-99999999999999999999", ""), 422),
		"less_than_equal query.limit", "greater_than_equal query.page_number")
	finds(t, w.do(t, root("GET", "/agent_api_keys?limit=&page_number=1.5", ""), 422), "int_parsing query.limit", "int_parsing query.page_number")
}

// listed is a key in a list.
type listed struct {
	ID   string
	Name string
	Type string `json:"api_key_type"`
}

func keysIn(t *testing.T, r *handlerstest.Response) (keys []listed) {
	t.Helper()
	if err := json.Unmarshal(r.Body, &keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestMethods(t *testing.T) {
	w := newWorld(t, false)
	for target, allow := range map[string]string{
		"/agent_api_keys": "POST", "/agent_api_keys/x": "GET", "/agent_api_keys/name/x": "GET",
		"/agent_api_keys/webhook-trigger": "POST", "/agents/register": "POST",
	} {
		for _, method := range []string{"PUT", "PATCH", "OPTIONS"} {
			r := w.do(t, root(method, target, ""), 405)
			if says(t, r, `{"detail":"Method Not Allowed"}`); r.Header.Get("Allow") != allow {
				t.Errorf("%s: Allow is %q", target, r.Header.Get("Allow"))
			}
		}
	}
	if r := w.do(t, root("GET", "/agent_api_key", ""), 404); r.Field("code") != "not_found" {
		t.Errorf("an unknown path: %s", r.Body)
	}
}

// A ledger that does not take events says so in the original's shape; a create is not repeated blindly, as it may have
// been stored.
func TestUnavailable(t *testing.T) {
	faults := new(faulty)
	w := start(t, handlerstest.Options{Configure: faults.configure}, false)
	id, _ := w.creates(t, `"name":"one"`)
	for code, err := range map[string]error{"unavailable": ledger.ErrUnavailable, "overloaded": ledger.ErrOverloaded} {
		faults.set(err)
		create := w.do(t, root("POST", "/agent_api_keys", `{"name":"a","agent_name":"test-agent"}`), 503)
		remove := w.do(t, root("DELETE", "/agent_api_keys/"+id, ""), 503)
		faults.set(nil)
		for _, r := range []*handlerstest.Response{create, remove} {
			if r.Header.Get("Retry-After") != "1" || r.Field("code") != float64(503) || r.Field("message") == "" {
				t.Errorf("%s: %v %s", code, r.Header, r.Body)
			}
		}
		if create.Header.Get("X-Should-Retry") != map[string]string{"unavailable": "false"}[code] || remove.Header.Get("X-Should-Retry") != "" {
			t.Errorf("%s: X-Should-Retry is %q and %q", code, create.Header.Get("X-Should-Retry"), remove.Header.Get("X-Should-Retry"))
		}
	}
	w.do(t, root("POST", "/agent_api_keys", `{"name":"a","agent_name":"test-agent"}`), 200)
}

// A node that is cut off from the ledger knows nobody, and says so in the original's shape.
func TestStale(t *testing.T) {
	w := start(t, handlerstest.Options{Configure: func(_ *handlers.Config, rules *ledger.Config) { rules.MaxStaleness = -1 }}, false)
	for _, in := range w.routes("x") {
		in.Token = w.Root
		r := w.do(t, in, 503)
		if says(t, r, message("503", "this node is cut off from the ledger")); r.Header.Get("Retry-After") != "1" {
			t.Errorf("%v", r.Header)
		}
	}
}

func TestMinSequence(t *testing.T) {
	w := newWorld(t, false)
	in := root("GET", "/agent_api_keys?agent_name=test-agent", "")
	in.Header = map[string]string{"Keyledger-Min-Sequence": "x"}
	if r := w.do(t, in, http.StatusBadRequest); r.Field("code") != float64(400) {
		t.Errorf("%s", r.Body)
	}
}
