package handlers_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	"keyledger/ledger"
)

// access is what a route that is not in rights answers to every kind of token. In path and body, {key} and {hidden} are
// ids: of a key of the agent "bot", which has no owner, and of one of the organization "eu" in workspace "acme".
type access struct {
	path string // and query
	body string
	org  string // X-Org-Id header

	open    int            // answered to everyone, whatever the token; 0: it takes one
	scopes  string         // that one must have
	done    int            // answered to who has them
	poor    int            // answered to who has none of them
	partly  map[string]int // answered to who has only this scope
	foreign int            // answered to a key of another workspace and organization
	makes   bool           // also that makes something, of its own
}

// accesses has every route that rights leaves out: the public ones and those of dialects.
func accesses() map[string]access {
	const create, read, update, revoke = ledger.ScopeCreate, ledger.ScopeRead, ledger.ScopeUpdate, ledger.ScopeRevoke
	all := map[string]access{
		" /v1/authorize":                         {path: "/v1/authorize", scopes: "any", done: 204, foreign: 204},
		"GET /v1/ledger/checkpoint":              {path: "/v1/ledger/checkpoint", open: 200},
		"GET /v1/ledger/key":                     {path: "/v1/ledger/key", open: 200},
		"GET /v1/ledger/tile/{level}/{index:.+}": {path: "/v1/ledger/tile/0/000.p/1", open: 200},
		"GET /v1/ledger/proof/inclusion":         {path: "/v1/ledger/proof/inclusion?sequence=1", open: 200},
		"GET /v1/ledger/proof/consistency":       {path: "/v1/ledger/proof/consistency?from=1", open: 200},
		"GET /healthz":                           {path: "/healthz", open: 200},
		"GET /readyz":                            {path: "/readyz", open: 200},
		"GET /openapi.json":                      {path: "/openapi.json", open: 200},
		"GET /openapi/honcho.json":               {path: "/openapi/honcho.json", open: 200},
		"GET /openapi/imtegrate.json":            {path: "/openapi/imtegrate.json", open: 200},
		"GET /openapi/agentex.json":              {path: "/openapi/agentex.json", open: 200},
		"GET /openapi/openlayer.json":            {path: "/openapi/openlayer.json", open: 200},
		"POST /v3/keys":                          {path: "/v3/keys?workspace_id=acme", scopes: create, done: 200, poor: 401, foreign: 401},
		"POST /v2/keys":                          {path: "/v2/keys?workspace_id=acme", scopes: create, done: 200, poor: 401, foreign: 401},
		" /v3/keys/":                             {path: "/v3/keys/?workspace_id=acme", open: 307},
		" /v2/keys/":                             {path: "/v2/keys/?workspace_id=acme", open: 307},
		"POST /v1/api-keys":                      {path: "/v1/api-keys", org: "eu", body: `{"name":"ci"}`, scopes: create, done: 201, poor: 403, foreign: 404},
		"GET /v1/api-keys":                       {path: "/v1/api-keys", org: "eu", scopes: read, done: 200, poor: 403, foreign: 404},
		"DELETE /v1/api-keys/{id}":               {path: "/v1/api-keys/{hidden}", org: "eu", scopes: revoke, done: 204, poor: 403, foreign: 404},
		"POST /v1/api-keys/{id}/revoke":          {path: "/v1/api-keys/{hidden}/revoke", org: "eu", scopes: revoke, done: 200, poor: 403, foreign: 404},
		"POST /agent_api_keys":                   {path: "/agent_api_keys", body: `{"agent_name":"bot","name":"{new}"}`, scopes: create + " " + read, done: 200, poor: 403, foreign: 404},
		"GET /agent_api_keys":                    {path: "/agent_api_keys?agent_name=bot", scopes: read, done: 200, poor: 403, foreign: 404},
		"POST /agent_api_keys/webhook-trigger":   {path: "/agent_api_keys/webhook-trigger", body: `{"agent_name":"bot","name":"{new}","forward_path":"x"}`, scopes: create + " " + read, done: 200, poor: 403, foreign: 404},
		"GET /agent_api_keys/name/{name:.+}":     {path: "/agent_api_keys/name/ci?agent_name=bot", scopes: read, done: 200, poor: 404, foreign: 404},
		"DELETE /agent_api_keys/name/{name:.+}":  {path: "/agent_api_keys/name/ci?agent_name=bot", scopes: revoke + " " + read, done: 200, poor: 404, partly: map[string]int{read: 403}, foreign: 404},
		"GET /agent_api_keys/{id}":               {path: "/agent_api_keys/{key}", scopes: read, done: 200, poor: 404, foreign: 404},
		"DELETE /agent_api_keys/{id}":            {path: "/agent_api_keys/{key}", scopes: revoke + " " + read, done: 200, poor: 403, foreign: 200},
		"POST /agents/register":                  {path: "/agents/register", body: `{"name":"{new}","description":"","acp_url":"http://localhost","acp_type":"sync"}`, scopes: create + " " + read, done: 200, poor: 403, foreign: 200, makes: true},
	}
	for _, base := range []string{"", "/v1"} {
		keys, real := base+"/workspaces/{workspace}/api-keys", base+"/workspaces/acme/api-keys"
		maps.Copy(all, map[string]access{
			"POST " + keys:                  {path: real, body: `{"name":"ci"}`, scopes: create, done: 201, poor: 403, foreign: 404},
			"GET " + keys:                   {path: real, scopes: read, done: 200, poor: 403, foreign: 404},
			"GET " + keys + "/{id}":         {path: real + "/{hidden}", scopes: read, done: 200, poor: 403, foreign: 404},
			"PUT " + keys + "/{id}":         {path: real + "/{hidden}", body: `{"name":"new"}`, scopes: update + " " + read, done: 200, poor: 403, foreign: 404},
			"DELETE " + keys + "/{id}":      {path: real + "/{hidden}", scopes: revoke + " " + read, done: 204, poor: 403, foreign: 404},
			"POST " + keys + "/{id}/rotate": {path: real + "/{hidden}/rotate", body: `{}`, scopes: update + " " + read, done: 200, poor: 403, foreign: 404},
		})
	}
	return all
}

