package handlers_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// stack is a server over the real thing: JetStream in this process with every write synced, and views on disk.
type stack struct {
	*handlerstest.World
	t testing.TB
}

func newStack(t testing.TB, logger *slog.Logger) *stack {
	t.Helper()
	return &stack{t: t, World: handlerstest.New(t, handlerstest.Options{
		JetStream: true,
		Configure: func(c *handlers.Config, _ *ledger.Config) { c.Logger = logger },
	})}
}

// address is where it serves.
func (s *stack) address() string { return strings.TrimPrefix(s.URL, "http://") }

// ask sends a request as a client does and decodes the answer.
func (s *stack) ask(method, path, body string, header map[string]string, status int) map[string]any {
	s.t.Helper()
	r := s.Do(s.t, handlerstest.Request{Method: method, Target: path, Token: rootToken, Header: header, Body: body})
	if r.Status != status {
		s.t.Fatalf("%s %s: %d, want %d\n%s", method, path, r.Status, status, r.Body)
	}
	answer := make(map[string]any)
	if len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &answer); err != nil {
			s.t.Fatal(err)
		}
	}
	return answer
}

// The whole life of a key over a real connection, a real JetStream and real views.
func TestLifeOfAKey(t *testing.T) {
	s := newStack(t, slog.New(slog.DiscardHandler))
	const create = `{"name":"deploy bot","workspace_id":"acme","org_id":"eu","agent_id":"bot7","scopes":["deploy"],"metadata":{"team":"infra"}}`
	key := s.ask("POST", "/v1/keys", create, with("Idempotency-Key", "once"), 201)
	again := s.ask("POST", "/v1/keys", create, with("Idempotency-Key", "once"), 201)
	if key["token"] != again["token"] || key["id"] != again["id"] {
		t.Fatalf("the repeat made another key: %v, %v", key["id"], again["id"])
	}
	s.ask("POST", "/v1/keys", `{}`, with("Idempotency-Key", "once"), 422)
	id, token := key["id"].(string), key["token"].(string)
	path := "/v1/keys/" + id
	decision := func(token string) any {
		return s.ask("POST", "/v1/keys/verify", `{"token":"`+token+`","scopes":["deploy"]}`, nil, 200)["code"]
	}
	expect := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
	expect("created", decision(token), "VALID")
	for _, list := range []string{"/v1/keys?workspace_id=acme", "/v1/workspaces/acme/keys", "/v1/orgs/eu/keys", "/v1/agents/bot7/keys"} {
		page := s.ask("GET", list, "", nil, 200)
		expect(list, page["data"].([]any)[0].(map[string]any)["id"], id)
	}
	expect("disabled", s.ask("POST", path+"/disable", "", nil, 200)["status"], "disabled")
	expect("disabled", decision(token), "DISABLED")
	expect("enabled", s.ask("POST", path+"/enable", "", nil, 200)["status"], "active")
	updated := s.ask("PATCH", path, `{"name":"renamed"}`, with("If-Match", fmt.Sprintf(`"%.0f"`, key["sequence"].(float64)+2)), 200)
	expect("renamed", updated["name"], "renamed")
	s.ask("PATCH", path, `{"name":"lost"}`, with("If-Match", fmt.Sprintf(`"%.0f"`, key["sequence"])), 412)
	rotated := s.ask("POST", path+"/rotate", `{"grace_seconds":600}`, nil, 200)
	expect("the new token", decision(rotated["token"].(string)), "VALID")
	expect("the old token in its grace", decision(token), "VALID")
	s.WaitForUse(t, uuid.MustParse(id), 3)
	expect("used", s.ask("GET", path, "", nil, 200)["last_used_at"] != nil, true)
	expect("revoked", s.ask("POST", path+"/revoke", `{"reason":"done"}`, nil, 200)["status"], "revoked")
	expect("revoked", decision(rotated["token"].(string)), "REVOKED")
	expect("revoked", decision(token), "REVOKED")
	var types []string
	for _, event := range s.ask("GET", path+"/events", "", nil, 200)["data"].([]any) {
		types = append(types, strings.TrimPrefix(event.(map[string]any)["type"].(string), "keyledger.key."))
	}
	expect("history", strings.Join(types, " "), "created disabled enabled updated rotated revoked")
	agent := s.ask("POST", "/v1/agents", `{"name":"Bot 7","workspace_id":"acme"}`, nil, 201)
	expect("agent", s.ask("POST", "/v1/agents", `{"name":"Bot 7","workspace_id":"acme"}`, nil, 200)["id"], agent["id"])
	s.ask("GET", "/readyz", "", nil, 200)
}

// A revocation that was acknowledged holds for every verification that begins after it.
func TestRevokeVerifyRaces(t *testing.T) {
	s := newStack(t, slog.New(slog.DiscardHandler))
	for worker := range 8 {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			s := *s
			s.t = t
			for range 12 {
				key := s.ask("POST", "/v1/keys", `{}`, nil, 201)
				token := with("Authorization", "Bearer "+key["token"].(string))
				s.ask("GET", "/v1/authorize", "", token, 204)
				s.ask("POST", "/v1/keys/"+key["id"].(string)+"/revoke", "", nil, 200)
				s.ask("GET", "/v1/authorize", "", token, 401)
			}
		})
	}
}
