package handlers_test

import (
	"context"
	"fmt"
	"strings"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// discard is the URL of endpoints that nothing is delivered to: they want events that the tests do not make.
const discard = "http://127.0.0.1:9/hook"

// hook creates a webhook past HTTP.
func (w *world) hook(workspace string) ledger.Webhook {
	w.t.Helper()
	call := w.Call
	in := ledger.CreateWebhook{Workspace: workspace, URL: discard, Types: []string{"webhook.deleted"}, Name: "ci"}
	hook, err := w.Service.CreateWebhook(w.t.Context(), &call, &in)
	if err != nil {
		w.t.Fatal(err)
	}
	return hook
}

// webhookRights are those of the routes of webhooks.
func webhookRights() map[string]right {
	return map[string]right{
		"POST /v1/webhooks":                    {ledger.ScopeWebhooks, `{"url":"` + discard + `","workspace_id":"acme"}`, "404"},
		"GET /v1/webhooks":                     {ledger.ScopeWebhooks, "", "hidden"},
		"GET /v1/webhooks/{id}":                {ledger.ScopeWebhooks, "", "404"},
		"PATCH /v1/webhooks/{id}":              {ledger.ScopeWebhooks, `{"name":"new"}`, "404"},
		"DELETE /v1/webhooks/{id}":             {ledger.ScopeWebhooks, "", "404"},
		"POST /v1/webhooks/{id}/rotate-secret": {ledger.ScopeWebhooks, "", "404"},
		"POST /v1/webhooks/{id}/disable":       {ledger.ScopeWebhooks, "", "404"},
		"POST /v1/webhooks/{id}/enable":        {ledger.ScopeWebhooks, "", "404"},
		"POST /v1/webhooks/{id}/test":          {ledger.ScopeWebhooks, "", "404"},
		"GET /v1/webhooks/{id}/deliveries":     {ledger.ScopeWebhooks, "", "404"},
		"GET /v1/webhooks/{id}/dead-letters":   {ledger.ScopeWebhooks, "", "404"},
		"POST /v1/webhooks/{id}/replay":        {ledger.ScopeWebhooks, "", "404"},
	}
}

// castHooks are the webhooks that scenarios act on.
func castHooks(w *world) []string {
	w.t.Helper()
	hook, off, theirs := w.hook("acme"), w.hook("acme"), w.hook("other")
	call := w.Call
	if _, err := w.Service.DisableWebhook(w.t.Context(), &call, off.ID, "maintenance"); err != nil {
		w.t.Fatal(err)
	}
	dead := ledger.Delivery{Sequence: 1, EventID: hook.LastEvent, Type: "key.created", State: ledger.Dead, Attempts: 3,
		Status: 500, At: w.Now()}
	for sequence := uint64(1); sequence <= 3; sequence++ {
		d := dead
		if d.Sequence = sequence; sequence == 2 {
			d.State = ledger.Retrying
		}
		if err := w.Queue.Note(w.t.Context(), hook.ID, &d); err != nil {
			w.t.Fatal(err)
		}
	}
	return []string{"{hook.id}", hook.ID.String(), "{hook.sequence}", fmt.Sprint(hook.Sequence), "{off.id}", off.ID.String(),
		"{theirs.id}", theirs.ID.String()}
}

// lostRaces has every append meet another one.
func lostRaces(w *world) {
	w.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpAppend {
			return ledgertest.Fault{Err: ledger.ErrConflict}
		}
		return ledgertest.Fault{}
	})
}

