package handlers_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyledger/handlers"
	"keyledger/ledger"
)

// right is what a route takes, and a request to it that does something to the key {active.id} of workspace acme.
type right struct {
	scope string
	body  string
	owned string // what a key that is bound to another workspace is answered: "404", "hidden" (200 without acme's), "403"
}

// rights has every route that takes a token.
func rights() map[string]right {
	return map[string]right{
		"POST /v1/keys":                  {ledger.ScopeCreate, `{"workspace_id":"acme"}`, "404"},
		"GET /v1/keys":                   {ledger.ScopeRead, "", "hidden"},
		"GET /v1/workspaces/{id}/keys":   {ledger.ScopeRead, "", "404"},
		"GET /v1/orgs/{id}/keys":         {ledger.ScopeRead, "", "hidden"},
		"GET /v1/agents/{id}/keys":       {ledger.ScopeRead, "", "hidden"},
		"GET /v1/keys/{id}":              {ledger.ScopeRead, "", "404"},
		"PATCH /v1/keys/{id}":            {ledger.ScopeUpdate, `{"name":"new"}`, "404"},
		"POST /v1/keys/{id}/revoke":      {ledger.ScopeRevoke, "", "404"},
		"POST /v1/keys/{id}/rotate":      {ledger.ScopeUpdate, "", "404"},
		"POST /v1/keys/{id}/disable":     {ledger.ScopeUpdate, "", "404"},
		"POST /v1/keys/{id}/enable":      {ledger.ScopeUpdate, "", "404"},
		"POST /v1/keys/{id}/erase":       {ledger.ScopeErase, "", "404"},
		"POST /v1/workspaces/{id}/erase": {ledger.ScopeErase, "", "404"},
		"POST /v1/keys/verify":           {ledger.ScopeVerify, `{"token":"{active.token}"}`, "hidden"},
		"POST /v1/usage":                 {ledger.ScopeVerify, `{"uses":[]}`, "hidden"},
		"GET /v1/keys/{id}/usage":        {ledger.ScopeRead, "", "404"},
		"GET /v1/keys/{id}/events":       {ledger.ScopeEvents, "", "404"},
		"GET /v1/events":                 {ledger.ScopeEvents, "", "hidden"},
		"POST /v1/agents":                {ledger.ScopeCreate, `{"name":"new","workspace_id":"acme"}`, "404"},
		"GET /v1/agents":                 {ledger.ScopeRead, "", "hidden"},
		"GET /v1/agents/{id}":            {ledger.ScopeRead, "", "404"},
		"GET /metrics":                   {ledger.ScopeAudit, "", "403"},

		"GET /v1/ledger/tile/entries/{index:.+}": {ledger.ScopeAudit, "", "403"},
		"GET /v1/ledger/reads":                   {ledger.ScopeAudit, "", "403"},
		"GET /v1/ledger/secrets":                 {ledger.ScopeAudit, "", "403"},
	}
}