// attempt is one request to a route with a kind of token.
type attempt struct {
	kind, token string // empty: none is sent
	status      int
	makes       bool // something
}

// Every route that is not in TestAuthorizationMatrix, for every kind of token. A route that is in neither fails.
func TestAuthorizationMatrixOfDialectsAndPublicRoutes(t *testing.T) {
	all, native := accesses(), rights()
	maps.Copy(native, webhookRights())
	for _, route := range newWholeWorld(t).Server.Routes() {
		name := route.Method + " " + route.Path
		a, ok := all[name]
		if _, elsewhere := native[name]; elsewhere == ok {
			t.Errorf("%s is in both tables of this test, or in none", name)
			continue
		}
		if delete(all, name); ok {
			t.Run(name, func(t *testing.T) { a.check(t, route.Method) })
		}
	}
	for name := range all {
		t.Errorf("%s is in the table but not served", name)
	}
}

func (a *access) check(t *testing.T, method string) {
	w := newWholeWorld(t)
	w.sign()
	for i, try := range a.attempts(w) {
		fill := strings.NewReplacer("{new}", fmt.Sprint("new", i), "{key}", w.ofAgent(), "{hidden}", w.key(ledger.Create{
			Name: "hidden name", Owner: ledger.Owner{Workspace: "acme", Org: "eu"}}).Key.ID.String())
		r := httptest.NewRequest(orGet(method), fill.Replace(a.path), strings.NewReader(fill.Replace(a.body)))
		r.Header.Set("Content-Type", "application/json")
		if a.org != "" {
			r.Header.Set("X-Org-Id", a.org)
		}
		if try.token != "" {
			r.Header.Set("Authorization", "Bearer "+try.token)
		}
		before := w.log.Len()
		answer := httptest.NewRecorder()
		w.Server.ServeHTTP(answer, r)
		made := w.log.Len() > before
		if answer.Code != try.status {
			t.Errorf("%s: %d, want %d\n%s", try.kind, answer.Code, try.status, answer.Body)
		}
		if made && !try.makes {
			t.Errorf("%s: it appended %d messages", try.kind, w.log.Len()-before)
		}
		if answer.Code >= 400 && bytes.Contains(answer.Body.Bytes(), []byte("hidden name")) {
			t.Errorf("%s: the refusal shows what is hidden\n%s", try.kind, answer.Body)
		}
	}
}

// attempts are those with every kind of token.
func (a *access) attempts(w *world) []attempt {
	refused := 401
	if a.open != 0 {
		refused = a.open
	}
	list := []attempt{{"no token", "", refused, false}, {"a wrong token", "kl_neverseenbutlongenough", refused, false}}
	for _, state := range []string{"expired", "revoked", "disabled", "scheduled"} {
		list = append(list, attempt{state, w.principal(state, ledger.Owner{}, ledger.ScopeAll), refused, false})
	}
	status := func(scope string) int {
		switch partly, ok := a.partly[scope]; {
		case a.open != 0:
			return a.open
		case a.scopes == "any", a.scopes == scope, scope == ledger.ScopeAll:
			return a.done
		case ok:
			return partly
		}
		return a.poor
	}
	for _, scope := range []string{ledger.ScopeCreate, ledger.ScopeRead, ledger.ScopeUpdate, ledger.ScopeRevoke, ledger.ScopeVerify,
		ledger.ScopeEvents, ledger.ScopeWebhooks, ledger.ScopeAudit, ledger.ScopeAll, "deploy"} {
		got := status(scope)
		list = append(list, attempt{scope, w.principal("", ledger.Owner{}, scope), got, got < 300 && a.open == 0})
	}
	if a.open == 0 && a.scopes != "any" {
		exact := w.key(ledger.Create{Scopes: strings.Fields(a.scopes)}).Token.Reveal()
		list = append(list, attempt{a.scopes, exact, a.done, true})
	}
	foreign := a.foreign
	if a.open != 0 {
		foreign = a.open
	}
	other := w.principal("", ledger.Owner{Workspace: "other", Org: "other"}, ledger.ScopeAll)
	return append(list, attempt{"a foreign owner", other, foreign, a.makes})
}

// ofAgent makes a key named "ci" of the agent "bot", with nothing around them, unless it is there, and returns its id.
func (w *world) ofAgent() string {
	w.t.Helper()
	agent, _, err := w.Service.RegisterAgent(w.t.Context(), &w.Call, &ledger.RegisterAgent{ID: "bot", Name: "bot"})
	if err != nil {
		w.t.Fatal(err)
	}
	owner := ledger.Owner{AgentID: agent.ID, AgentName: agent.Name}
	k, err := w.Service.KeyByName(w.t.Context(), &w.Call.Principal, owner, ledger.TypeExternal, "ci")
	if err == nil {
		return k.ID.String()
	}
	return w.key(ledger.Create{Name: "ci", Owner: owner, UniqueName: true}).Key.ID.String()
}

// orGet is the method of a route, GET for one that takes all.
func orGet(method string) string {
	if method == "" {
		return "GET"
	}
	return method
}
