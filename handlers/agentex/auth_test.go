package agentex_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

const unauthorized, agentUnauthorized = `{"detail":"Unauthorized"}`, `{"detail":"Agent Unauthorized"}`

// routes are all routes that take a token, each with a request of the agent by its id and name.
func (w *world) routes(id string) []handlerstest.Request {
	return []handlerstest.Request{
		{Method: "POST", Target: "/agent_api_keys", Body: `{"name":"b","agent_name":"test-agent"}`},
		{Method: "GET", Target: "/agent_api_keys?agent_name=test-agent"},
		{Method: "GET", Target: "/agent_api_keys/" + id},
		{Method: "GET", Target: "/agent_api_keys/name/a?agent_id=" + w.agent.ID},
		{Method: "POST", Target: "/agent_api_keys/webhook-trigger", Body: `{"name":"b","agent_name":"test-agent","forward_path":"p"}`},
		{Method: "POST", Target: "/agents/register", Body: `{"name":"b","description":"","acp_url":"","acp_type":"sync"}`},
		{Method: "DELETE", Target: "/agent_api_keys/name/a?agent_name=test-agent"},
		{Method: "DELETE", Target: "/agent_api_keys/" + id},
	}
}

func TestUnauthorized(t *testing.T) {
	w := newWorld(t, false)
	id, key := w.creates(t, `"name":"a"`)
	w.do(t, root("DELETE", "/agent_api_keys/"+id, ""), 200)
	for _, c := range []struct {
		header map[string]string
		want   string
	}{
		{nil, unauthorized},
		{map[string]string{"Authorization": "Bearer " + key}, unauthorized},
		{map[string]string{"Authorization": "Basic abc"}, unauthorized},
		{map[string]string{"Authorization": "AgentKey"}, agentUnauthorized},
		{map[string]string{"Authorization": "agentkey " + key}, agentUnauthorized},
		{map[string]string{"X-API-Key": key}, unauthorized},
		{map[string]string{"X-Agent-API-Key": key}, agentUnauthorized},
		{map[string]string{"X-Agent-API-Key": key, "Authorization": "Bearer " + w.Root}, agentUnauthorized},
		{map[string]string{"X-Agent-Identity": w.agent.ID}, agentUnauthorized},
	} {
		for _, in := range w.routes(id) {
			in.Header = c.header
			says(t, w.do(t, in, 401), c.want)
		}
	}
	// Who asks comes before what is asked.
	says(t, w.do(t, handlerstest.Request{Method: "POST", Target: "/agent_api_keys", Body: "{"}, 401), unauthorized)
}

// A key of an agent is a token like any other, by every header. It may do what its scopes say, inside its agent.
func TestAgentKeys(t *testing.T) {
	w := newWorld(t, false)
	owner := ledger.Owner{AgentID: w.agent.ID, AgentName: w.agent.Name}
	scopes := []string{ledger.ScopeRead, ledger.ScopeCreate, ledger.ScopeRevoke}
	key := w.Key(t, ledger.Create{Name: "manager", Owner: owner, Scopes: scopes}).Token.Reveal()
	other := w.register(t, "other", "")
	theirs := w.Key(t, ledger.Create{Name: "theirs", Owner: ledger.Owner{AgentID: other.ID}}).Key.ID.String()
	for i, header := range []map[string]string{
		{"Authorization": "Bearer " + key}, {"Authorization": "AGENTKEY  " + key}, {"X-API-Key": key}, {"X-Agent-API-Key": key},
		{"X-Agent-API-Key": key, "X-Agent-Identity": other.ID, "Authorization": "Bearer x"}, {"X-Agent-API-Key": "", "X-API-Key": key},
	} {
		in := handlerstest.Request{Method: "POST", Target: "/agent_api_keys", Header: header}
		in.Body = fmt.Sprintf(`{"name":"%d","agent_name":"test-agent"}`, i)
		id := w.do(t, in, 200).Field("id").(string)
		in.Body = `{"name":"a","agent_name":"other"}`
		says(t, w.do(t, in, 404), message("404", "Item with name 'other' does not exist."))
		in.Body = `{"name":"a","agent_id":"` + other.ID + `"}`
		says(t, w.do(t, in, 404), message("404", "Item with id '"+other.ID+"' does not exist."))

		in.Body, in.Method = "", "GET"
		in.Target = "/agent_api_keys/" + theirs
		says(t, w.do(t, in, 404), message("404", "Item with id '"+theirs+"' does not exist."))
		in.Method = "DELETE"
		events := w.Events(t)
		if w.do(t, in, 200); w.Events(t) != events {
			t.Fatal("a foreign key was deleted")
		}
		in.Target = "/agent_api_keys/" + id
		w.do(t, in, 200)
	}
}

