package handlers_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyledger/handlers"
	"keyledger/ledger"
)

// scenario is one request and what it must lead to. In path, body and header, {active.id} and the like stand for what
// the cast of the world has.
type scenario struct {
	name   string
	method string // GET when empty
	path   string
	body   string
	header map[string]string
	before func(w *world) // done first
	status int
	want   []string // "path=value" in the body, or "Header: value"
	events int      // messages that it appends
}

// cast are the keys that scenarios act on, by placeholder. acme and other are workspaces.
func cast(w *world) *strings.Replacer {
	w.t.Helper()
	var pairs []string
	add := func(name string, in ledger.Create) ledger.Issued {
		issued := w.key(in)
		pairs = append(pairs, "{"+name+".id}", issued.Key.ID.String(), "{"+name+".token}", issued.Token.Reveal(),
			"{"+name+".sequence}", strconv.FormatUint(issued.Key.Sequence, 10))
		return issued
	}
	acme := ledger.Owner{Workspace: "acme", Org: "eu", AgentID: "bot7", AgentName: "Bot 7", Peer: "p1", Session: "s1"}
	add("active", ledger.Create{Name: "deploy bot", Owner: acme, Scopes: []string{"deploy", "read"}})
	add("test", ledger.Create{Name: "test bot", Owner: acme, Environment: ledger.Test})
	add("other", ledger.Create{Name: "their bot", Owner: ledger.Owner{Workspace: "other"}})
	add("bound", ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{"ledger:*"}})
	add("creator", ledger.Create{Scopes: []string{ledger.ScopeCreate, ledger.ScopeUpdate, ledger.ScopeRead}})
	add("brief", ledger.Create{Scopes: []string{"ledger:*"}, ExpiresAt: w.Now().Add(10 * time.Hour)})
	add("expired", ledger.Create{Owner: acme, ExpiresAt: w.Now().Add(time.Hour)})
	add("scheduled", ledger.Create{Owner: acme, NotBefore: w.Now().Add(10 * time.Hour)})
	revoked, disabled := add("revoked", ledger.Create{Owner: acme}), add("disabled", ledger.Create{Owner: acme})
	if _, err := w.Service.Revoke(w.t.Context(), &w.Call, revoked.Key.ID, "leaked"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Service.Disable(w.t.Context(), &w.Call, disabled.Key.ID); err != nil {
		w.t.Fatal(err)
	}
	agent := ledger.RegisterAgent{ID: "bot7", Name: "Bot 7", Workspace: "acme", Org: "eu"}
	if _, _, err := w.Service.RegisterAgent(w.t.Context(), &w.Call, &agent); err != nil {
		w.t.Fatal(err)
	}
	pairs = append(pairs, castHooks(w)...)
	w.Later(2 * time.Hour) // past the end of expired
	pairs = append(pairs, "{root.id}", w.Call.Principal.KeyID.String(), "{absent.id}", "00000000-0000-7000-8000-000000000000",
		"{past}", w.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "{soon}", w.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		"{late}", w.Now().Add(1000*time.Hour).UTC().Format(time.RFC3339))
	return strings.NewReplacer(pairs...)
}

func (s *scenario) run(t *testing.T, c *contract) {
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) { c.AuthFailures = 1 })
	w.contract = c
	fill := cast(w)
	header := make(map[string]string)
	for name, value := range s.header {
		header[name] = fill.Replace(value)
	}
	if s.before != nil {
		s.before(w)
	}
	method := s.method
	if method == "" {
		method = http.MethodGet
	}
	a := w.do(method, fill.Replace(s.path), fill.Replace(s.body), header)
	if a.StatusCode != s.status {
		t.Fatalf("status %d, want %d\n%s", a.StatusCode, s.status, a.text)
	}
	if a.events != s.events {
		t.Errorf("it appended %d messages, want %d", a.events, s.events)
	}
	for _, want := range s.want {
		want = fill.Replace(want)
		if name, value, isHeader := strings.Cut(want, ": "); isHeader && !strings.Contains(name, "=") {
			if got := a.Header.Get(name); got != value {
				t.Errorf("header %s is %q, want %q", name, got, value)
			}
			continue
		}
		path, value, _ := strings.Cut(want, "=")
		if got := fmt.Sprint(a.field(path)); got != value {
			t.Errorf("%s is %s, want %s\n%s", path, got, value, a.text)
		}
	}
}

// Every documented answer of every route is given by one of these, and every one is as documented.
func TestAnswers(t *testing.T) {
	c := theContract(t)
	groups := map[string][]scenario{
		"create": createScenarios(), "bodies": bodyScenarios(), "read": readScenarios(), "change": changeScenarios(),
		"revoke": revokeScenarios(), "verify": verifyScenarios(), "usage": usageScenarios(), "authorize": authorizeScenarios(),
		"agents": agentScenarios(), "history": historyScenarios(), "operations": operationScenarios(),
		"webhooks":    webhookScenarios(),
		"past":        pastScenarios(),
		"ledger":      ledgerScenarios(),
		"reads":       readsScenarios(),
		"secrets":     secretsScenarios(),
		"every route": everyRouteScenarios(newWorld(t).Server.Routes()),
	}
	for name, group := range groups {
		t.Run(name, func(t *testing.T) {
			for _, s := range group {
				t.Run(fmt.Sprintf("%d %s", s.status, s.name), func(t *testing.T) { s.run(t, c) })
			}
		})
	}
	if t.Failed() {
		return
	}
	for _, documented := range c.documented() {
		if !c.seen[documented] {
			t.Errorf("%s is documented but was never answered", documented)
		}
	}
}

// with is a header.
func with(pairs ...string) map[string]string {
	h := make(map[string]string)
	for pair := range slices.Chunk(pairs, 2) {
		h[pair[0]] = pair[1]
	}
	return h
}

func bearer(name string) map[string]string {
	return with("Authorization", "Bearer {"+name+".token}")
}

