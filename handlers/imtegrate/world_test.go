package imtegrate_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/handlers/imtegrate"
	"keyledger/ledger"
)

// acme is an organization, with an id as the vendor's are.
const acme = "0198a5c4-3f4e-7c21-9a3e-5f2f6f0e8fe2"

// world is a server with the dialect, and a caller that belongs to acme and may manage its keys.
type world struct {
	*handlerstest.World
	caller string // its token
}

func newWorld(t testing.TB, o handlerstest.Options, defaultOrg string) *world {
	t.Helper()
	o.Mount = func(s *handlers.Server, service *ledger.Service) error {
		routes, err := imtegrate.Routes(imtegrate.Config{Service: service, DefaultOrg: defaultOrg})
		if err != nil {
			return err
		}
		return s.Mount(routes, imtegrate.Render)
	}
	w := &world{World: handlerstest.New(t, o)}
	w.caller = w.Key(t, ledger.Create{
		Name:   "manager",
		Owner:  ledger.Owner{Org: acme},
		Scopes: []string{ledger.ScopeCreate, ledger.ScopeRead, ledger.ScopeRevoke},
	}).Token.Reveal()
	return w
}

// key is a key on the wire.
type key struct {
	ID         string   `json:"id"`
	OrgID      string   `json:"org_id"`
	Prefix     string   `json:"prefix"`
	Name       string   `json:"name"`
	Scopes     []string `json:"scopes"`
	LastUsedAt *string  `json:"last_used_at"`
	RevokedAt  *string  `json:"revoked_at"`
	CreatedAt  string   `json:"created_at"`
	Token      string   `json:"token"`
}

// request is a request of the caller.
func (w *world) request(method, path, body string) handlerstest.Request {
	return handlerstest.Request{Method: method, Target: path, Token: w.caller, Body: body}
}

// create creates a key in the dialect.
func (w *world) create(t testing.TB, r handlerstest.Request) key {
	t.Helper()
	before := w.Events(t)
	answer := w.Do(t, r)
	k := decode[key](t, answer, http.StatusCreated)
	w.Hide(k.Token)
	if n := w.Events(t) - before; n != 1 {
		t.Errorf("it appended %d events", n)
	}
	return k
}

func (w *world) list(t testing.TB, token string) []key {
	t.Helper()
	return decode[[]key](t, w.Do(t, handlerstest.Request{Method: "GET", Target: "/v1/api-keys", Token: token}), http.StatusOK)
}

// verify asks the native API about a token.
func (w *world) verify(t testing.TB, token string) (code string) {
	t.Helper()
	r := w.Do(t, handlerstest.Request{Method: "POST", Target: "/v1/keys/verify", Token: w.Root, Body: `{"token":"` + token + `"}`})
	code, _ = r.Field("code").(string)
	return code
}

func decode[T any](t testing.TB, r handlerstest.Response, status int) (v T) {
	t.Helper()
	if r.Status != status {
		t.Fatalf("%d, want %d: %s", r.Status, status, r.Body)
	}
	if err := json.Unmarshal(r.Body, &v); err != nil {
		t.Fatalf("%v: %s", err, r.Body)
	}
	return v
}

// says fails when the body of an answer is not this one.
func says(t testing.TB, r handlerstest.Response, want string) {
	t.Helper()
	if got := strings.TrimSuffix(string(r.Body), "\n"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