// Missing scopes are told in the original's words.
func TestForbidden(t *testing.T) {
	w := newWorld(t, false)
	id, external := w.creates(t, `"name":"a"`)
	owner := ledger.Owner{AgentID: w.agent.ID}
	with := func(scopes ...string) string {
		return w.Key(t, ledger.Create{Owner: owner, Scopes: scopes}).Token.Reveal()
	}
	for token, want := range map[string][]int{
		external:                 {403, 403, 404, 404, 403, 403, 404, 403},
		with():                   {403, 403, 404, 404, 403, 403, 404, 403},
		with(ledger.ScopeRead):   {403, 200, 200, 200, 403, 403, 403, 403},
		with(ledger.ScopeCreate): {403, 403, 404, 404, 403, 403, 404, 403},
		w.Key(t, ledger.Create{Scopes: []string{ledger.ScopeCreate}}).Token.Reveal(): {403, 403, 404, 404, 403, 403, 404, 403},
		with(ledger.ScopeRevoke): {403, 403, 404, 404, 403, 403, 404, 403},
	} {
		for i, in := range w.routes(id) {
			in.Token = token
			r := w.do(t, in, want[i])
			if want[i] == 404 {
				says(t, r, message("404", noKey))
			}
		}
	}
	in := w.routes(id)[7]
	in.Token = with(ledger.ScopeRead)
	says(t, w.do(t, in, 403), message("403", "this needs the scope ledger:keys:revoke"))
}

// Agents are those of the workspace that the token is bound to; a token that is bound to none may name one as the
// original's hosted product is told the account.
func TestWorkspaces(t *testing.T) {
	w := newWorld(t, false)
	there := w.register(t, "test-agent", "acme")
	bound := w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeRead, ledger.ScopeCreate, ledger.ScopeRevoke}}).Token.Reveal()
	list := handlerstest.Request{Method: "GET", Target: "/agent_api_keys?agent_name=test-agent"}
	create := handlerstest.Request{Method: "POST", Target: "/agent_api_keys", Token: bound, Body: `{"name":"a","agent_name":"test-agent"}`}
	if r := w.do(t, create, 200); r.Field("agent_id") != there.ID {
		t.Errorf("%s", r.Body)
	}
	account := map[string]string{"X-Selected-Account-Id": "acme"}
	for _, c := range []struct {
		token  string
		header map[string]string
		keys   int
	}{{bound, nil, 1}, {bound, account, 1}, {bound, map[string]string{"X-Selected-Account-Id": "evil"}, 1}, {w.Root, nil, 0}, {w.Root, account, 1}} {
		list.Token, list.Header = c.token, c.header
		if got := keysIn(t, w.do(t, list, 200)); len(got) != c.keys {
			t.Errorf("%v: %v", c.header, got)
		}
	}
	list.Target, list.Header = "/agent_api_keys?agent_id="+w.agent.ID, nil
	list.Token = bound
	says(t, w.do(t, list, 404), message("404", "Item with id '"+w.agent.ID+"' does not exist."))
	create.Token, create.Header = w.Root, account
	w.do(t, create, 409)
}