func createScenarios() []scenario {
	const path = "/v1/keys"
	refused := func(name, body, field string) scenario {
		return scenario{name: name, method: "POST", path: path, body: body, status: 400, want: []string{"code=invalid", "field=" + field}}
	}
	list := []scenario{
		{name: "nothing given", method: "POST", path: path, body: `{}`, status: 201, events: 1, want: []string{
			"name=<nil>", "scopes=[]", "environment=live", "type=external", "metadata=map[]", "status=active", "created_by={root.id}",
			"use_count=0", "expires_at=<nil>"}},
		{name: "null is absent", method: "POST", path: path, status: 201, events: 1,
			body: `{"name":null,"scopes":null,"environment":null,"type":null,"metadata":null,"expires_at":null,"not_before":null,"token":null}`},
		{name: "everything given", method: "POST", path: path, status: 201, events: 1, body: `{"name":"Büro \"1\"","workspace_id":"acme",
			"org_id":"eu/west","agent_id":"bot7","agent_name":"Bot 7","peer_id":"p","session_id":"s","scopes":["deploy","read"],
			"environment":"test","type":"github","metadata":{"a":{"b":[1,2.5,null]}},"not_before":"{soon}","expires_at":"{late}"}`,
			want: []string{`name=Büro "1"`, "workspace_id=acme", "org_id=eu/west", "agent_id=bot7", "agent_name=Bot 7", "peer_id=p",
				"session_id=s", "scopes=[deploy read]", "environment=test", "type=github", "metadata=map[a:map[b:[1 2.5 <nil>]]]",
				"status=scheduled", "not_before={soon}", "expires_at={late}"}},
		{name: "an own token", method: "POST", path: path, body: `{"token":"my-own-token-of-at-least-32-characters"}`, status: 201,
			events: 2, want: []string{"token=my-own-token-of-at-least-32-characters"}},
		{name: "X-API-Key", method: "POST", path: path, body: `{}`, status: 201, events: 1,
			header: with("Authorization", "-", "X-API-Key", rootToken)},
		{name: "a scheme in capitals", method: "POST", path: path, body: `{}`, status: 201, events: 1,
			header: with("Authorization", "BEARER "+rootToken)},
		{name: "a media type with a charset", method: "POST", path: path, body: `{}`, status: 201, events: 1,
			header: with("Content-Type", "Application/JSON; charset=UTF-8")},
		{name: "within the caller's owner", method: "POST", path: path, body: `{"workspace_id":"acme","org_id":"eu"}`,
			header: bearer("bound"), status: 201, events: 1, want: []string{"workspace_id=acme", "created_by={bound.id}"}},

		refused("a name over 120 characters", `{"name":"`+strings.Repeat("ä", 121)+`"}`, "name"),
		refused("a line break in the name", `{"name":"a\nb"}`, "name"),
		refused("metadata over 4 KiB", `{"metadata":{"a":"`+strings.Repeat("x", 4096)+`"}}`, "metadata"),
		refused("metadata that is no object", `{"metadata":[1]}`, "metadata"),
		refused("an expiry in the past", `{"expires_at":"{past}"}`, "expires_at"),
		refused("an expiry in the year 1", `{"expires_at":"0001-01-01T00:00:00Z"}`, "expires_at"),
		refused("an expiry before not_before", `{"not_before":"{late}","expires_at":"{soon}"}`, "expires_at"),
		refused("no such environment", `{"environment":"prod"}`, "environment"),
		refused("no such type", `{"type":"robot"}`, "type"),
		refused("a space in a scope", `{"scopes":["ok","a b"]}`, "scopes.1"),
		refused("no such ledger scope", `{"scopes":["ledger:everything"]}`, "scopes.0"),
		refused("too many scopes", `{"scopes":["`+strings.Join(numbers(65), `","`)+`"]}`, "scopes"),
		refused("a workspace over 128 bytes", `{"workspace_id":"`+strings.Repeat("w", 129)+`"}`, "workspace_id"),
		refused("an own token that is too short", `{"token":"short"}`, "token"),
		refused("an own token with a space", `{"token":"my own token of at least 32 characters"}`, "token"),
		{name: "a parameter", method: "POST", path: path + "?name=x", body: `{}`, status: 400, want: []string{"field=query"}},
		{name: "a sequence that is none", method: "POST", path: path, body: `{}`, header: with("Keyledger-Min-Sequence", "-1"),
			status: 400, want: []string{"field=Keyledger-Min-Sequence"}},

		{name: "a wider scope than the caller's", method: "POST", path: path, body: `{"scopes":["ledger:keys:revoke"]}`,
			header: bearer("creator"), status: 403, want: []string{"code=forbidden"}},
		{name: "no owner where the caller has one", method: "POST", path: path, body: `{}`, header: bearer("bound"), status: 403},
		{name: "a later expiry than the caller's", method: "POST", path: path, body: `{"expires_at":"{late}"}`, header: bearer("brief"),
			status: 403},
		{name: "a foreign owner", method: "POST", path: path, body: `{"workspace_id":"other"}`, header: bearer("bound"), status: 404,
			want: []string{"code=not_found"}},
		{name: "a token that is known", method: "POST", path: path, body: `{"token":"` + rootToken + `"}`, status: 409,
			want: []string{"code=conflict"}},
	}
	return list
}

func numbers(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "scope" + strconv.Itoa(i)
	}
	return list
}

