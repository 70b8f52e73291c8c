package honcho_test

import (
	"testing"

	"github.com/google/uuid"

	"keyledger/handlers/handlerstest"
)

// A key that is made here is a key like any other: listed, read, in the history, verified, counted, revoked.
func TestKeyIsOneOfTheLedger(t *testing.T) {
	for name, jetStream := range map[string]bool{"in memory": false, "on JetStream": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t, secret, handlerstest.Options{JetStream: jetStream})
			key := mint(t, w, ask(admin, "workspace_id", "acme", "peer_id", "alice", "session_id", "s1"))
			id := claims(t, key)["jti"].(string)
			native := func(method, path, body string) handlerstest.Response {
				return w.Do(t, handlerstest.Request{Method: method, Target: path, Token: w.Root, Body: body})
			}
			for _, list := range []string{"/v1/keys?limit=1", "/v1/workspaces/acme/keys"} {
				r := native("GET", list, "")
				data, _ := r.Field("data").([]any)
				if len(data) != 1 || data[0].(map[string]any)["id"] != id {
					t.Errorf("%s: %s", list, r.Body)
				}
			}
			r := native("GET", "/v1/keys/"+id, "")
			for field, want := range map[string]any{
				"workspace_id": "acme", "peer_id": "alice", "session_id": "s1", "created_by": "honcho-admin",
				"status": "active", "type": "external", "environment": "live", "expires_at": nil,
			} {
				if got := r.Field(field); got != want {
					t.Errorf("%s is %v, want %v", field, got, want)
				}
			}
			history := native("GET", "/v1/keys/"+id+"/events", "")
			if events, _ := history.Field("data").([]any); len(events) != 1 {
				t.Errorf("the history is %s", history.Body)
			}
			if code := verify(t, w, key, `"session_id":"s1"`); code != "VALID" {
				t.Errorf("it is %s", code)
			}
			w.WaitForUse(t, uuid.MustParse(id), 1)
			if r := native("GET", "/v1/keys/"+id, ""); r.Field("last_used_at") == nil || r.Field("use_count") != 1.0 {
				t.Errorf("its use: %s", r.Body)
			}
			if r := native("POST", "/v1/keys/"+id+"/revoke", `{}`); r.Status != 200 {
				t.Errorf("revoke: %d %s", r.Status, r.Body)
			}
			if code := verify(t, w, key, ""); code != "REVOKED" {
				t.Errorf("after its revocation it is %s", code)
			}
		})
	}
}

// Who makes keys by the dialect can be stopped as anyone else, and is seen in the history.
func TestRevokedCaller(t *testing.T) {
	w := newWorld(t, secret)
	made := w.Do(t, handlerstest.Request{Method: "POST", Target: "/v1/keys", Token: w.Root,
		Body: `{"workspace_id":"acme","scopes":["ledger:keys:create"]}`})
	token, _ := made.Field("token").(string)
	id, _ := made.Field("id").(string)
	w.Hide(token)
	mint(t, w, ask(token, "workspace_id", "acme"))
	w.Do(t, handlerstest.Request{Method: "POST", Target: "/v1/keys/" + id + "/revoke", Token: w.Root})
	refused(t, w, ask(token, "workspace_id", "acme"), 401, badJWT)
}