func webhookScenarios() []scenario {
	const path, one = "/v1/webhooks", "/v1/webhooks/{hook.id}"
	create := func(name, body string, status int, want ...string) scenario {
		return scenario{name: name, method: "POST", path: path, body: body, status: status, want: want, events: map[bool]int{true: 1}[status == 201]}
	}
	refused := func(name, body, field string) scenario {
		return create(name, body, 400, "code=invalid", "field="+field)
	}
	list := []scenario{
		create("new", `{"url":"https://192.0.2.1/a?b=c","workspace_id":"acme","types":["key.created","agent.*"],"name":"n"}`, 201,
			"url=https://192.0.2.1/a?b=c", "workspace_id=acme", "org_id=<nil>", "types=[key.created agent.*]", "status=enabled",
			"secret_version=1", "created_by={root.id}", "name=n"),
		create("from a sequence", `{"url":"`+discard+`","types":["webhook.deleted"],"from_sequence":7}`, 201, "from_sequence=7"),
		create("for a foreign owner", `{"url":"https://192.0.2.1","workspace_id":"other"}`, 404),
		create("for every owner, by a bound key", `{"url":"https://192.0.2.1"}`, 403),
		refused("no url", `{}`, "url"),
		refused("a relative url", `{"url":"/a"}`, "url"),
		refused("another scheme", `{"url":"ftp://192.0.2.1"}`, "url"),
		refused("a password", `{"url":"https://a:b@192.0.2.1"}`, "url"),
		refused("a fragment", `{"url":"https://192.0.2.1/#a"}`, "url"),
		refused("a bad port", `{"url":"https://192.0.2.1:99999"}`, "url"),
		refused("a long url", `{"url":"https://192.0.2.1/`+strings.Repeat("x", ledger.MaxURL)+`"}`, "url"),
		refused("a space", `{"url":"https://192.0.2.1/a b"}`, "url"),
		refused("an unknown type", `{"url":"https://192.0.2.1","types":["key.created","key.cloned"]}`, "types.1"),
		refused("a wild type", `{"url":"https://192.0.2.1","types":["*"]}`, "types.0"),
		refused("a negative sequence", `{"url":"https://192.0.2.1","from_sequence":-1}`, "from_sequence"),
		refused("a long name", `{"url":"https://192.0.2.1","name":"`+strings.Repeat("x", 121)+`"}`, "name"),
		refused("an unknown member", `{"url":"https://192.0.2.1","secret":"whsec_x"}`, "secret"),
		{name: "list", path: path + "?workspace_id=acme&limit=1", status: 200},
		{name: "list, a limit too high", path: path + "?limit=1001", status: 400, want: []string{"field=limit"}},
		{name: "list of a foreign owner", path: path + "?workspace_id=other", header: bearer("bound"), status: 404},
		{name: "one", path: one, status: 200, want: []string{"id={hook.id}", "last_delivery.state=dead", "last_delivery.sequence=3"}},
		{name: "a disabled one", path: "/v1/webhooks/{off.id}", status: 200, want: []string{"status=disabled", "last_delivery=<nil>"}},
		{name: "none", path: "/v1/webhooks/{absent.id}", status: 404},
		{name: "no id", path: "/v1/webhooks/x", status: 404},
		{name: "a key", path: "/v1/webhooks/{active.id}", status: 404},
		{name: "change", method: "PATCH", path: one, body: `{"url":"https://192.0.2.2","types":null,"name":"b"}`, status: 200, events: 1,
			want: []string{"url=https://192.0.2.2", "types=[]", "name=b"}},
		{name: "change nothing", method: "PATCH", path: one, body: `{"url":"` + discard + `"}`, status: 200},
		{name: "change to a bad url", method: "PATCH", path: one, body: `{"url":null}`, status: 400, want: []string{"field=url"}},
		{name: "change to a bad type", method: "PATCH", path: one, body: `{"types":["a"]}`, status: 400, want: []string{"field=types.0"}},
		{name: "delete", method: "DELETE", path: one, status: 204, events: 1},
		{name: "rotate", method: "POST", path: one + "/rotate-secret", status: 200, events: 1, want: []string{"secret_version=2"}},
		{name: "rotate, a bad overlap", method: "POST", path: one + "/rotate-secret", body: `{"overlap_seconds":-1}`, status: 400},
		{name: "disable", method: "POST", path: one + "/disable", body: `{"reason":"r"}`, status: 200, events: 1,
			want: []string{"status=disabled", "disabled_reason=r"}},
		{name: "disable a disabled one", method: "POST", path: "/v1/webhooks/{off.id}/disable", status: 200},
		{name: "enable", method: "POST", path: "/v1/webhooks/{off.id}/enable", status: 200, events: 1, want: []string{"status=enabled"}},
		{name: "enable an enabled one", method: "POST", path: one + "/enable", status: 200},
		{name: "test", method: "POST", path: one + "/test", status: 200, want: []string{"delivered=false", "error=refused", "status=<nil>"}},
		{name: "deliveries", path: one + "/deliveries", status: 200, want: []string{"next_cursor=<nil>"}},
		{name: "deliveries, a limit too high", path: one + "/deliveries?limit=1001", status: 400},
		{name: "dead letters", path: one + "/dead-letters?limit=1", status: 200},
		{name: "dead letters, a made-up cursor", path: one + "/dead-letters?cursor=AAAA", status: 400},
		{name: "deliveries of none", path: "/v1/webhooks/{absent.id}/deliveries", status: 404},
		{name: "dead letters of another's", path: "/v1/webhooks/{theirs.id}/dead-letters", header: bearer("bound"), status: 404},
		{name: "replay", method: "POST", path: one + "/replay", body: `{"from":1,"to":2}`, status: 202, want: []string{"replayed=1"}},
		{name: "replay all", method: "POST", path: one + "/replay", status: 202, want: []string{"replayed=2"}},
		{name: "replay a bad range", method: "POST", path: one + "/replay", body: `{"from":3,"to":2}`, status: 400, want: []string{"field=to"}},
		{name: "replay from 0", method: "POST", path: one + "/replay", body: `{"from":0}`, status: 400, want: []string{"field=from"}},
		{name: "replay a disabled one", method: "POST", path: "/v1/webhooks/{off.id}/replay", status: 409},
	}
	for i := range list {
		if strings.HasPrefix(list[i].name, "for ") {
			list[i].header = bearer("bound")
		}
	}
	return append(list, webhookCommandScenarios()...)
}