func bodyScenarios() []scenario {
	post := func(name, body string, status int, want ...string) scenario {
		return scenario{name: name, method: "POST", path: "/v1/keys", body: body, status: status, want: want}
	}
	typed := func(name, mediaType string, want ...string) scenario {
		return scenario{name: name, method: "POST", path: "/v1/keys", body: `{}`, header: with("Content-Type", mediaType), status: 415,
			want: append(want, "code=unsupported_media_type")}
	}
	return []scenario{
		post("no body", ``, 400, "code=invalid", "detail=the body must be a JSON object"),
		post("white space only", "  \n", 400, "detail=the body must be a JSON object"),
		post("an array", `[]`, 400, "detail=the body must be a JSON object"),
		post("a null", `null`, 400, "detail=the body must be a JSON object"),
		post("cut short", `{"name":"a"`, 400, "detail=the JSON ends too early"),
		post("malformed", `{"name":}`, 400, "field=name", "detail=malformed JSON at byte 8"),
		post("single quotes", `{'name':'a'}`, 400, "detail=malformed JSON at byte 1"),
		post("a second value", `{} {}`, 400, "detail=malformed JSON at byte 3"),
		post("a member twice", `{"name":"a","name":"b"}`, 400, "field=name", "detail=the member is there twice"),
		post("a member twice in metadata", `{"metadata":{"a":{"b":1,"b":2}}}`, 400, "field=metadata.a.b"),
		post("an unknown member", `{"nmae":"a"}`, 400, "field=nmae", "detail=there is no such member"),
		post("a member in other letters", `{"Name":"a"}`, 400, "field=Name"),
		post("not UTF-8", "{\"name\":\"\xff\"}", 400, "field=name", "detail=the body is not UTF-8 at byte 9"),
		post("half a surrogate pair", `{"name":"\ud800"}`, 400, "field=name"),
		post("a number for a string", `{"name":1}`, 400, "field=name", "detail=the member must be a string"),
		post("a string for an array", `{"scopes":"a"}`, 400, "field=scopes", "detail=the member must be an array of strings"),
		post("a date for a time", `{"expires_at":"2030-01-01"}`, 400, "field=expires_at",
			"detail=the member must be an RFC 3339 time, such as 2030-01-31T12:00:00Z"),
		post("deeper than any decoder goes", `{"metadata":`+strings.Repeat("[", 60000)+`}`, 400),
		post("over 64 KiB", `{"name":"`+strings.Repeat("a", 64<<10)+`"}`, 413, "code=body_too_large"),
		typed("a form", "application/x-www-form-urlencoded", "detail=the body must be JSON, sent with Content-Type: application/json "+
			"(curl -d sends a form unless told: add -H 'Content-Type: application/json')"),
		typed("no media type", "-"),
		typed("plain text", "text/plain"),
		typed("another charset", "application/json; charset=latin1"),
		typed("a patch that is no PATCH", "application/merge-patch+json"),
		{name: "a float for a whole number", method: "POST", path: "/v1/keys/{active.id}/rotate", body: `{"grace_seconds":1.5}`, status: 400,
			want: []string{"field=grace_seconds", "detail=the member must be a whole number"}},
		{name: "a number that no duration holds", method: "POST", path: "/v1/keys/{active.id}/rotate",
			body: `{"grace_seconds":9223372036854775807}`, status: 400, want: []string{"field=grace_seconds"}},
	}
}

func readScenarios() []scenario {
	list := []scenario{
		{name: "a key", path: "/v1/keys/{active.id}", status: 200, want: []string{"id={active.id}", "name=deploy bot", "status=active",
			"scopes=[deploy read]", `ETag: W/"{active.sequence}"`, "Cache-Control: no-store", "X-Content-Type-Options: nosniff"}},
		{name: "its header alone", method: "HEAD", path: "/v1/keys/{active.id}", status: 200, want: []string{`ETag: W/"{active.sequence}"`}},
		{name: "a scheduled key", path: "/v1/keys/{scheduled.id}", status: 200, want: []string{"status=scheduled"}},
		{name: "an expired key", path: "/v1/keys/{expired.id}", status: 200, want: []string{"status=expired"}},
		{name: "a disabled key", path: "/v1/keys/{disabled.id}", status: 200, want: []string{"status=disabled"}},
		{name: "a revoked key", path: "/v1/keys/{revoked.id}", status: 200, want: []string{"status=revoked", "revoke_reason=leaked",
			"revoked_by={root.id}"}},
		{name: "unchanged", path: "/v1/keys/{active.id}", header: with("If-None-Match", `W/"{active.sequence}"`), status: 304},
		{name: "unchanged, one of several", path: "/v1/keys/{active.id}", header: with("If-None-Match", `"x", "{active.sequence}"`), status: 304},
		{name: "changed", path: "/v1/keys/{active.id}", header: with("If-None-Match", `W/"1"`), status: 200},
		{name: "no such key", path: "/v1/keys/{absent.id}", status: 404, want: []string{"code=not_found"}},
		{name: "no id", path: "/v1/keys/nonsense", status: 404},
		{name: "an id in braces", path: "/v1/keys/%7B{active.id}%7D", status: 404},
		{name: "a foreign key", path: "/v1/keys/{other.id}", header: bearer("bound"), status: 404},
		{name: "a parameter", path: "/v1/keys/{active.id}?x=1", status: 400, want: []string{"field=query"}},
		{name: "use", path: "/v1/keys/{active.id}/usage", status: 200, want: []string{"key_id={active.id}", "use_count=0", "last_used_at=<nil>"}},
		{name: "use of no such key", path: "/v1/keys/{absent.id}/usage", status: 404},
		{name: "use with a parameter", path: "/v1/keys/{active.id}/usage?x=1", status: 400},
		{name: "a node that is behind", path: "/v1/keys/{active.id}", header: with("Keyledger-Min-Sequence", "999999"), status: 503,
			want: []string{"code=unavailable", "Retry-After: 1"}},
		{name: "a node that is not", path: "/v1/keys/{active.id}", header: with("Keyledger-Min-Sequence", "{active.sequence}"), status: 200},
		{name: "no such path", path: "/v1/nothing", status: 404, want: []string{"code=not_found", "Content-Type: application/problem+json"}},
		{name: "a slash at the end", path: "/v1/keys/", status: 404},
		{name: "no such method", method: "DELETE", path: "/v1/keys/{active.id}", status: 405, want: []string{"code=method_not_allowed",
			"Allow: GET, HEAD, PATCH"}},
		{name: "GET for POST", path: "/v1/keys/{active.id}/revoke", status: 405, want: []string{"Allow: POST"}},
	}
	for _, path := range []string{"/v1/keys", "/v1/workspaces/acme/keys", "/v1/orgs/eu/keys", "/v1/agents/bot7/keys"} {
		list = append(list, listScenarios(path)...)
	}
	return append(list,
		scenario{name: "a workspace twice", path: "/v1/workspaces/acme/keys?workspace_id=acme", status: 400},
		scenario{name: "a workspace that needs escapes", path: "/v1/workspaces/a%2Fb%20c/keys", status: 200},
		scenario{name: "a foreign owner in the query", path: "/v1/keys?workspace_id=other", header: bearer("bound"), status: 404},
		scenario{name: "a foreign workspace", path: "/v1/workspaces/other/keys", header: bearer("bound"), status: 404},
		scenario{name: "a foreign org", path: "/v1/orgs/eu/keys?workspace_id=other", header: bearer("bound"), status: 404},
		scenario{name: "a foreign agent", path: "/v1/agents/bot7/keys?workspace_id=other", header: bearer("bound"), status: 404},
	)
}

