package agentex_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"keyledger/handlers/handlerstest"
)

// native sends a request of root to the native API.
func (w *world) native(t *testing.T, method, target, body string) handlerstest.Response {
	t.Helper()
	r := w.Do(t, root(method, target, body))
	if r.Status != 200 {
		t.Fatalf("%s %s: %d %s", method, target, r.Status, r.Body)
	}
	return r
}

// A key that is made here is one like any other: in the lists, in the history, verified, with its last use; and what
// ends it there ends it here, and the other way round.
func TestOtherViews(t *testing.T) {
	w := newWorld(t, true)
	id, token := w.creates(t, `"name":"seen"`)
	for _, list := range []string{"/v1/keys?limit=5", "/v1/agents/" + w.agent.ID + "/keys"} {
		if r := w.native(t, "GET", list, ""); !strings.Contains(string(r.Body), `"id":"`+id+`","name":"seen"`) || strings.Contains(string(r.Body), token) {
			t.Errorf("%s: %s", list, r.Body)
		}
	}
	k := w.native(t, "GET", "/v1/keys/"+id, "")
	if k.Field("agent_name") != "test-agent" || k.Field("agent_id") != w.agent.ID || k.Field("type") != "external" {
		t.Errorf("%s", k.Body)
	}
	verify := func() any { return fieldOf(w.native(t, "POST", "/v1/keys/verify", `{"token":"`+token+`"}`), "code") }
	if code := verify(); code != "VALID" {
		t.Errorf("it is %v", code)
	}
	w.WaitForUse(t, uuid.MustParse(id), 1)
	if use := w.native(t, "GET", "/v1/keys/"+id, ""); use.Field("last_used_at") == nil {
		t.Errorf("%s", use.Body)
	}
	w.do(t, root("DELETE", "/agent_api_keys/"+id, ""), 200)
	if code := verify(); code != "REVOKED" {
		t.Errorf("after a delete it is %v", code)
	}
	history := w.native(t, "GET", "/v1/keys/"+id+"/events", "")
	for _, event := range []string{"keyledger.key.created", "keyledger.key.revoked", `"deleted"`} {
		if !strings.Contains(string(history.Body), event) || strings.Contains(string(history.Body), token) {
			t.Errorf("the history lacks %s: %s", event, history.Body)
		}
	}

	id, token = w.creates(t, `"name":"seen"`)
	w.native(t, "POST", "/v1/keys/"+id+"/revoke", `{"reason":"leaked"}`)
	w.do(t, root("GET", "/agent_api_keys/"+id, ""), 404)
	w.do(t, root("GET", "/agent_api_keys/name/seen?agent_name=test-agent", ""), 404)
	says(t, w.do(t, root("GET", "/agent_api_keys?agent_name=test-agent", ""), 200), `[]`)
	in := handlerstest.Request{Method: "GET", Target: "/agent_api_keys/" + id, Header: map[string]string{"X-Agent-API-Key": token}}
	says(t, w.do(t, in, 401), agentUnauthorized)

	// An agent of the native API can be used here, and the other way round.
	made := w.Do(t, root("POST", "/v1/agents", `{"name":"Native Agent"}`))
	if r := w.do(t, root("POST", "/agent_api_keys", `{"name":"a","agent_name":"Native Agent"}`), 200); r.Field("agent_id") != made.Field("id") {
		t.Errorf("%s", r.Body)
	}
	r := w.registers(t, w.Root, "here")
	if a := w.native(t, "GET", "/v1/agents/"+r.Field("id").(string), ""); a.Field("name") != "here" {
		t.Errorf("%s", a.Body)
	}
}

func fieldOf(r handlerstest.Response, path string) any { return r.Field(path) }

// A signing secret is kept as a digest; a short one is no token.
func TestShortSecretIsNoToken(t *testing.T) {
	w := newWorld(t, false)
	w.creates(t, `"name":"o/r","api_key_type":"github","api_key":"s3cret"`)
	if r := w.native(t, "POST", "/v1/keys/verify", `{"token":"s3cret"}`); r.Field("code") != "MALFORMED" {
		t.Errorf("%s", r.Body)
	}
}

// An Idempotency-Key gives a repeat the first answer, with the value.
func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, false)
	in := root("POST", "/agent_api_keys", `{"name":"a","agent_name":"test-agent"}`)
	in.Header = map[string]string{"Idempotency-Key": "one"}
	first, events := w.do(t, in, 200), w.Events(t)
	if again := w.do(t, in, 200); string(again.Body) != string(first.Body) || w.Events(t) != events {
		t.Errorf("%s, then %s", first.Body, again.Body)
	}
	in.Body = strings.Replace(in.Body, `"a"`, `"b"`, 1)
	if r := w.do(t, in, 422); r.Field("code") != float64(422) {
		t.Errorf("%s", r.Body)
	}
}
