package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// vendor is a dialect that reads the token from a header of its own, after it has looked at the body.
type vendor struct {
	service *ledger.Service
}

func (v *vendor) mount(s *handlers.Server, service *ledger.Service) error {
	v.service = service
	return s.Mount([]handlers.Route{
		{Method: "POST", Path: "/vendor/keys", Public: true, Command: true, AnyQuery: true, Handle: v.create},
		{Method: "POST", Path: "/vendor/keys/{id}/as/{actor}", Public: true, Command: true, Handle: v.createAs},
	}, v.render)
}

func (v *vendor) create(x *handlers.Exchange) error {
	name, err := x.RawInput()
	if err != nil {
		return err
	}
	if len(name) == 0 {
		return &ledger.Error{Code: ledger.CodeInvalid, Field: "name"}
	}
	if err := x.Authenticate(x.Request.Header.Get("X-Vendor-Key")); err != nil {
		return err
	}
	return v.store(x, string(name))
}

// createAs trusts whoever names themselves.
func (v *vendor) createAs(x *handlers.Exchange) error {
	if err := x.ActAs(ledger.Principal{Actor: x.Var("actor"), Scopes: ledger.ScopeAll}); err != nil {
		return err
	}
	return v.store(x, x.Var("id"))
}

func (v *vendor) store(x *handlers.Exchange, name string) error {
	return x.Once(func() error {
		issued, err := v.service.Create(x.Context(), x.Call(), &ledger.Create{Name: name})
		if err != nil {
			return err
		}
		x.Shows(&issued.Key)
		return x.WriteJSON(http.StatusOK, map[string]string{
			"id": issued.Key.ID.String(), "name": issued.Key.Name, "by": issued.Key.CreatedBy, "secret": issued.Token.Reveal(),
		})
	})
}

func (v *vendor) render(x *handlers.Exchange, err error) {
	e := handlers.AsError(err)
	if e.Code == handlers.CodeMethod {
		x.Header()["Allow"] = []string{"NOTHING, BUT POST"}
	}
	_ = x.WriteJSON(handlers.StatusOf(e.Code), map[string]string{"error": string(e.Code)})
}

func newVendor(t *testing.T) *handlerstest.World {
	return handlerstest.New(t, handlerstest.Options{Mount: new(vendor).mount})
}

// vendorKey is a create through the dialect.
func vendorKey(token, name string, header map[string]string) handlerstest.Request {
	all := map[string]string{"X-Vendor-Key": token, "Content-Type": "text/plain"}
	for name, value := range header {
		all[name] = value
	}
	return handlerstest.Request{Method: "POST", Target: "/vendor/keys", Header: all, Body: name}
}

func TestDialectAuthenticatesItself(t *testing.T) {
	w := newVendor(t)
	caller := w.Key(t, ledger.Create{Scopes: []string{ledger.ScopeCreate}})
	token := caller.Token.Reveal()
	before := w.Events(t)
	r := w.Do(t, vendorKey(token, "a name", nil))
	w.Hide(fmt.Sprint(r.Field("secret")))
	if r.Status != 200 || r.Field("name") != "a name" || r.Field("by") != caller.Key.ID.String() || w.Events(t) != before+1 {
		t.Fatalf("%d, %d events: %s", r.Status, w.Events(t)-before, r.Body)
	}
	if got, want := r.Header.Get("Keyledger-Sequence"), fmt.Sprint(w.Events(t)); got != want {
		t.Errorf("Keyledger-Sequence is %q, want %s", got, want)
	}
	line := w.Lines.Last()
	if line["by"] != caller.Key.ID.String() || line["key"] != r.Field("id") || line["route"] != "/vendor/keys" {
		t.Errorf("the access line is %v", line)
	}
	w.WaitForUse(t, caller.Key.ID, 1)
	w.Refuses(t, vendorKey("wrong-token-of-nobody", "", nil), 400) // the body comes first
	w.Refuses(t, vendorKey("wrong-token-of-nobody", "a", nil), 401)
	w.Refuses(t, vendorKey("", "a", nil), 401)
	w.Refuses(t, vendorKey(token, strings.Repeat("a", handlers.DefaultMaxBody+1), nil), 413)
	w.Refuses(t, vendorKey(token, "a", with("Keyledger-Min-Sequence", "x")), 400)
	w.Refuses(t, vendorKey(token, "a", with("Keyledger-Min-Sequence", fmt.Sprint(w.Events(t)+1))), 503)
}