func listScenarios(path string) []scenario {
	get := func(name, query string, status int, want ...string) scenario {
		return scenario{name: path + " " + name, path: path + "?" + query, status: status, want: want}
	}
	return []scenario{
		get("all filters", "status=active&environment=live&type=external&scope=deploy&name=deploy&limit=1000"+
			"&unused_since=2030-01-01T00:00:00Z&peer_id=p1&session_id=s1", 200),
		get("used before", "used_before=2020-01-01T00:00:00%2B02:00", 200, "data=[]", "next_cursor=<nil>"),
		get("a + that is a space", "used_before=2020-01-01T00:00:00+02:00", 400, "field=used_before"),
		get("no such status", "status=gone", 400, "field=status"),
		get("no such environment", "environment=prod", 400, "field=environment"),
		get("no such type", "type=robot", 400, "field=type"),
		get("no limit", "limit=0", 400, "field=limit"),
		get("a limit too high", "limit=1001", 400, "field=limit"),
		get("a limit in words", "limit=ten", 400, "field=limit"),
		get("a made-up cursor", "cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 400, "field=cursor"),
		get("no cursor", "cursor=%20", 400, "field=cursor"),
		get("an unknown parameter", "colour=red", 400, "field=query"),
		get("a parameter twice", "limit=1&limit=1", 400, "field=limit"),
		get("an empty parameter", "name=", 400, "field=name"),
		get("bad escapes", "name=%zz", 400, "field=name"),
		get("not UTF-8", "name=%ff", 400, "field=name"),
	}
}

func changeScenarios() []scenario {
	var list []scenario
	for _, c := range []struct {
		method, path, body string
	}{
		{"PATCH", "/v1/keys/{%s.id}", `{"name":"new"}`},
		{"POST", "/v1/keys/{%s.id}/rotate", `{"grace_seconds":60}`},
		{"POST", "/v1/keys/{%s.id}/disable", ``},
		{"POST", "/v1/keys/{%s.id}/erase", ``},
		{"POST", "/v1/keys/{%s.id}/enable", `{}`},
		{"POST", "/v1/keys/{%s.id}/revoke", `{"reason":"why"}`},
	} {
		on := func(name, key string, status, events int, header map[string]string, want ...string) scenario {
			return scenario{name: c.path + " " + name, method: c.method, path: fmt.Sprintf(c.path, key), body: c.body, header: header,
				status: status, events: events, want: want}
		}
		subject := "active"
		if strings.HasSuffix(c.path, "/enable") {
			subject = "disabled"
		}
		list = append(list,
			on("done", subject, 200, 1, nil, "id={"+subject+".id}"),
			on("the version that was seen", "active", 200, map[bool]int{true: 0, false: 1}[subject == "disabled"],
				with("If-Match", `"{active.sequence}"`)),
			on("its weak tag", "active", 200, map[bool]int{true: 0, false: 1}[subject == "disabled"],
				with("If-Match", `W/"{active.sequence}"`)),
			on("any version", subject, 200, 1, with("If-Match", `*`)),
			on("an older version", subject, 412, 0, with("If-Match", `"1"`), "code=precondition_failed"),
			on("a tag of somebody else", subject, 412, 0, with("If-Match", `"abc"`)),
			on("two tags", subject, 400, 0, with("If-Match", `"1", "2"`), "field=If-Match"),
			on("no such key", "absent", 404, 0, nil),
			on("a foreign key", "other", 404, 0, bearer("bound")),
			on("an idempotency key with a space", subject, 400, 0, with("Idempotency-Key", "a b"), "field=Idempotency-Key"),
		)
		tooLarge := on("a body over 64 KiB", subject, 413, 0, nil)
		tooLarge.body = `{"reason":"` + strings.Repeat("x", 64<<10) + `"}`
		unknown := on("an unknown member", subject, 400, 0, nil, "field=x")
		unknown.body = `{"x":1}`
		form := on("a form with something in it", subject, 415, 0, with("Content-Type", "application/x-www-form-urlencoded"))
		form.body = "reason=x"
		formOnce := on("a form with an idempotency key", subject, 415, 0,
			with("Content-Type", "application/x-www-form-urlencoded", "Idempotency-Key", "form"))
		formOnce.body = "reason=x"
		reused := on("an idempotency key of another request", subject, 422, 0, with("Idempotency-Key", "k"), "code=idempotency_mismatch")
		reused.before = func(w *world) { w.do("POST", "/v1/agents", `{"name":"a"}`, with("Idempotency-Key", "k")) }
		list = append(list, tooLarge, unknown, form, formOnce, reused)
	}
	return append(append(list, eraseScenarios()...),
		scenario{name: "an empty patch", method: "PATCH", path: "/v1/keys/{active.id}", body: `{}`, status: 200},
		scenario{name: "a merge patch", method: "PATCH", path: "/v1/keys/{active.id}", body: `{"scopes":["a"],"metadata":{"b":1},"expires_at":"{soon}"}`,
			header: with("Content-Type", "application/merge-patch+json"), status: 200, events: 1,
			want: []string{"scopes=[a]", "metadata=map[b:1]", "expires_at={soon}", "name=deploy bot"}},
		scenario{name: "nulls empty", method: "PATCH", path: "/v1/keys/{active.id}", body: `{"name":null,"scopes":null,"metadata":null,"expires_at":null}`,
			status: 200, events: 1, want: []string{"scopes=[]", "metadata=map[]", "name=<nil>"}},
		scenario{name: "an expiry in the year 1", method: "PATCH", path: "/v1/keys/{active.id}", body: `{"expires_at":"0001-01-01T00:00:00Z"}`,
			status: 400, want: []string{"field=expires_at"}},
		scenario{name: "a patch without a body", method: "PATCH", path: "/v1/keys/{active.id}", status: 400},
		scenario{name: "a patch of a key with more than the caller has", method: "PATCH", path: "/v1/keys/{bound.id}", body: `{"name":"x"}`,
			header: bearer("creator"), status: 403},
		scenario{name: "a rotation of a key with more than the caller has", method: "POST", path: "/v1/keys/{bound.id}/rotate",
			header: bearer("creator"), status: 403},
		scenario{name: "a patch of a revoked key", method: "PATCH", path: "/v1/keys/{revoked.id}", body: `{"name":"x"}`, status: 409},
		scenario{name: "a rotation of a revoked key", method: "POST", path: "/v1/keys/{revoked.id}/rotate", status: 409},
		scenario{name: "a rotation of an expired key", method: "POST", path: "/v1/keys/{expired.id}/rotate", status: 409},
		scenario{name: "a rotation to a known token", method: "POST", path: "/v1/keys/{active.id}/rotate", body: `{"token":"` + rootToken + `"}`,
			status: 409},
		scenario{name: "a rotation without a body", method: "POST", path: "/v1/keys/{active.id}/rotate", status: 200, events: 1},
		scenario{name: "a grace over 7 days", method: "POST", path: "/v1/keys/{active.id}/rotate", body: `{"grace_seconds":604801}`, status: 400,
			want: []string{"field=grace_seconds"}},
		scenario{name: "a grace below 0", method: "POST", path: "/v1/keys/{active.id}/rotate", body: `{"grace_seconds":-1}`, status: 400},
		scenario{name: "disabling a revoked key", method: "POST", path: "/v1/keys/{revoked.id}/disable", status: 409},
		scenario{name: "disabling again", method: "POST", path: "/v1/keys/{disabled.id}/disable", status: 200},
		scenario{name: "disabling the last root", method: "POST", path: "/v1/keys/{root.id}/disable", status: 409},
		scenario{name: "enabling a revoked key", method: "POST", path: "/v1/keys/{revoked.id}/enable", status: 409},
	)
}

func revokeScenarios() []scenario {
	revoke := func(name, key, body string, status, events int, want ...string) scenario {
		return scenario{name: name, method: "POST", path: "/v1/keys/{" + key + ".id}/revoke", body: body, status: status, events: events, want: want}
	}
	return []scenario{
		revoke("no reason", "active", ``, 200, 1, "status=revoked", "revoke_reason=<nil>", "revoked_by={root.id}"),
		revoke("a reason", "active", `{"reason":"leaked\nagain"}`, 200, 1, "revoke_reason=leaked\nagain"),
		revoke("again", "revoked", `{"reason":"leaked"}`, 200, 0, "status=revoked"),
		revoke("again, for another reason", "revoked", `{"reason":"other"}`, 409, 0, "code=conflict"),
		revoke("the last root", "root", ``, 409, 0, "code=conflict"),
		revoke("a reason over 500 characters", "active", `{"reason":"`+strings.Repeat("x", 501)+`"}`, 400, 0, "field=reason"),
	}
}

func verifyScenarios() []scenario {
	verify := func(name, body string, want ...string) scenario {
		return scenario{name: name, method: "POST", path: "/v1/keys/verify", body: body, status: 200, want: want}
	}
	refused := func(name, body string, status int, want ...string) scenario {
		return scenario{name: name, method: "POST", path: "/v1/keys/verify", body: body, status: status, want: want}
	}
	foreign := verify("a foreign token", `{"token":"{other.token}"}`, "valid=false", "code=NOT_FOUND", "key=<nil>")
	foreign.header = bearer("bound")
	return []scenario{
		verify("valid", `{"token":"{active.token}"}`, "valid=true", "code=VALID", "key.id={active.id}", "key.status=active"),
		verify("valid for all that is asked", `{"token":"{active.token}","scopes":["read","deploy"],"environment":"live",
			"workspace_id":"acme","org_id":"eu","agent_id":"bot7","peer_id":"p1","session_id":"s1"}`, "code=VALID"),
		verify("null is not asked", `{"token":"{active.token}","scopes":null,"workspace_id":null}`, "code=VALID"),
		verify("escapes", `{"tok\u0065n":"{active.token}","sc\u006fpes":["de\u0070loy"]}`, "code=VALID"),
		verify("unknown", `{"token":"kl_neverseenbutlongenough"}`, "valid=false", "code=NOT_FOUND", "key=<nil>"),
		verify("mistyped", `{"token":"{active.token}x"}`, "code=NOT_FOUND"),
		verify("too short", `{"token":"x"}`, "code=MALFORMED"),
		verify("revoked", `{"token":"{revoked.token}"}`, "code=REVOKED", "key.status=revoked"),
		verify("expired", `{"token":"{expired.token}"}`, "code=EXPIRED"),
		verify("scheduled", `{"token":"{scheduled.token}"}`, "code=NOT_YET_VALID"),
		verify("disabled", `{"token":"{disabled.token}"}`, "code=DISABLED"),
		verify("a missing scope", `{"token":"{active.token}","scopes":["admin"]}`, "code=INSUFFICIENT_SCOPE", "key.id={active.id}"),
		verify("another workspace", `{"token":"{active.token}","workspace_id":"other"}`, "code=WRONG_OWNER"),
		verify("another environment", `{"token":"{test.token}","environment":"live"}`, "code=WRONG_OWNER"),
		foreign,
		refused("no token", `{}`, 400, "field=token"),
		refused("an unknown member", `{"token":"x","colour":"red"}`, 400, "field=colour"),
		refused("a member twice", `{"token":"x","token":"y"}`, 400, "field=token"),
		refused("a number", `{"token":1}`, 400, "field=token", "detail=the member must be a string"),
		refused("a number among the scopes", `{"token":"x","scopes":["a",1]}`, 400, "field=scopes.1", "detail=the member must be a string"),
		refused("malformed", `{"token":"x",}`, 400),
		refused("over 64 KiB", `{"token":"`+strings.Repeat("x", 64<<10)+`"}`, 413),
		{name: "a form", method: "POST", path: "/v1/keys/verify", body: "token=x", header: with("Content-Type", "application/x-www-form-urlencoded"),
			status: 415},
	}
}

func usageScenarios() []scenario {
	report := func(name, body string, status int, want ...string) scenario {
		return scenario{name: name, method: "POST", path: "/v1/usage", body: body, status: status, want: want}
	}
	const use = `{"key_id":"{active.id}","count":2,"last_used_at":"2020-01-01T00:00:00Z","ip":"192.0.2.1","user_agent":"x"}`
	foreign := report("of a foreign key", `{"uses":[`+strings.ReplaceAll(use, "active", "other")+`,`+use+`]}`, 200, "accepted=1", "ignored=1")
	foreign.header = bearer("bound")
	form := report("a form", "uses=x", 415)
	form.header = with("Content-Type", "application/x-www-form-urlencoded")
	return []scenario{
		report("of a key", `{"uses":[`+use+`]}`, 200, "accepted=1", "ignored=0"),
		report("of none", `{"uses":[]}`, 200, "accepted=0", "ignored=0"),
		report("of what is no key", `{"uses":[{"key_id":"x","count":1,"last_used_at":"2020-01-01T00:00:00Z"}]}`, 200, "ignored=1"),
		foreign,
		report("no count", `{"uses":[{"key_id":"{active.id}","last_used_at":"2020-01-01T00:00:00Z"}]}`, 400, "field=uses.0.count"),
		report("a count below 1", `{"uses":[`+use+`,`+strings.Replace(use, ":2,", ":-1,", 1)+`]}`, 400, "field=uses.1.count"),
		report("a count without measure", `{"uses":[`+strings.Replace(use, ":2,", ":9000000000000000000,", 1)+`]}`, 400, "field=uses.0.count"),
		report("no time", `{"uses":[{"key_id":"{active.id}","count":1}]}`, 400, "field=uses.0.last_used_at"),
		report("a time before 1970", `{"uses":[`+strings.Replace(use, "2020", "1960", 1)+`]}`, 400, "field=uses.0.last_used_at"),
		report("more than 500", `{"uses":[`+strings.Repeat(`{"key_id":"x","count":1,"last_used_at":"2020-01-01T00:00:00Z"},`, 500)+use+`]}`, 400, "field=uses"),
		report("no array", `{"uses":{}}`, 400, "field=uses", "detail=the member must be an array of objects"),
		report("an unknown member", `{"uses":[{"key":"x"}]}`, 400, "field=uses.0.key"),
		report("over 64 KiB", `{"uses":[],"x":"`+strings.Repeat("x", 64<<10)+`"}`, 413),
		form,
	}
}

func authorizeScenarios() []scenario {
	ask := func(name, key, query string, status int, want ...string) scenario {
		return scenario{name: name, path: "/v1/authorize" + query, header: bearer(key), status: status, want: want}
	}
	challenge := `WWW-Authenticate: Bearer realm="keyledger"`
	list := []scenario{
		ask("valid", "active", "", 204, "Keyledger-Key-Id: {active.id}", "Keyledger-Key-Name: deploy bot", "Keyledger-Workspace-Id: acme",
			"Keyledger-Org-Id: eu", "Keyledger-Agent-Id: bot7", "Keyledger-Agent-Name: Bot 7", "Keyledger-Peer-Id: p1",
			"Keyledger-Session-Id: s1", "Keyledger-Scopes: deploy read", "Keyledger-Environment: live", "Keyledger-Type: external"),
		ask("valid for all that is asked", "active", "?scope=deploy+read&environment=live&workspace_id=acme&org_id=eu&agent_id=bot7"+
			"&peer_id=p1&session_id=s1", 204),
		ask("nothing of an owner", "creator", "", 204, "Keyledger-Workspace-Id: ", "Keyledger-Key-Name: "),
		ask("a missing scope", "active", "?scope=deploy+admin", 403, "code=forbidden", "Keyledger-Code: INSUFFICIENT_SCOPE"),
		ask("another workspace", "active", "?workspace_id=other", 403, "Keyledger-Code: WRONG_OWNER"),
		ask("another environment", "active", "?environment=test", 403, "Keyledger-Code: WRONG_OWNER"),
		ask("revoked", "revoked", "", 401, challenge+`, error="invalid_token"`, "Keyledger-Code: REVOKED", "detail=the token is revoked"),
		ask("expired", "expired", "", 401, "Keyledger-Code: EXPIRED"),
		ask("scheduled", "scheduled", "", 401, "Keyledger-Code: NOT_YET_VALID"),
		ask("disabled", "disabled", "", 401, "Keyledger-Code: DISABLED"),
		ask("an unknown parameter", "active", "?scopes=deploy", 400, "field=query"),
		ask("a parameter twice", "active", "?scope=deploy&scope=read", 400, "field=scope"),
		ask("an empty scope", "active", "?scope=", 400, "field=scope"),
		{name: "unknown", path: "/v1/authorize", header: with("Authorization", "Bearer kl_neverseenbutlongenough"), status: 401,
			want: []string{"Keyledger-Code: NOT_FOUND"}},
		{name: "no token", path: "/v1/authorize", header: with("Authorization", "-"), status: 401, want: []string{challenge, "Keyledger-Code: "}},
		{name: "basic", path: "/v1/authorize", header: with("Authorization", "Basic dXNlcjpwYXNz"), status: 401},
		{name: "two tokens", path: "/v1/authorize", header: with("X-API-Key", "another"), status: 401},
		{name: "one token in both headers", path: "/v1/authorize", header: with("X-API-Key", rootToken), status: 204},
		{name: "X-API-Key", path: "/v1/authorize", header: with("Authorization", "-", "X-API-Key", "{active.token}"), status: 204},
		{name: "injection", path: "/v1/authorize", status: 204, header: with("Authorization", "Bearer injected-token-of-at-least-32-characters"),
			before: func(w *world) {
				w.key(ledger.Create{Name: "Jürgen 100%", Owner: ledger.Owner{Workspace: " a\u2028b ", AgentName: "€"},
					Token: ledger.NewSecret("injected-token-of-at-least-32-characters")})
			},
			want: []string{"Keyledger-Key-Name: J%C3%BCrgen 100%25", "Keyledger-Workspace-Id: %20a%E2%80%A8b%20", "Keyledger-Agent-Name: %E2%82%AC"}},
	}
	for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		s := ask(method, "active", "", 204)
		s.method = method
		list = append(list, s)
	}
	return list
}