// Every route, for every kind of token: who may not is refused with the right status and nothing is appended.
func TestAuthorizationMatrix(t *testing.T) {
	scopes := []string{ledger.ScopeCreate, ledger.ScopeRead, ledger.ScopeUpdate, ledger.ScopeRevoke, ledger.ScopeVerify,
		ledger.ScopeEvents, ledger.ScopeWebhooks, ledger.ScopeAudit, ledger.ScopeErase, ledger.ScopeAll, "deploy"}
	all := rights()
	maps.Copy(all, webhookRights())
	c := theContract(t)
	for _, route := range newWorld(t).Server.Routes() {
		name := route.Method + " " + route.Path
		r, ok := all[name]
		if route.Public || route.Path == "/v1/authorize" {
			if ok {
				t.Errorf("%s is public but has a right", name)
			}
			continue
		}
		if !ok {
			t.Errorf("%s has no right in this test", name)
			continue
		}
		matrix := func(t *testing.T, pathTo func(*world) string) {
			w := newWorld(t)
			w.contract = c
			fill := cast(w)
			try := func(kind, authorization string, status int, hidden bool) {
				t.Helper()
				a := w.do(route.Method, fill.Replace(pathTo(w)), fill.Replace(r.body), with("Authorization", authorization))
				if a.StatusCode != status {
					t.Errorf("%s: %d, want %d\n%s", kind, a.StatusCode, status, a.text)
				}
				if a.events > 0 && status >= 400 {
					t.Errorf("%s: refused, but %d messages were appended", kind, a.events)
				}
				if hidden && (strings.Contains(string(a.text), fill.Replace("{active.id}")) || strings.Contains(string(a.text), fill.Replace("{hook.id}")) || strings.Contains(string(a.text), "Bot 7")) {
					t.Errorf("%s: sees what is not its own\n%s", kind, a.text)
				}
			}
			try("no token", "-", 401, true)
			try("no token but a scheme", "Bearer", 401, true)
			try("basic", "Basic cm9vdDpyb290", 401, true)
			try("unknown", "Bearer kl_neverseenbutlongenough", 401, true)
			for _, kind := range []string{"expired", "revoked", "disabled", "scheduled"} {
				try(kind, "Bearer "+w.principal(kind, ledger.Owner{}, "ledger:*"), 401, true)
			}
			other := w.principal("", ledger.Owner{Workspace: "other"}, "ledger:*")
			switch r.owned {
			case "404":
				try("a foreign owner", "Bearer "+other, 404, true)
			case "403":
				try("a foreign owner", "Bearer "+other, 403, true)
			default:
				try("a foreign owner", "Bearer "+other, 200, true)
			}
			for _, scope := range scopes {
				token := w.principal("", ledger.Owner{}, scope)
				if scope != r.scope && scope != ledger.ScopeAll {
					try(scope, "Bearer "+token, 403, true)
				}
			}
			for _, scope := range []string{r.scope, ledger.ScopeAll} {
				fill := cast(w) // what the one before did may have ended it
				a := w.do(route.Method, fill.Replace(pathTo(w)), fill.Replace(r.body),
					with("Authorization", "Bearer "+w.principal("", ledger.Owner{}, scope)))
				if a.StatusCode >= 300 {
					t.Errorf("%s: %d\n%s", scope, a.StatusCode, a.text)
				}
			}
		}
		t.Run(name, func(t *testing.T) { matrix(t, func(*world) string { return pathTo(route) }) })
		if slices.Contains(route.Query, "at_seq") {
			t.Run(name+" as of now", func(t *testing.T) {
				matrix(t, func(w *world) string { return asOfSequence(pathTo(route), uint64(w.log.Len())) })
			})
		}
	}
	for name := range all {
		if !slices.ContainsFunc(newWorld(t).Server.Routes(), func(r handlers.Route) bool { return r.Method+" "+r.Path == name }) {
			t.Errorf("there is a right for %s, which is not there", name)
		}
	}
}

// pathTo is a path of a route, to what is acme's.
func pathTo(r handlers.Route) string {
	path := strings.NewReplacer("/v1/workspaces/{id}", "/v1/workspaces/acme", "/v1/orgs/{id}", "/v1/orgs/eu",
		"/v1/agents/{id}", "/v1/agents/bot7", "/v1/webhooks/{id}", "/v1/webhooks/{hook.id}", "{index:.+}", "000.p/1").Replace(r.Path)
	if r.Path == "/v1/agents/{id}" {
		path += "?workspace_id=acme&org_id=eu"
	}
	return strings.ReplaceAll(path, "{id}", "{active.id}")
}

// principal makes a key and brings it into a state; it returns its token.
func (w *world) principal(state string, owner ledger.Owner, scope string) string {
	w.t.Helper()
	in := ledger.Create{Owner: owner, Scopes: []string{scope}}
	switch state {
	case "expired":
		in.ExpiresAt = w.Now().Add(time.Minute)
	case "scheduled":
		in.NotBefore = w.Now().Add(time.Hour)
	}
	issued := w.key(in)
	var err error
	switch state {
	case "expired":
		w.Later(2 * time.Minute)
	case "revoked":
		_, err = w.Service.Revoke(w.t.Context(), &w.Call, issued.Key.ID, "")
	case "disabled":
		_, err = w.Service.Disable(w.t.Context(), &w.Call, issued.Key.ID)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return issued.Token.Reveal()
}

// A revocation holds from its answer on, whatever else goes on.
func TestRevokedKeyIsRefusedAtOnce401(t *testing.T) {
	w := newWorld(t)
	for range 50 {
		key := w.do("POST", "/v1/keys", `{"scopes":["ledger:keys:read"]}`, nil)
		hasStatus(t, key, http.StatusCreated)
		id, token := key.field("id").(string), key.field("token").(string)
		mine := with("Authorization", "Bearer "+token)
		hasStatus(t, w.do("GET", "/v1/keys/"+id, "", mine), http.StatusOK)
		hasStatus(t, w.do("POST", "/v1/keys/"+id+"/revoke", "", nil), http.StatusOK)
		hasStatus(t, w.do("GET", "/v1/keys/"+id, "", mine), http.StatusUnauthorized)
		hasStatus(t, w.do("GET", "/v1/authorize", "", mine), http.StatusUnauthorized)
	}
}
