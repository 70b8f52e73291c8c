package handlers_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyledger/ledger"
)

// What a principal sees of streams: its own, nothing foreign, and no more by a wider filter than by a narrow one.
func TestStreamsShowOnlyOnesOwn(t *testing.T) {
	w := newWorld(t)
	fill := cast(w)
	address := serve(t, w.Server, nil)
	token := func(owner ledger.Owner, scopes ...string) string {
		return "Bearer " + w.key(ledger.Create{Owner: owner, Scopes: scopes}).Token.Reveal()
	}
	acme, eu := ledger.Owner{Workspace: "acme"}, ledger.Owner{Workspace: "acme", Org: "eu"}
	peer := ledger.Owner{Workspace: "acme", Org: "eu", AgentID: "bot7", Peer: "p1", Session: "s1"}
	for _, c := range []struct {
		who   string
		token string
		path  string
		want  int
	}{
		{"all", token(ledger.Owner{}, ledger.ScopeEvents), "/v1/events", 200},
		{"all of one", token(ledger.Owner{}, ledger.ScopeAll), "/v1/events?workspace_id=other", 200},
		{"own", token(acme, ledger.ScopeEvents), "/v1/events", 200},
		{"own, stated", token(acme, ledger.ScopeEvents), "/v1/events?workspace_id=acme", 200},
		{"own, narrower", token(acme, ledger.ScopeEvents), "/v1/events?org_id=eu", 200},
		{"own of an org, wider filter", token(eu, ledger.ScopeEvents), "/v1/events?workspace_id=acme", 200},
		{"own of an agent", token(ledger.Owner{AgentID: "bot7"}, ledger.ScopeEvents), "/v1/events", 200},
		{"own key", token(acme, ledger.ScopeEvents), "/v1/keys/{active.id}/events", 200},
		{"a key of a session", token(peer, ledger.ScopeEvents), "/v1/keys/{active.id}/events", 200},
		{"foreign", token(acme, ledger.ScopeAll), "/v1/events?workspace_id=other", 404},
		{"foreign org", token(eu, ledger.ScopeAll), "/v1/events?org_id=us", 404},
		{"foreign key", token(acme, ledger.ScopeAll), "/v1/keys/{other.id}/events", 404},
		{"unowned key", token(acme, ledger.ScopeAll), "/v1/keys/{root.id}/events", 404},
		{"another session's key", token(ledger.Owner{Workspace: "acme", Session: "s2"}, ledger.ScopeAll), "/v1/keys/{active.id}/events", 404},
		{"a session", token(peer, ledger.ScopeAll), "/v1/events", 403},
		{"without the scope", token(acme, ledger.ScopeRead, ledger.ScopeAudit), "/v1/events", 403},
		{"without the scope, a key", token(acme, ledger.ScopeRead), "/v1/keys/{active.id}/events", 403},
		{"nobody", "", "/v1/events", 401},
	} {
		t.Run(c.who, func(t *testing.T) {
			path := fill.Replace(c.path)
			before := w.log.Len()
			l := dial(t, address, path, sse, "Authorization", c.token)
			if l.answer.StatusCode != c.want {
				t.Fatalf("%d, want %d", l.answer.StatusCode, c.want)
			}
			if c.want != 200 {
				if text, _ := io.ReadAll(l.answer.Body); w.log.Len() != before || !json.Valid(text) {
					t.Errorf("%d events were appended; %s", w.log.Len()-before, text)
				}
				return
			}
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			page := w.do("GET", path+sep+"limit=1000", "", with("Authorization", c.token))
			hasStatus(t, page, http.StatusOK)
			past := dial(t, address, path+sep+"until=now", sse, "Authorization", c.token)
			var want []event // of what comes while the stream is open
			for _, name := range []string{"{active.id}", "{other.id}", "{root.id}"} {
				change := w.do("PATCH", fill.Replace("/v1/keys/"+name), `{"name":"`+c.who+name+`"}`, nil)
				hasStatus(t, change, http.StatusOK)
			}
			shown := len(page.field("data").([]any))
			for range shown {
				past.must()
			}
			if err := past.end(); err != io.EOF {
				t.Error(err)
			}
			for _, e := range w.do("GET", path+sep+"limit=1000", "", with("Authorization", c.token)).field("data").([]any)[shown:] {
				text := l.must()
				if got := e.(map[string]any)["sequence"]; got != text.id {
					t.Errorf("%s, want %v", text, got)
				}
				want = append(want, text)
			}
			if len(want) == 0 {
				t.Error("nothing came")
			}
		})
	}
}

// A stream ends within a second of its key losing the right to it, and shows nothing of what comes after that.
func TestStreamEndsWithItsKey(t *testing.T) {
	for _, name := range []string{"revoked", "disabled", "another scope", "rotated", "expired", "out of grace"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			address := serve(t, w.Server, nil)
			issued := w.key(ledger.Create{Scopes: []string{ledger.ScopeEvents, ledger.ScopeRead}, ExpiresAt: w.Now().Add(time.Hour)})
			mine := "Bearer " + issued.Token.Reveal()
			streams := []*client{
				listen(t, address, "/v1/events", sse, "Authorization", mine),
				listen(t, address, "/v1/keys/"+w.Call.Principal.KeyID.String()+"/events", lined, "Authorization", mine),
			}
			bystander := listen(t, address, "/v1/events", sse)
			ctx, id := t.Context(), issued.Key.ID
			began := time.Now()
			var err error
			switch name {
			case "revoked":
				_, err = w.Service.Revoke(ctx, &w.Call, id, "")
			case "disabled":
				_, err = w.Service.Disable(ctx, &w.Call, id)
			case "another scope":
				_, err = w.Service.Update(ctx, &w.Call, id, &ledger.Update{Scopes: &[]string{ledger.ScopeRead}})
			case "rotated":
				_, err = w.Service.Rotate(ctx, &w.Call, id, &ledger.Rotate{})
			case "expired":
				w.Later(2 * time.Hour)
			case "out of grace":
				_, err = w.Service.Rotate(ctx, &w.Call, id, &ledger.Rotate{Grace: time.Minute})
				for _, l := range streams[:1] {
					if e := l.must(); !strings.Contains(e.text, "rotated") {
						t.Errorf("within the grace: %v", e)
					}
				}
				w.Later(2 * time.Minute)
			}
			if err != nil {
				t.Fatal(err)
			}
			if name != "expired" && name != "out of grace" { // the others are noticed by the clock alone
				w.key(ledger.Create{Name: "not for them"})
			}
			for _, l := range streams {
				if err := l.end(); err != io.EOF {
					t.Error(err)
				}
			}
			if took := time.Since(began); took > 2*time.Second { // a second, and time to be scheduled
				t.Errorf("they ended after %v", took)
			}
			w.key(ledger.Create{Name: "for the others"})
			for e := bystander.must(); !strings.Contains(e.text, "for the others"); e = bystander.must() {
			}
			refused := dial(t, address, "/v1/events", sse, "Authorization", mine)
			if s := refused.answer.StatusCode; s != http.StatusUnauthorized && (name != "another scope" || s != http.StatusForbidden) {
				t.Errorf("resumed: %d", s)
			}
		})
	}
}