func agentScenarios() []scenario {
	register := func(name, body string, status, events int, want ...string) scenario {
		return scenario{name: name, method: "POST", path: "/v1/agents", body: body, status: status, events: events, want: want}
	}
	foreign := register("a foreign owner", `{"name":"a","workspace_id":"other"}`, 404, 0)
	foreign.header = bearer("bound")
	reused := register("an idempotency key of another request", `{"name":"b"}`, 422, 0)
	reused.header = with("Idempotency-Key", "k")
	reused.before = func(w *world) { w.do("POST", "/v1/agents", `{"name":"a"}`, with("Idempotency-Key", "k")) }
	form := register("a form", `name=x`, 415, 0)
	form.header = with("Content-Type", "application/x-www-form-urlencoded")
	createReused := scenario{name: "an idempotency key of another create", method: "POST", path: "/v1/keys", body: `{"name":"b"}`, status: 422,
		header: with("Idempotency-Key", "k"), before: reused.before}
	return []scenario{
		register("new", `{"name":"Support","workspace_id":"acme"}`, 201, 2, "name=Support", "workspace_id=acme", "org_id=<nil>", "created_by={root.id}"),
		register("new, with an own id", `{"name":"Support","id":"bot/8"}`, 201, 2, "id=bot/8", "Location: /v1/agents/bot%2F8"),
		register("known", `{"name":"Bot 7","workspace_id":"acme","org_id":"eu"}`, 200, 0, "id=bot7"),
		register("known by another id", `{"name":"Bot 7","id":"bot8","workspace_id":"acme","org_id":"eu"}`, 409, 0),
		register("no name", `{}`, 400, 0, "field=name"),
		register("over 64 KiB", `{"name":"`+strings.Repeat("x", 64<<10)+`"}`, 413, 0),
		foreign, reused, form, createReused,
		{name: "one", path: "/v1/agents/bot7?workspace_id=acme&org_id=eu", status: 200, want: []string{"id=bot7", "name=Bot 7"}},
		{name: "none of this owner", path: "/v1/agents/bot7", status: 404},
		{name: "one with an unknown parameter", path: "/v1/agents/bot7?x=1", status: 400},
		{name: "list", path: "/v1/agents?workspace_id=acme&org_id=eu&name=Bot+7&limit=5", status: 200, want: []string{"next_cursor=<nil>"}},
		{name: "list, with a limit too high", path: "/v1/agents?limit=1001", status: 400},
		{name: "list, with a made-up cursor", path: "/v1/agents?cursor=AAAA", status: 400},
		{name: "list of a foreign owner", path: "/v1/agents?workspace_id=other", header: bearer("bound"), status: 404},
	}
}

