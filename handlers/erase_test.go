package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// eraseScenarios are those of erasures that others do not have.
func eraseScenarios() []scenario {
	const workspace = "/v1/workspaces/acme/erase"
	busy := func(w *world) {
		w.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
			if op == ledgertest.OpAppend {
				return ledgertest.Fault{Err: ledger.ErrConflict}
			}
			return ledgertest.Fault{}
		})
	}
	return []scenario{
		{name: "erasing a revoked key", method: "POST", path: "/v1/keys/{revoked.id}/erase", status: 200, events: 1,
			want: []string{"status=revoked", "agent_name=erased", "name=<nil>"}},
		{name: "erasing a key that others change all the time", method: "POST", path: "/v1/keys/{active.id}/erase", before: busy, status: 409},
		{name: "erasing a workspace", method: "POST", path: workspace, body: `{}`, status: 200, events: 1,
			want: []string{"workspace_id=acme"}},
		{name: "erasing what others erase all the time", method: "POST", path: workspace, before: busy, status: 409},
		{name: "erasing nothing", method: "POST", path: "/v1/workspaces/none/erase", status: 404},
		{name: "erasing a foreign workspace", method: "POST", path: "/v1/workspaces/other/erase", header: bearer("bound"), status: 404},
		{name: "erasing with an unknown member", method: "POST", path: workspace, body: `{"x":1}`, status: 400},
		{name: "erasing with a large body", method: "POST", path: workspace, body: `{"x":"` + strings.Repeat("x", 64<<10) + `"}`, status: 413},
		{name: "erasing with a form", method: "POST", path: workspace, body: "x=1",
			header: with("Content-Type", "application/x-www-form-urlencoded"), status: 415},
		{name: "erasing with an idempotency key of another request", method: "POST", path: workspace, header: with("Idempotency-Key", "k"),
			before: func(w *world) { w.do("POST", "/v1/agents", `{"name":"a"}`, with("Idempotency-Key", "k")) }, status: 422},
	}
}

// After an erasure no route shows what was erased: reads, lists, history, and where the key was used from.
func TestErasedEverywhere(t *testing.T) {
	w := newWorld(t)
	issued := w.key(ledger.Create{
		Name: "Ada Lovelace", Metadata: json.RawMessage(`{"mail":"lovelace@example.com"}`),
		Owner: ledger.Owner{Workspace: "acme", Org: "o", AgentID: "bot", AgentName: "Babbage"},
	})
	id := issued.Key.ID.String()
	w.do("POST", "/v1/keys/verify", `{"token":"`+issued.Token.Reveal()+`"}`, nil)
	w.waitForUse(id, 1)
	w.do("POST", "/v1/agents", `{"name":"Alan Turing","workspace_id":"acme"}`, nil)
	w.do("POST", "/v1/keys/"+id+"/revoke", `{"reason":"Lovelace has left"}`, nil)
	then := fmt.Sprint("at_seq=", w.State.Position())
	paths := []string{
		"/v1/keys/" + id + "?" + then, "/v1/keys?" + then, "/v1/workspaces/acme/keys?" + then, "/v1/agents?workspace_id=acme&" + then,
		"/v1/keys/" + id, "/v1/keys", "/v1/workspaces/acme/keys", "/v1/orgs/o/keys", "/v1/agents/bot/keys", "/v1/agents?workspace_id=acme",
		"/v1/keys/" + id + "/events", "/v1/events?workspace_id=acme", "/v1/keys/" + id + "/usage",
	}
	all := func() string {
		t.Helper()
		var text strings.Builder
		for _, path := range paths {
			a := w.do("GET", path, "", nil)
			if a.StatusCode != 200 {
				t.Fatalf("%s: %d", path, a.StatusCode)
			}
			text.Write(a.text)
		}
		text.Write(w.do("POST", "/v1/keys/verify", `{"token":"`+issued.Token.Reveal()+`"}`, nil).text)
		return text.String()
	}
	words := []string{"Lovelace", "lovelace@", "Babbage", "Turing"}
	before := all()
	for _, word := range words {
		if !strings.Contains(before, word) {
			t.Errorf("%q is nowhere before", word)
		}
	}
	if ip := w.do("GET", "/v1/keys/"+id+"/usage", "", nil).field("user_agent"); ip != "tests" {
		t.Errorf("used by %v", ip)
	}
	if a := w.do("POST", "/v1/workspaces/acme/erase", "", nil); a.StatusCode != 200 || a.field("workspace_id") != "acme" {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	after := all()
	for _, word := range words {
		if strings.Contains(after, word) {
			t.Errorf("%q is still there:\n%.3000s", word, after)
		}
	}
	if a := w.do("GET", "/v1/keys/"+id+"/usage", "", nil); a.field("user_agent") != "erased" {
		t.Errorf("%s", a.text)
	}
	for _, query := range []string{"/v1/keys?name=Ada", "/v1/keys?name=Ada&" + then, "/v1/agents?workspace_id=acme&name=Alan%20Turing"} {
		if a := w.do("GET", query, "", nil); string(a.text) != `{"data":[],"next_cursor":null}`+"\n" {
			t.Errorf("%s finds %s", query, a.text)
		}
	}
}