func TestDialectActsAsAnother(t *testing.T) {
	w := newVendor(t)
	r := w.Do(t, handlerstest.Request{Method: "POST", Target: "/vendor/keys/a/as/vendor-admin"})
	w.Hide(fmt.Sprint(r.Field("secret")))
	if r.Status != 200 || r.Field("by") != "vendor-admin" || w.Lines.Last()["by"] != "vendor-admin" {
		t.Errorf("%d %s, %v", r.Status, r.Body, w.Lines.Last())
	}
}

// An Idempotency-Key belongs to the principal also where that is known late: nobody else gets its answer.
func TestDialectOnce(t *testing.T) {
	w := newVendor(t)
	tokens := []string{w.Root, w.Key(t, ledger.Create{Scopes: []string{ledger.ScopeCreate}}).Token.Reveal()}
	once := with("Idempotency-Key", "one")
	answers := make(map[string]bool)
	for _, token := range tokens {
		before := w.Events(t)
		first, again := w.Do(t, vendorKey(token, "a", once)), w.Do(t, vendorKey(token, "a", once))
		if first.Status != 200 || string(first.Body) != string(again.Body) || w.Events(t) != before+1 {
			t.Fatalf("%d events: %s, then %s", w.Events(t)-before, first.Body, again.Body)
		}
		if again.Header.Get("Idempotency-Replayed") != "true" {
			t.Error("the repeat does not say that it is one")
		}
		answers[string(first.Body)] = true
		w.Refuses(t, vendorKey(token, "another", once), 422)
	}
	w.Refuses(t, vendorKey("wrong-token-of-nobody", "a", once), 401)
	for _, actor := range []string{"x", "y"} {
		r := w.Do(t, handlerstest.Request{Method: "POST", Target: "/vendor/keys/a/as/" + actor, Header: once})
		answers[string(r.Body)] = true
	}
	if len(answers) != 4 {
		t.Errorf("four principals got %d answers", len(answers))
	}
}

func TestDialectChangesAllow(t *testing.T) {
	w := newVendor(t)
	for method, target := range map[string]string{"GET": "/vendor/keys", "DELETE": "/vendor/keys/1/as/x"} {
		r := w.Refuses(t, handlerstest.Request{Method: method, Target: target}, 405)
		if r.Header.Get("Allow") != "NOTHING, BUT POST" || r.Field("error") != "method_not_allowed" {
			t.Errorf("%s: Allow is %q: %s", target, r.Header.Get("Allow"), r.Body)
		}
	}
	if r := w.Refuses(t, handlerstest.Request{Method: "PUT", Target: "/v1/keys", Token: w.Root}, 405); r.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("of a native path Allow is %q", r.Header.Get("Allow"))
	}
}

// A native path stays native, and so does one of an earlier dialect, whatever the method.
func TestDialectPathsDoNotOverlap(t *testing.T) {
	w := newVendor(t)
	handle := func(*handlers.Exchange) error { return nil }
	for path, taken := range map[string]bool{
		"/v1/keys": true, "/v1/keys/{name}": true, "/v1/keys/verify": true, "/v1/workspaces/{w}/keys": true, "/v1/authorize": true,
		"/healthz": true, "/openapi.json": true, "/vendor/keys": true, "/vendor/keys/{a}/as/{b}": true,
		"/v1/workspaces/{w}/api-keys": false, "/v1/api-keys": false, "/v1/keys/": false, "/v1/keys/{id}/more": false,
		"/vendor/keys/{id}": false,
	} {
		err := w.Server.Mount([]handlers.Route{{Method: "PUT", Path: path, Handle: handle}}, handlers.RenderProblem)
		if (err != nil) != taken {
			t.Errorf("%s: %v", path, err)
		}
	}
}
