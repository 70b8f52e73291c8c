package openlayer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// One key goes through everything that the vendor's clients can do to it, on both base URLs.
func TestLife(t *testing.T) {
	for _, base := range []string{"", "/v1"} {
		for name, jetStream := range map[string]bool{"in memory": false, "on JetStream": true} {
			t.Run(base+" "+name, func(t *testing.T) {
				w := newWorld(t, handlerstest.Options{JetStream: jetStream})
				life(t, w, base+"/workspaces/"+workspace+"/api-keys")
			})
		}
	}
}

func life(t *testing.T, w *world, keys string) {
	made := w.want(t, "POST", keys, `{"name":"ci"}`, 201)
	k := theIssued(t, made)
	mask := `"sk-o...` + k.secret[30:] + `"`
	isMember(t, &made, "name", `"ci"`)
	isMember(t, &made, "status", `"active"`)
	for _, name := range []string{"dateLastUsed", "expiresAt", "lastRotatedAt", "previousKeyExpiresAt"} {
		isMember(t, &made, name, "null")
	}
	if w.verdict(t, k.secret) != "VALID" {
		t.Fatal("its secret is not valid")
	}

	got := w.do(t, "GET", keys+"/"+k.id, "")
	isMember(t, &got, "secureKey", mask)
	isMember(t, &got, "secret", "")
	renamed := w.want(t, "PUT", keys+"/"+k.id, `{"name":"cd"}`, 200)
	isMember(t, &renamed, "name", `"cd"`)
	isMember(t, &renamed, "secureKey", mask)
	isMember(t, &renamed, "secret", "")

	rotated := w.want(t, "POST", keys+"/"+k.id+"/rotate", `{"gracePeriodHours":24}`, 200)
	next := theIssued(t, rotated)
	if next.id != k.id || next.secret == k.secret {
		t.Errorf("a rotation keeps the id and changes the secret: %s", rotated.Body)
	}
	isMember(t, &rotated, "name", `"cd"`)
	isMember(t, &rotated, "status", `"rotating"`)
	if w.verdict(t, k.secret) != "VALID" || w.verdict(t, next.secret) != "VALID" {
		t.Error("within the grace both secrets are valid")
	}

	list := w.do(t, "GET", keys, "")
	var entries []map[string]any
	if err := json.Unmarshal(list.Body, &entries); err != nil || list.Status != 200 || len(entries) != 2 {
		t.Fatalf("%d, %v: %s", list.Status, err, list.Body)
	}
	if entries[0]["id"] != k.id || entries[1]["name"] != "team" || strings.Contains(string(list.Body), `"secret"`) {
		t.Errorf("the list is to be newest first, without secrets: %s", list.Body)
	}

	deleted := w.want(t, "DELETE", keys+"/"+k.id, "", 204)
	if len(deleted.Body) != 0 {
		t.Errorf("a deletion says %s", deleted.Body)
	}
	for _, secret := range []string{k.secret, next.secret} {
		if got := w.verdict(t, secret); got != "REVOKED" {
			t.Errorf("after the deletion a secret is %s", got)
		}
	}
	for _, r := range [][3]string{
		{"GET", "", ""}, {"PUT", "", `{"name":"x"}`}, {"DELETE", "", ""}, {"POST", "/rotate", ""},
	} {
		w.refused(t, r[0], keys+"/"+k.id+r[1], r[2], 404)
	}
	if list := w.do(t, "GET", keys, ""); strings.Contains(string(list.Body), k.id) {
		t.Errorf("the list has a deleted key: %s", list.Body)
	}
}

func TestNames(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	long := strings.Repeat("ä", ledger.MaxName)
	for body, want := range map[string]string{
		``: "null", `{}`: "null", " \n{} ": "null", `{"name":null}`: "null", `{"name":""}`: "null", `{"name":"a","color":[1]}`: `"a"`,
		`{"name":"` + long + `"}`: `"` + long + `"`,
	} {
		r := w.want(t, "POST", keysPath, body, 201)
		isMember(t, &r, "name", want)
	}
	k := w.create(t, `{"name":"a"}`)
	before := w.Events(t)
	r := w.do(t, "PUT", k.target, `{}`)
	if isMember(t, &r, "name", `"a"`); w.Events(t) != before {
		t.Error("a rename without a name changed something")
	}
	r = w.want(t, "PUT", k.target, `{"name":null}`, 200)
	isMember(t, &r, "name", "null")
}