// webhookCommandScenarios are the refusals that commands on webhooks share.
func webhookCommandScenarios() (list []scenario) {
	for _, c := range []struct {
		method, path, body  string
		conditional, lonely bool // lonely: it does not append
	}{
		{"POST", "", `{"url":"` + discard + `"}`, false, false},
		{"PATCH", "/{hook.id}", `{"name":"b"}`, true, false},
		{"DELETE", "/{hook.id}", ``, true, false},
		{"POST", "/{hook.id}/rotate-secret", ``, true, false},
		{"POST", "/{hook.id}/disable", ``, true, false},
		{"POST", "/{off.id}/enable", ``, true, false},
		{"POST", "/{hook.id}/test", ``, false, true},
		{"POST", "/{hook.id}/replay", ``, false, true},
	} {
		path := "/v1/webhooks" + c.path
		on := func(name string, status int, body string, header map[string]string) scenario {
			return scenario{name: c.method + " " + path + " " + name, method: c.method, path: path, body: body, status: status, header: header}
		}
		list = append(list,
			on("with an unknown member", 400, `{"x":1}`, nil),
			on("with a large body", 413, `{"x":"`+strings.Repeat("x", 64<<10)+`"}`, nil),
			on("with a form", 415, "x=1", with("Content-Type", "application/x-www-form-urlencoded")))
		if c.path != "" {
			foreign := on("of a foreign owner", 404, c.body, bearer("bound"))
			foreign.path = strings.NewReplacer("{hook.id}", "{theirs.id}", "{off.id}", "{theirs.id}").Replace(path)
			list = append(list, foreign)
		}
		if c.conditional {
			list = append(list, on("after a change", 412, c.body, with("If-Match", `"1"`)))
		}
		if !c.lonely {
			raced := on("while others change the same", 409, c.body, nil)
			raced.before = lostRaces
			list = append(list, raced)
		}
		if !strings.HasSuffix(path, "/test") {
			reused := on("with an idempotency key of another request", 422, c.body, with("Idempotency-Key", "k"))
			reused.before = func(w *world) { w.do("POST", "/v1/agents", `{"name":"a"}`, with("Idempotency-Key", "k")) }
			list = append(list, reused)
		}
	}
	return list
}
