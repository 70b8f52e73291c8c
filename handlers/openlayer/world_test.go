package openlayer_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"
	"time"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/handlers/openlayer"
	"keyledger/ledger"
)

// workspace is that of the recorded requests.
const workspace = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"

// world is a server with the dialect, and a team's token for a workspace of it.
type world struct {
	*handlerstest.World
	token string
}

func newWorld(t testing.TB, o handlerstest.Options) *world {
	t.Helper()
	w := new(world)
	o.Mount = func(s *handlers.Server, service *ledger.Service) error {
		return s.Mount(openlayer.Routes(openlayer.Config{Service: service, Now: w.now}), openlayer.Render)
	}
	w.World = handlerstest.New(t, o)
	w.token = w.team(t, workspace, time.Time{})
	return w
}

// now is the time of the world, once there is one.
func (w *world) now() time.Time { return w.Now() }

// managing are the scopes of a token that may do everything with keys.
func managing() []string {
	return []string{ledger.ScopeCreate, ledger.ScopeRead, ledger.ScopeUpdate, ledger.ScopeRevoke, ledger.ScopeVerify, ledger.ScopeEvents}
}

// team gives the token of a team that manages the keys of a workspace.
func (w *world) team(t testing.TB, workspace string, expires time.Time) string {
	t.Helper()
	owner := ledger.Owner{Workspace: workspace}
	return w.Key(t, ledger.Create{Name: "team", Owner: owner, Scopes: managing(), ExpiresAt: expires}).Token.Reveal()
}

// keysPath is the path of the keys of the workspace.
const keysPath = "/v1/workspaces/" + workspace + "/api-keys"

// do sends a request as the team.
func (w *world) do(t testing.TB, method, target, body string) handlerstest.Response {
	t.Helper()
	return w.as(t, w.token, method, target, body)
}

// as sends a request with a token. What it issues is noted as a secret.
func (w *world) as(t testing.TB, token, method, target, body string) handlerstest.Response {
	t.Helper()
	r := w.Do(t, handlerstest.Request{Method: method, Target: target, Token: token, Body: body})
	w.hide(&r)
	return r
}

func (w *world) hide(r *handlerstest.Response) {
	if secret, ok := r.Field("secret").(string); ok {
		w.Hide(secret)
	}
}

// issued is a key that was created or rotated.
type issued struct{ id, secret, target string }

// want sends a request as the team that must be answered with a status and one event.
func (w *world) want(t testing.TB, method, target, body string, status int) handlerstest.Response {
	t.Helper()
	before := w.Events(t)
	r := w.do(t, method, target, body)
	if n := w.Events(t) - before; r.Status != status || n != 1 {
		t.Fatalf("%s %s: %d, %d events: %s", method, target, r.Status, n, r.Body)
	}
	return r
}

// create creates a key as the team.
func (w *world) create(t testing.TB, body string) issued {
	t.Helper()
	return theIssued(t, w.want(t, "POST", keysPath, body, 201))
}

func theIssued(t testing.TB, r handlerstest.Response) issued {
	t.Helper()
	id, _ := r.Field("id").(string)
	secret, _ := r.Field("secret").(string)
	if !regexp.MustCompile(`^sk-ol-[0-9A-Za-z]{28}$`).MatchString(secret) || r.Field("secureKey") != secret {
		t.Fatalf("it gives no key of the vendor's form, twice: %s", r.Body)
	}
	return issued{id: id, secret: secret, target: keysPath + "/" + id}
}

// refused sends a request as the team that must be refused in the vendor's form, and returns the text.
func (w *world) refused(t testing.TB, method, target, body string, status int) string {
	t.Helper()
	return w.refusedAs(t, w.token, method, target, body, status)
}

func (w *world) refusedAs(t testing.TB, token, method, target, body string, status int) string {
	t.Helper()
	r := w.Refuses(t, handlerstest.Request{Method: method, Target: target, Token: token, Body: body}, status)
	return refusal(t, &r)
}

// refusal is the text of a refusal, which is there for every client.
func refusal(t testing.TB, r *handlerstest.Response) string {
	t.Helper()
	var body map[string]string
	err := json.Unmarshal(r.Body, &body)
	if err != nil || len(body) != 2 || body["error"] == "" || body["error"] != body["message"] {
		t.Errorf("%d: it is no refusal of the vendor's form: %s", r.Status, r.Body)
	}
	if r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d: the content type is %q", r.Status, r.Header.Get("Content-Type"))
	}
	return body["message"]
}

// verdict is what the native API says about a token.
func (w *world) verdict(t testing.TB, token string) string {
	t.Helper()
	r := w.Do(t, handlerstest.Request{Method: "POST", Target: "/v1/keys/verify", Token: w.Root, Body: fmt.Sprintf(`{"token":%q}`, token)})
	return fmt.Sprint(r.Field("code"))
}

// isMember fails unless a member of an answer has a value, as JSON text.
func isMember(t testing.TB, r *handlerstest.Response, name, want string) {
	t.Helper()
	var body map[string]json.RawMessage
	if err := json.Unmarshal(r.Body, &body); err != nil || string(body[name]) != want {
		t.Errorf("%s is %s, want %q: %s", name, body[name], want, r.Body)
	}
}