func TestRefusedBodies(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	k := w.create(t, "")
	long := `{"name":"` + strings.Repeat("a", ledger.MaxName+1) + `"}`
	past := w.Now().Add(-time.Minute).Format(time.RFC3339)
	for _, test := range []struct{ method, target, body, want string }{
		{"POST", keysPath, `[]`, "the body must be a JSON object"},
		{"POST", keysPath, `null`, "the body must be a JSON object"},
		{"POST", keysPath, `name=ci`, "the body must be a JSON object"},
		{"POST", keysPath, `{"name":"a"`, "the body is malformed JSON at byte 11"},
		{"POST", keysPath, `{"name":"a"} x`, "the body is malformed JSON at byte 13"},
		{"POST", keysPath, "{\"name\":\"\xff\"}", "the body is malformed JSON at byte 9"},
		{"POST", keysPath, `{"name":"a","name":"b"}`, "a member of the body is there twice"},
		{"POST", keysPath, `{"name":1}`, "name: must be a string or null"},
		{"POST", keysPath, `{"name":"a\u0000"}`, "name: must be UTF-8 without control characters"},
		{"POST", keysPath, long, "name: must be at most 120 characters"},
		{"POST", keysPath, `{"expiresAt":"` + past + `"}`, "expiresAt: must be in the future"},
		{"POST", keysPath, `{"expiresAt":"tomorrow"}`, "expiresAt: must be a time"},
		{"POST", keysPath, `{"expiresAt":""}`, "expiresAt: must be a time"},
		{"POST", keysPath, `{"expiresAt":1900000000}`, "expiresAt: must be a time"},
		{"POST", keysPath, `{"expiresAt":"0001-01-01T00:00:00Z"}`, "expiresAt: must be a time"},
		{"PUT", k.target, long, "name: must be at most 120 characters"},
		{"PUT", k.target, `{"name":{}}`, "name: must be a string or null"},
		{"POST", k.target + "/rotate", `{"gracePeriodHours":-1}`, "gracePeriodHours: must be 0 to 168"},
		{"POST", k.target + "/rotate", `{"gracePeriodHours":169}`, "gracePeriodHours: must be 0 to 168"},
		{"POST", k.target + "/rotate", `{"gracePeriodHours":1e30}`, "gracePeriodHours: must be a whole number of hours"},
		{"POST", k.target + "/rotate", `{"gracePeriodHours":1.5}`, "gracePeriodHours: must be a whole number of hours"},
		{"POST", k.target + "/rotate", `{"gracePeriodHours":"1"}`, "gracePeriodHours: must be a whole number of hours"},
		{"POST", k.target + "/rotate", `{"expiresAt":"` + past + `"}`, "expiresAt: must be in the future"},
		{"POST", "/workspaces/" + strings.Repeat("w", ledger.MaxID+1) + "/api-keys", ``, "workspaceId: must be at most 128 bytes"},
	} {
		if got := w.refusedAs(t, w.Root, test.method, test.target, test.body, 400); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", test.body, got, test.want)
		}
	}
	w.refused(t, "POST", keysPath, `{"name":"`+strings.Repeat("a", 64<<10)+`"}`, 413)
}