func historyScenarios() []scenario {
	stream := func(name, path, more string, status int, want ...string) scenario {
		header := map[string]string{"Accept": "text/event-stream"}
		if field, value, ok := strings.Cut(more, ": "); ok {
			header[field] = value
		}
		return scenario{name: "a stream " + name, path: path, header: header, status: status, want: want}
	}
	return []scenario{
		stream("of all there is", "/v1/events?until=now", "", 200, "Content-Type: text/event-stream", "X-Accel-Buffering: no"),
		stream("of lines", "/v1/keys/{revoked.id}/events?until=now", "Accept: application/x-ndjson", 200, "Content-Type: application/x-ndjson"),
		stream("of a key", "/v1/keys/{revoked.id}/events?until=now&from=3&type=key.revoked,keyledger.key.created", "", 200),
		stream("of a foreign key", "/v1/keys/{other.id}/events", "Authorization: Bearer {bound.token}", 404),
		stream("of no key", "/v1/keys/{absent.id}/events", "", 404),
		stream("of a foreign owner", "/v1/events?workspace_id=other", "Authorization: Bearer {bound.token}", 404),
		stream("without the scope", "/v1/events", "Authorization: Bearer {creator.token}", 403),
		stream("from beyond the end", "/v1/events?from=1000", "", 409, "code=conflict"),
		stream("of a key, after the end", "/v1/keys/{active.id}/events", "Last-Event-ID: 1000", 409, "code=conflict"),
		stream("after what is no id", "/v1/events?from=1", "Last-Event-ID: kl_x", 400, "field=Last-Event-ID"),
		stream("after the last number there is", "/v1/events", "Last-Event-ID: 18446744073709551615", 400, "field=Last-Event-ID"),
		stream("from the last number there is", "/v1/events?from=18446744073709551615", "", 409),
		stream("from nowhere", "/v1/events?from=a", "", 400, "field=from"),
		stream("of an unknown type", "/v1/events?type=key.created,key.stolen", "", 400, "field=type"),
		stream("of claims", "/v1/events?type=claim.taken", "", 400, "field=type"),
		stream("until tomorrow", "/v1/events?until=tomorrow", "", 400, "field=until"),
		stream("with a limit", "/v1/events?limit=1", "", 400, "field=limit"),
		stream("with a cursor", "/v1/keys/{active.id}/events?cursor=AAAA", "", 400, "field=cursor"),
		{name: "a page of a type", path: "/v1/events?type=key.created", status: 400, want: []string{"field=type"}},
		{name: "a page until now", path: "/v1/keys/{active.id}/events?until=now", status: 400, want: []string{"field=until"}},
		{name: "of a key", path: "/v1/keys/{revoked.id}/events", status: 200, want: []string{"next_cursor=<nil>"}},
		{name: "of a key, from", path: "/v1/keys/{revoked.id}/events?from=3&limit=1", status: 200},
		{name: "of no key", path: "/v1/keys/{absent.id}/events", status: 404},
		{name: "of no id", path: "/v1/keys/x/events", status: 404},
		{name: "of a foreign key", path: "/v1/keys/{other.id}/events", header: bearer("bound"), status: 404},
		{name: "of a key, from nowhere", path: "/v1/keys/{active.id}/events?from=-1", status: 400, want: []string{"field=from"}},
		{name: "of an owner", path: "/v1/events?workspace_id=acme&org_id=eu&agent_id=bot7", status: 200},
		{name: "of all", path: "/v1/events?limit=1000&from=0", status: 200},
		{name: "of an owner, a limit too high", path: "/v1/events?limit=1001", status: 400, want: []string{"field=limit"}},
		{name: "of an owner, a made-up cursor", path: "/v1/events?cursor=AAAA", status: 400, want: []string{"field=cursor"}},
		{name: "of a foreign owner", path: "/v1/events?workspace_id=other", header: bearer("bound"), status: 404},
	}
}

