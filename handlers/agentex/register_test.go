package agentex_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// registers registers an agent over HTTP.
func (w *world) registers(t testing.TB, token, name string) *handlerstest.Response {
	t.Helper()
	body := `{"name":"` + name + `","description":"It tests.","acp_url":"http://a:1","acp_type":"async","registration_metadata":{"a":[1]}}`
	return w.do(t, handlerstest.Request{Method: "POST", Target: "/agents/register", Token: token, Body: body}, 200)
}

// internal is the internal key of an agent.
func (w *world) internal(t testing.TB, agent string) ledger.Key {
	t.Helper()
	list := w.do(t, root("GET", "/agent_api_keys/name/"+agent+"-api-key?api_key_type=internal&agent_name="+agent, ""), 200)
	k, err := w.Service.Key(t.Context(), &w.Call.Principal, uuid.MustParse(list.Field("id").(string)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRegister(t *testing.T) {
	w := newWorld(t, true)
	r := w.registers(t, w.Root, "an-agent")
	key := r.Field("agent_api_key").(string)
	if len(key) != 64 || r.Field("description") != "It tests." || r.Field("acp_type") != "async" || r.Field("status") != "Ready" ||
		fmt.Sprint(r.Field("registration_metadata")) != "map[a:[1]]" {
		t.Errorf("%s", r.Body)
	}
	events := w.Events(t)
	again := w.registers(t, w.Root, "an-agent")
	if again.Field("agent_api_key") != key || again.Field("id") != r.Field("id") || again.Field("created_at") != r.Field("created_at") || w.Events(t) != events {
		t.Errorf("again, with %d events: %s", w.Events(t)-events, again.Body)
	}
	if other := w.registers(t, w.Root, "other").Field("agent_api_key"); other == key {
		t.Error("two agents have one key")
	}

	// It sees the keys of its agent, and changes nothing.
	in := handlerstest.Request{Method: "GET", Target: "/agent_api_keys?agent_name=an-agent", Header: map[string]string{"X-Agent-API-Key": key}}
	if got := keysIn(t, w.do(t, in, 200)); len(got) != 1 || got[0].Name != "an-agent-api-key" || got[0].Type != "internal" {
		t.Errorf("%v", got)
	}
	in.Method, in.Target = "DELETE", "/agent_api_keys/"+w.internal(t, "an-agent").ID.String()
	w.do(t, in, 403)

	// A deleted one is replaced.
	w.do(t, root("DELETE", in.Target, ""), 200)
	in.Method = "GET"
	says(t, w.do(t, in, 401), agentUnauthorized)
	if fresh := w.registers(t, w.Root, "an-agent").Field("agent_api_key"); fresh == key || fresh == nil {
		t.Errorf("after a delete it is %v", fresh)
	}
}

// A token of which the ledger has only the digest cannot be told.
func TestRegisterOfAKeyWithAnotherToken(t *testing.T) {
	w := newWorld(t, false)
	key := w.registers(t, w.Root, "rotated").Field("agent_api_key")
	call := w.Call
	issued, err := w.Service.Rotate(t.Context(), &call, w.internal(t, "rotated").ID, &ledger.Rotate{})
	if err != nil {
		t.Fatal(err)
	}
	w.Hide(issued.Token.Reveal())
	if r := w.registers(t, w.Root, "rotated"); r.Field("agent_api_key") != nil || key == nil {
		t.Errorf("%s", r.Body)
	}
	w.register(t, "brought", "")
	w.do(t, root("POST", "/agent_api_keys", `{"agent_name":"brought","name":"brought-api-key","api_key_type":"internal","api_key":"mine"}`), 200)
	if r := w.registers(t, w.Root, "brought"); r.Field("agent_api_key") != nil {
		t.Errorf("%s", r.Body)
	}
}

// What expires with the key that made it is replaced, and nobody is told a key that outlives their own.
func TestRegisterAndExpiry(t *testing.T) {
	w := newWorld(t, false)
	scopes := []string{ledger.ScopeCreate, ledger.ScopeRead}
	brief := w.Key(t, ledger.Create{Scopes: scopes, ExpiresAt: w.Now().Add(time.Hour)}).Token.Reveal()
	first := w.registers(t, brief, "a").Field("agent_api_key")
	if again := w.registers(t, brief, "a").Field("agent_api_key"); first == nil || again != first {
		t.Errorf("%v, then %v", first, again)
	}
	w.registers(t, w.Root, "lasting")
	body := `{"name":"lasting","description":"","acp_url":"","acp_type":"sync"}`
	w.do(t, handlerstest.Request{Method: "POST", Target: "/agents/register", Token: brief, Body: body}, 403)
	w.Later(2 * time.Hour)
	if next := w.registers(t, w.Root, "a").Field("agent_api_key"); next == nil || next == first {
		t.Errorf("after its expiry it is %v", next)
	}
	if k := w.internal(t, "a"); !k.ExpiresAt.IsZero() {
		t.Errorf("it expires at %v", k.ExpiresAt)
	}
}

func TestRegisterRefuses(t *testing.T) {
	w := newWorld(t, false)
	post := func(body string) handlerstest.Request { return root("POST", "/agents/register", body) }
	const rest = `"description":"","acp_url":"","acp_type":"sync"`
	finds(t, w.do(t, post(`{}`), 422), "missing body.name", "missing body.description", "missing body.acp_url", "missing body.acp_type")
	finds(t, w.do(t, post(`{"name":"A","acp_type":"acp","description":1,"acp_url":null,"registration_metadata":[]}`), 422),
		"string_pattern_mismatch body.name", "string_type body.description", "string_type body.acp_url", "enum body.acp_type", "dict_type body.registration_metadata")
	for name, want := range map[string]string{
		"": "string_pattern_mismatch body.name", "a\\n": "string_pattern_mismatch body.name", strings.Repeat("a", 113): "string_too_long body.name",
	} {
		finds(t, w.do(t, post(`{"name":"`+name+`",`+rest+`}`), 422), want)
	}
	finds(t, w.do(t, post(`{"name":"a","registration_metadata":{"x":{"a":1,"a":2}},`+rest+`}`), 422), "dict_type body.registration_metadata")
	finds(t, w.do(t, post(`{"name":"a","agent_id":"`+strings.Repeat("x", 129)+`",`+rest+`}`), 422), "value_error body.agent_id")
	in := post(`{"name":"a",` + rest + `}`)
	in.Header = map[string]string{"X-Selected-Account-Id": strings.Repeat("x", 129)}
	finds(t, w.do(t, in, 422), "value_error header.x-selected-account-id")
	says(t, w.do(t, post(`{"name":"test-agent","agent_id":"another",`+rest+`}`), 409), message("409", "an agent of this name is registered with another id"))
	says(t, w.do(t, post(`{"name":"another","agent_id":"`+w.agent.ID+`",`+rest+`}`), 409), message("409", "an agent of this id is registered with another name"))
	w.do(t, post(`{"name":"`+strings.Repeat("a", 112)+`",`+rest+`}`), 200)
}