// Who lacks a scope, or is bound elsewhere, gets nowhere.
func TestRefusedCallers(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	k := w.create(t, "")
	foreign := w.team(t, "another", time.Time{})
	none := w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: workspace}, Scopes: []string{"deploy"}}).Token.Reveal()
	readOnly := w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: workspace}, Scopes: []string{ledger.ScopeRead}}).Token.Reveal()
	elsewhere := strings.Replace(k.target, workspace, "another", 1)
	for _, r := range []struct{ method, target, elsewhere string }{
		{"POST", keysPath, ""}, {"GET", keysPath, ""}, {"GET", k.target, elsewhere}, {"PUT", k.target, elsewhere},
		{"DELETE", k.target, elsewhere}, {"POST", k.target + "/rotate", elsewhere + "/rotate"},
	} {
		body := `{"name":"x"}`
		missing := w.Refuses(t, handlerstest.Request{Method: r.method, Target: r.target}, 401)
		if refusal(t, &missing); missing.Header.Get("WWW-Authenticate") == "" {
			t.Error("a 401 has no challenge")
		}
		w.refusedAs(t, "sk-ol-0123456789012345678901234567", r.method, r.target, body, 401)
		w.refusedAs(t, none, r.method, r.target, body, 403)
		if r.method != "GET" {
			w.refusedAs(t, readOnly, r.method, r.target, body, 403)
		}
		w.refusedAs(t, foreign, r.method, r.target, body, 404)
		if r.elsewhere != "" {
			w.refusedAs(t, w.Root, r.method, r.elsewhere, body, 404) // the key is of another workspace
			absent := strings.Replace(r.target, k.id, uuid.NewString(), 1)
			w.refused(t, r.method, absent, body, 404)
			w.refused(t, r.method, strings.Replace(r.target, k.id, "5PW0", 1), body, 404)
		}
	}
	if w.verdict(t, k.secret) != "VALID" {
		t.Error("what was refused had an effect")
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	at := w.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for _, text := range []string{
		at.Format(time.RFC3339), at.Format("2006-01-02T15:04:05"), at.Format("2006-01-02T15:04:05.000000"),
		at.In(time.FixedZone("", 2*3600)).Format("2006-01-02T15:04:05.999999999-07:00"),
	} {
		r := w.want(t, "POST", keysPath, `{"expiresAt":"`+text+`"}`, 201)
		isMember(t, &r, "expiresAt", at.Format(`"2006-01-02T15:04:05Z"`))
	}
	k := w.create(t, `{"expiresAt":"`+at.Format(time.RFC3339)+`"}`)

	// The old secret never outlives the key, and the key keeps its expiry when the rotation says nothing.
	rotated := w.want(t, "POST", k.target+"/rotate", `{"gracePeriodHours":168}`, 200)
	for _, name := range []string{"expiresAt", "previousKeyExpiresAt"} {
		isMember(t, &rotated, name, at.Format(`"2006-01-02T15:04:05Z"`))
	}
	w.Later(2 * time.Hour)
	got := w.do(t, "GET", k.target, "")
	isMember(t, &got, "status", `"expired"`)
	isMember(t, &got, "previousKeyExpiresAt", "null")
	for _, body := range []string{``, `{"expiresAt":null}`, `{"expiresAt":"` + w.Now().Add(time.Hour).Format(time.RFC3339) + `"}`} {
		r := w.Refuses(t, handlerstest.Request{Method: "POST", Target: k.target + "/rotate", Token: w.token, Body: body}, 409)
		if refusal(t, &r); r.Header.Get("X-Should-Retry") != "false" {
			t.Error("clients would repeat the rotation of an expired key")
		}
	}
	w.want(t, "PUT", k.target, `{"name":"old"}`, 200)
	w.want(t, "DELETE", k.target, "", 204)
}

func TestRotation(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	first := w.create(t, "")
	second := theIssued(t, w.want(t, "POST", first.target+"/rotate", `{"gracePeriodHours":168,"expiresAt":null}`, 200))
	r := w.want(t, "POST", first.target+"/rotate", `{"gracePeriodHours":2}`, 200)
	third := theIssued(t, r)
	isMember(t, &r, "status", `"rotating"`)
	verdicts := func() string {
		return w.verdict(t, first.secret) + " " + w.verdict(t, second.secret) + " " + w.verdict(t, third.secret)
	}
	if got := verdicts(); got != "NOT_FOUND VALID VALID" {
		t.Errorf("one old secret is kept: %s", got)
	}
	w.Later(3 * time.Hour)
	if got := verdicts(); got != "NOT_FOUND EXPIRED VALID" {
		t.Errorf("after the grace: %s", got)
	}
	got := w.do(t, "GET", first.target, "")
	isMember(t, &got, "status", `"active"`)
	isMember(t, &got, "previousKeyExpiresAt", "null")
	if got.Field("lastRotatedAt") == nil {
		t.Error("it does not say that it was rotated")
	}
	r = w.want(t, "POST", first.target+"/rotate", `{"gracePeriodHours":0}`, 200)
	if isMember(t, &r, "status", `"active"`); w.verdict(t, third.secret) != "EXPIRED" {
		t.Error("without a grace the old secret lives on")
	}
}

