package handlerstest_test

import (
	"testing"
	"time"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

func TestWorld(t *testing.T) {
	for name, jetStream := range map[string]bool{"in memory": false, "on JetStream": true} {
		t.Run(name, func(t *testing.T) {
			w := handlerstest.New(t, handlerstest.Options{JetStream: jetStream, Mount: mount})
			moved := w.Do(t, handlerstest.Request{Method: "GET", Target: "/moved"})
			if moved.Status != 307 || moved.Header.Get("Location") != "/elsewhere" {
				t.Errorf("a redirection: %d %v", moved.Status, moved.Header)
			}
			key := w.Key(t, ledger.Create{Name: "ci", Scopes: []string{ledger.ScopeRead}, ExpiresAt: w.Now().Add(time.Hour)})
			get := handlerstest.Request{Method: "GET", Target: "/v1/keys/" + key.Key.ID.String(), Token: key.Token.Reveal()}
			r := w.Do(t, get)
			if r.Status != 200 || r.Field("name") != "ci" || w.Events(t) == 0 {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			w.WaitForUse(t, key.Key.ID, 1)
			w.Refuses(t, handlerstest.Request{Method: "POST", Target: "/v1/keys", Token: get.Token, Body: `{}`}, 403)
			w.Refuses(t, handlerstest.Request{Method: "POST", Target: "/v1/keys", Body: `{}`}, 401)
			w.Later(2 * time.Hour)
			w.Refuses(t, get, 401)
		})
	}
}

func mount(s *handlers.Server, _ *ledger.Service) error {
	return s.Mount([]handlers.Route{{Method: "GET", Path: "/moved", Public: true, Handle: func(x *handlers.Exchange) error {
		x.Status = 307
		x.Header().Set("Location", "/elsewhere")
		return nil
	}}}, handlers.RenderProblem)
}