// A key cannot outlive the one that creates it.
func TestExpiringCaller(t *testing.T) {
	w := newWorld(t, false)
	until := w.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	token := w.Key(t, ledger.Create{Scopes: []string{ledger.ScopeRead, ledger.ScopeCreate}, ExpiresAt: until}).Token.Reveal()
	create := handlerstest.Request{Method: "POST", Target: "/agent_api_keys", Token: token, Body: `{"name":"a","agent_name":"test-agent"}`}
	id := w.do(t, create, 200).Field("id").(string)
	k, err := w.Service.Key(t.Context(), &w.Call.Principal, uuid.MustParse(id))
	if err != nil || !k.ExpiresAt.Equal(until) {
		t.Errorf("it expires at %v: %v", k.ExpiresAt, err)
	}
}

// An open dialect lets clients on this machine in without a token, to what has no workspace; nobody else.
func TestOpen(t *testing.T) {
	w := start(t, handlerstest.Options{}, true)
	there := w.register(t, "test-agent", "acme")
	theirs := w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: "acme", AgentID: there.ID}}).Key.ID.String()
	create := handlerstest.Request{Method: "POST", Target: "/agent_api_keys", Body: `{"name":"a","agent_name":"test-agent"}`}
	r := w.do(t, create, 200)
	id := r.Field("id").(string)
	k, err := w.Service.Key(t.Context(), &w.Call.Principal, uuid.MustParse(id))
	if err != nil || k.CreatedBy != "agentex-open" {
		t.Errorf("created by %q: %v", k.CreatedBy, err)
	}
	create.Body = strings.Replace(create.Body, `"a"`, `"b"`, 1)
	for name, value := range map[string]string{
		"Authorization": "Bearer x", "X-API-Key": "x", "X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "Via": "1.1 a",
		"X-Real-IP": "127.0.0.1", "X-Forwarded-Host": "localhost",
	} {
		create.Header = map[string]string{name: value}
		says(t, w.do(t, create, 401), unauthorized)
	}
	create.Header = map[string]string{"X-Agent-API-Key": "x"}
	says(t, w.do(t, create, 401), agentUnauthorized)
	for _, host := range []string{"evil.example", "10.0.0.1:8080", "localhost.evil.example", ""} {
		if status := w.serve(t, "127.0.0.1:1234", host); status != 401 {
			t.Errorf("host %q: %d", host, status)
		}
	}
	for _, client := range []string{"10.0.0.1:1234", "[fe80::1]:1234", "@", ""} {
		if status := w.serve(t, client, "localhost"); status != 401 {
			t.Errorf("client %q: %d", client, status)
		}
	}
	for _, local := range []string{"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		for _, host := range []string{"localhost", "localhost:8080", "127.0.0.1:1", "[::1]", "[::1]:8080"} {
			if status := w.serve(t, local, host); status != 200 {
				t.Errorf("client %s, host %s: %d", local, host, status)
			}
		}
	}

	account := map[string]string{"X-Selected-Account-Id": "acme"}
	list := handlerstest.Request{Method: "GET", Target: "/agent_api_keys?agent_id=" + there.ID, Header: account}
	w.do(t, list, 404)
	w.do(t, handlerstest.Request{Method: "GET", Target: "/agent_api_keys/" + theirs}, 404)
	events := w.Events(t)
	if w.do(t, handlerstest.Request{Method: "DELETE", Target: "/agent_api_keys/" + theirs}, 200); w.Events(t) != events {
		t.Error("a key of a workspace was deleted")
	}
	w.do(t, handlerstest.Request{Method: "DELETE", Target: "/agent_api_keys/" + id}, 200)
	w.Refuses(t, handlerstest.Request{Method: "GET", Target: "/v1/keys"}, 401)
}

// serve asks for the keys of test-agent, as a client at an address does, by a host.
func (w *world) serve(t *testing.T, client, host string) int {
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/agent_api_keys?agent_name=test-agent", nil)
	r.RemoteAddr, r.Host = client, host
	answer := httptest.NewRecorder()
	w.Server.ServeHTTP(answer, r)
	return answer.Code
}