// A key that an expiring key makes, or gives a new secret, cannot outlive it.
func TestCannotOutliveMaker(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	end := w.Now().Add(time.Hour).UTC().Truncate(time.Second)
	text := end.Format(time.RFC3339)
	w.token = w.team(t, workspace, end)
	inherits := w.want(t, "POST", keysPath, `{}`, 201)
	isMember(t, &inherits, "expiresAt", `"`+text+`"`)
	earlier := end.Add(-time.Minute).Format(time.RFC3339)
	sooner := w.want(t, "POST", keysPath, `{"expiresAt":"`+earlier+`"}`, 201)
	isMember(t, &sooner, "expiresAt", `"`+earlier+`"`)
	made := theIssued(t, sooner)
	for _, body := range []string{`{"expiresAt":null}`, `{"expiresAt":"` + end.Add(time.Second).Format(time.RFC3339) + `"}`} {
		for _, target := range []string{keysPath, made.target + "/rotate"} {
			if got := w.refused(t, "POST", target, body, 400); !strings.HasPrefix(got, "expiresAt: your key expires at "+text) {
				t.Errorf("%s: %s", body, got)
			}
		}
	}
	w.want(t, "POST", made.target+"/rotate", `{"expiresAt":"`+text+`"}`, 200)

	// Its own keys are held to the same: by what they make, and by a rotation of themselves.
	k := theIssued(t, inherits)
	w.token = k.secret
	again := w.want(t, "POST", keysPath, ``, 201)
	isMember(t, &again, "expiresAt", `"`+text+`"`)
	w.refused(t, "POST", k.target+"/rotate", `{"expiresAt":null}`, 400)
	rotated := w.want(t, "POST", k.target+"/rotate", `{"gracePeriodHours":1}`, 200)
	isMember(t, &rotated, "expiresAt", `"`+text+`"`)

	forever := w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: workspace}}).Key.ID.String()
	w.refused(t, "POST", keysPath+"/"+forever+"/rotate", ``, 400)
}

// A new key may do with the keys of its workspace what its maker may, and no more.
func TestRights(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	native := func(token string) int {
		return w.as(t, token, "GET", "/v1/keys", "").Status
	}
	k := w.create(t, "")
	w.token = k.secret
	child := w.create(t, "")
	w.want(t, "DELETE", child.target, "", 204)
	if r := w.as(t, k.secret, "POST", "/v1/keys/verify", `{"token":"`+k.secret+`"}`); r.Status != 403 {
		t.Errorf("it got a scope that is not of keys: %d", r.Status)
	}
	if native(k.secret) != 200 {
		t.Error("it has no scopes natively")
	}
	w.refused(t, "GET", "/v1/workspaces/another/api-keys", "", 404)

	owner := ledger.Owner{Workspace: workspace}
	w.token = w.Key(t, ledger.Create{Owner: owner, Scopes: []string{ledger.ScopeCreate}}).Token.Reveal()
	poor := w.create(t, "")
	if native(poor.secret) != 403 {
		t.Error("it can read, and its maker cannot")
	}
	// Nor does who may change keys get at the rights of one that may more.
	w.token = w.Key(t, ledger.Create{Owner: owner, Scopes: []string{ledger.ScopeRead, ledger.ScopeUpdate}}).Token.Reveal()
	w.refused(t, "PUT", k.target, `{"name":"x"}`, 403)
	w.refused(t, "POST", k.target+"/rotate", "", 403)
	root := w.as(t, w.Root, "POST", keysPath, "")
	w.refusedAs(t, theIssued(t, root).secret, "GET", "/v1/workspaces/another/api-keys", "", 404)
}

// A caller bound to more than a workspace makes and sees what is inside that.
func TestNarrowOwner(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	theirs := w.create(t, `{"name":"theirs"}`)
	owner := ledger.Owner{Org: "o", AgentID: "bot"}
	w.token = w.Key(t, ledger.Create{Owner: owner, Scopes: managing()}).Token.Reveal()
	k := w.create(t, `{"name":"ours"}`)
	list := w.do(t, "GET", keysPath, "")
	if got := string(list.Body); !strings.Contains(got, k.id) || strings.Contains(got, theirs.id) {
		t.Errorf("the list is %s", got)
	}
	w.refused(t, "DELETE", theirs.target, "", 404)
	native := w.as(t, w.Root, "GET", "/v1/keys/"+k.id, "")
	if native.Field("workspace_id") != workspace || native.Field("org_id") != "o" || native.Field("agent_id") != "bot" {
		t.Errorf("natively it is %s", native.Body)
	}
}