func operationScenarios() []scenario {
	notReady := func(w *world) {
		err := io.ErrNoProgress
		w.notYet.Store(&err)
	}
	none := with("Authorization", "-")
	return []scenario{
		{name: "health", path: "/healthz?t=1", header: none, status: 200, want: []string{"status=ok", "version=v0"}},
		{name: "ready", path: "/readyz", header: none, status: 200, want: []string{"status=ready"}},
		{name: "not ready", path: "/readyz", header: none, before: notReady, status: 503,
			want: []string{"detail=not ready: " + io.ErrNoProgress.Error(), "Retry-After: 1"}},
		{name: "document", path: "/openapi.json", header: none, status: 200, want: []string{"openapi=3.1.0"}},
		{name: "metrics", path: "/metrics", status: 200},
		{name: "metrics for an owner", path: "/metrics", header: bearer("bound"), status: 403},
		{name: "metrics without a scope", path: "/metrics", header: bearer("creator"), status: 403},
		{name: "metrics without a token", path: "/metrics", header: none, status: 401},
	}
}

// everyRouteScenarios are the answers that all routes with a token share.
func everyRouteScenarios(routes []handlers.Route) []scenario {
	var list []scenario
	fill := strings.NewReplacer("/v1/workspaces/{id}", "/v1/workspaces/acme", "/v1/orgs/{id}", "/v1/orgs/eu",
		"/v1/agents/{id}", "/v1/agents/bot7", "/v1/webhooks/{id}", "/v1/webhooks/{hook.id}",
		"{id}", "{active.id}", "{index:.+}", "000.p/1")
	for _, r := range routes {
		if r.Public && r.Path != "/v1/authorize" {
			continue
		}
		on := func(name string, status int, header map[string]string, want ...string) scenario {
			return scenario{name: r.Method + " " + r.Path + " " + name, method: r.Method, path: fill.Replace(r.Path), header: header,
				status: status, want: want}
		}
		off := on("cut off", 503, nil, "Retry-After: 1")
		off.before = func(w *world) {
			w.log.Crash()
			w.Later(200 * 365 * 24 * time.Hour)
		}
		again := on("with a second bad token", 429, with("Authorization", "Bearer kl_neverseenbutlongenough"),
			"Retry-After: 60", `RateLimit: "wrong-tokens";r=0;t=60`, `RateLimit-Policy: "wrong-tokens";q=1;w=60`, "code=rate_limited")
		again.before = func(w *world) {
			w.send(request("GET", "/v1/authorize", "", again.header))
		}
		list = append(list, off, again,
			on("without a token", 401, with("Authorization", "-"), `WWW-Authenticate: Bearer realm="keyledger"`),
			on("with a bad token", 401, with("Authorization", "Bearer kl_neverseenbutlongenough"),
				`WWW-Authenticate: Bearer realm="keyledger", error="invalid_token"`))
		if r.Path == "/v1/authorize" {
			continue
		}
		behind := on("with a bad sequence", 400, with("Keyledger-Min-Sequence", "x"), "field=Keyledger-Min-Sequence")
		poor := on("without a scope", 403, bearer("active"))
		if strings.HasPrefix(r.Path, "/v1/webhooks") {
			poor.header = bearer("creator") // active is bound to a session, and has no webhooks
		}
		switch {
		case r.Method == http.MethodGet:
		case strings.HasSuffix(r.Path, "/verify"):
			poor.body = `{"token":"kl_neverseenbutlongenough"}`
		case r.Path == "/v1/keys" || r.Path == "/v1/agents":
			poor.body = `{"name":"a","workspace_id":"acme"}`
		case r.Path == "/v1/webhooks":
			poor.body = `{"url":"https://192.0.2.1"}`
		case r.Method == http.MethodPatch || r.Path == "/v1/usage":
			poor.body = `{}`
		}
		list = append(list, behind, poor)
	}
	return list
}