func TestLongList(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	call := w.Call
	add := func(n int) {
		for range n {
			if _, err := w.Service.Create(t.Context(), &call, &ledger.Create{Owner: ledger.Owner{Workspace: workspace}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(2*ledger.MaxPage + 1)
	var entries []struct{ ID, DateCreated string }
	r := w.do(t, "GET", keysPath, "")
	if err := json.Unmarshal(r.Body, &entries); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		seen[e.ID] = true
	}
	if len(seen) != 2*ledger.MaxPage+2 || len(entries) != len(seen) {
		t.Errorf("%d entries of %d keys", len(entries), len(seen))
	}
	add(8*ledger.MaxPage - 2) // with the team's: 10,000
	if r := w.do(t, "GET", keysPath, ""); r.Status != 200 {
		t.Errorf("10000 keys: %d %s", r.Status, r.Body)
	}
	add(1)
	w.refused(t, "GET", keysPath, "", 400)
}

func TestMethods(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	for target, allow := range map[string]string{
		keysPath:                              "GET, HEAD, POST",
		keysPath + "/" + uuid.NewString():     "DELETE, GET, HEAD, PUT",
		keysPath + "/a/rotate":                "POST",
		"/workspaces/w/api-keys":              "GET, HEAD, POST",
		"/workspaces/w/api-keys/a/rotate?x=1": "POST",
	} {
		r := w.Refuses(t, handlerstest.Request{Method: "PATCH", Target: target, Token: w.token}, 405)
		if refusal(t, &r); r.Header.Get("Allow") != allow {
			t.Errorf("%s: Allow is %q", target, r.Header.Get("Allow"))
		}
	}
	unknown := w.Refuses(t, handlerstest.Request{Method: "GET", Target: "/v1/workspaces/w/api-keys/a/b", Token: w.token}, 404)
	if unknown.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("an unknown path is not the native one's: %s", unknown.Body)
	}
	if r := w.do(t, http.MethodHead, keysPath+"?unknown=1", ""); r.Status != 200 {
		t.Errorf("HEAD: %d", r.Status)
	}
}

// The same Idempotency-Key gives the same secret again, also when the body is declared to be a form.
func TestIdempotency(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	send := func(body string) handlerstest.Response {
		header := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "one"}
		r := w.Do(t, handlerstest.Request{Method: "POST", Target: keysPath, Token: w.token, Header: header, Body: body})
		w.hide(&r)
		return r
	}
	before := w.Events(t)
	first, again := send(`{"name":"a"}`), send(`{"name":"a"}`)
	if first.Status != 201 || string(first.Body) != string(again.Body) || w.Events(t) != before+1 {
		t.Errorf("%d events: %s, then %s", w.Events(t)-before, first.Body, again.Body)
	}
	if other := send(`{"name":"b"}`); other.Status != 422 || refusal(t, &other) == "" || w.Events(t) != before+1 {
		t.Errorf("another body: %d %s", other.Status, other.Body)
	}
}

// A key made here is in all views of the native API, and what happens there is seen here.
func TestAcross(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	k := w.create(t, `{"name":"ci"}`)
	has := func(target string) {
		t.Helper()
		if r := w.do(t, "GET", target, ""); r.Status != 200 || !strings.Contains(string(r.Body), k.id) || strings.Contains(string(r.Body), k.secret) {
			t.Errorf("%s: %d %s", target, r.Status, r.Body)
		}
	}
	has("/v1/keys")
	has("/v1/workspaces/" + workspace + "/keys")
	has("/v1/keys/" + k.id)
	has("/v1/keys/" + k.id + "/events")
	has("/v1/events?workspace_id=" + workspace)
	if w.verdict(t, k.secret) != "VALID" {
		t.Error("it is not valid")
	}
	w.WaitForUse(t, uuid.MustParse(k.id), 1)
	if r := w.do(t, "GET", k.target, ""); r.Field("dateLastUsed") == nil {
		t.Errorf("its use is not seen: %s", r.Body)
	}

	w.want(t, "POST", "/v1/keys/"+k.id+"/disable", "", 200)
	r := w.do(t, "GET", k.target, "")
	isMember(t, &r, "status", `"expired"`)
	w.want(t, "POST", "/v1/keys/"+k.id+"/revoke", `{"reason":"leaked"}`, 200)
	w.refused(t, "GET", k.target, "", 404)

	native := w.as(t, w.Root, "POST", "/v1/keys", `{"name":"native","workspace_id":"`+workspace+`","token":"a-token-brought-by-its-owner-0123"}`)
	id := fmt.Sprint(native.Field("id"))
	r = w.do(t, "GET", keysPath+"/"+id, "")
	isMember(t, &r, "secureKey", `"a-to...0123"`)
	w.want(t, "DELETE", keysPath+"/"+id, "", 204)
	if r := w.do(t, "GET", "/v1/keys/"+id, ""); r.Field("status") != "revoked" || r.Field("revoke_reason") != "deleted" {
		t.Errorf("natively it is %s", r.Body)
	}
}
