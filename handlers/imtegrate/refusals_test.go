package imtegrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// problem is the answer to one problem without a ctx.
func problem(kind, loc, msg, input string) string {
	return `{"detail":[{"type":"` + kind + `","loc":` + loc + `,"msg":"` + msg + `","input":` + input + `}]}`
}

// refusedValue is the answer to a value that a rule of the ledger refuses.
func refusedValue(loc, why, input string) string {
	return `{"detail":[{"type":"value_error","loc":` + loc + `,"msg":"Value error, ` + why + `","input":` + input + `,"ctx":{"error":{}}}]}`
}

// malformed is the answer to a body that is no JSON.
func malformed(at int, why string) string {
	return fmt.Sprintf(`{"detail":[{"type":"json_invalid","loc":["body",%d],"msg":"JSON decode error","input":{},"ctx":{"error":"%s"}}]}`, at, why)
}

const noDictionary = "Input should be a valid dictionary or object to extract fields from"

func TestCreateRefusesBodies(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	many := `[`
	for i := range ledger.MaxScopes {
		many += fmt.Sprintf(`"%d",`, i)
	}
	many += `"x"]`
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{``, 422, problem("missing", `["body"]`, "Field required", "null")},
		{`null`, 422, problem("missing", `["body"]`, "Field required", "null")},
		{`"x"`, 422, problem("model_attributes_type", `["body"]`, noDictionary, `"x"`)},
		{`{"x":1.50}`, 422, problem("missing", `["body","name"]`, "Field required", `{"x":1.50}`)},
		{`{"name":NaN}`, 422, problem("string_type", `["body","name"]`, "Input should be a valid string", "null")},
		{`{"name":["a"]}`, 422, problem("string_type", `["body","name"]`, "Input should be a valid string", `["a"]`)},
		{`{"name":"` + strings.Repeat("ä", 121) + `"}`, 422,
			`{"detail":[{"type":"string_too_long","loc":["body","name"],"msg":"String should have at most 120 characters","input":"` +
				strings.Repeat("ä", 121) + `","ctx":{"max_length":120}}]}`},
		{`{"name":"ab","env":"test\n"}`, 422,
			`{"detail":[{"type":"string_pattern_mismatch","loc":["body","env"],"msg":"String should match pattern '^(test|live)$'",` +
				`"input":"test\n","ctx":{"pattern":"^(test|live)$"}}]}`},
		{`{"name":"ab","env":null}`, 422, problem("string_type", `["body","env"]`, "Input should be a valid string", "null")},
		{`{"name":"ab","scopes":null}`, 422, problem("list_type", `["body","scopes"]`, "Input should be a valid list", "null")},
		{`{"env":1,"scopes":{},"name":2}`, 422, `{"detail":[` +
			`{"type":"string_type","loc":["body","name"],"msg":"Input should be a valid string","input":2},` +
			`{"type":"list_type","loc":["body","scopes"],"msg":"Input should be a valid list","input":{}},` +
			`{"type":"string_type","loc":["body","env"],"msg":"Input should be a valid string","input":1}]}`},
		{`{"name":"ab"`, 422, malformed(12, "Expecting ',' delimiter")},
		{`{"name":"ä"}}`, 422, malformed(12, "Extra data")},
		{`{"name":"\ud83d"}`, 400, `{"detail":"There was an error parsing the body"}`},
		// What the ledger does not take.
		{`{"name":"a\u0000"}`, 422, refusedValue(`["body","name"]`, "must be UTF-8 without control characters", `"a\u0000"`)},
		{`{"name":"ab","scopes":["a","b c"]}`, 422,
			refusedValue(`["body","scopes",1]`, "must be printable ASCII without space, quote and backslash", `"b c"`)},
		{`{"name":"ab","scopes":["` + strings.Repeat("a", 129) + `"]}`, 422,
			refusedValue(`["body","scopes",0]`, "must be 1 to 128 bytes", `"`+strings.Repeat("a", 129)+`"`)},
		{`{"name":"ab","scopes":["ledger:nothing"]}`, 422, refusedValue(`["body","scopes",0]`, "is not a scope of the ledger", `"ledger:nothing"`)},
		{`{"name":"ab","scopes":` + many + `}`, 422, refusedValue(`["body","scopes"]`, "must be at most 64", many)},
		{`{"name":"ab","scopes":["ledger:*"]}`, 403, `{"detail":"your key does not hold the scope ledger:*"}`},
		{`{"name":"ab","scopes":["ledger:audit"]}`, 403, `{"detail":"your key does not hold the scope ledger:audit"}`},
		{strings.Repeat(" ", handlers.DefaultMaxBody+1), 413, `{"detail":"the body is larger than 65536 bytes"}`},
	} {
		r := w.request("POST", "/v1/api-keys", c.body)
		r.Header = map[string]string{"Content-Type": "application/json"}
		says(t, w.Refuses(t, r, c.status), c.want)
	}
	w.create(t, w.request("POST", "/v1/api-keys", `{"name":"x","name":"the last","scopes":["ledger:keys:read"],"n":NaN}`))
}

// routes are the routes that take a token, each as one that a token suffices for.
func (w *world) routes(t *testing.T) []handlerstest.Request {
	k := w.create(t, w.request("POST", "/v1/api-keys", `{"name":"ci"}`))
	return []handlerstest.Request{
		{Method: "POST", Target: "/v1/api-keys", Body: `{"name":"ab"}`},
		{Method: "GET", Target: "/v1/api-keys"},
		{Method: "DELETE", Target: "/v1/api-keys/" + k.ID},
		{Method: "POST", Target: "/v1/api-keys/" + k.ID + "/revoke"},
	}
}

func TestUnauthenticated(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	routes := w.routes(t)
	gone := w.create(t, w.request("POST", "/v1/api-keys", `{"name":"gone","scopes":["ledger:keys:read"]}`))
	w.Do(t, w.request("DELETE", "/v1/api-keys/"+gone.ID, ""))
	const bad = `{"detail":"the token is not valid"}`
	for _, r := range routes {
		says(t, w.Refuses(t, r, 401), `{"detail":"send a token: Authorization: Bearer <token>, or X-API-Key: <token>"}`)
		for name, token := range map[string]string{"short": "x", "unknown": "ik_live_" + strings.Repeat("0", 49), "revoked": gone.Token} {
			r.Token = token
			answer := w.Refuses(t, r, 401)
			if says(t, answer, bad); answer.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no challenge", name)
			}
		}
		r.Token, r.Header = "", map[string]string{"Authorization": "Basic eA=="}
		says(t, w.Refuses(t, r, 401), `{"detail":"the Authorization header must read: Bearer <token>"}`)
	}
}

// Bodies that cannot be parsed are refused before a missing token, fields and paths after it.
func TestOrderOfChecks(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	post := func(body string) handlerstest.Request {
		return handlerstest.Request{Method: "POST", Target: "/v1/api-keys", Body: body}
	}
	says(t, w.Refuses(t, post(`{bad`), 422), malformed(1, "Expecting property name enclosed in double quotes"))
	says(t, w.Refuses(t, post("\xff"), 400), `{"detail":"There was an error parsing the body"}`)
	w.Refuses(t, post(strings.Repeat("[", 2000)), 400)
	w.Refuses(t, post(`{}`), 401)
	w.Refuses(t, post(``), 401)
	w.Refuses(t, handlerstest.Request{Method: "DELETE", Target: "/v1/api-keys/zzz"}, 401)
	weak := w.Key(t, ledger.Create{Owner: ledger.Owner{Org: acme}}).Token.Reveal()
	r := post(`{}`)
	r.Token = weak
	w.Refuses(t, r, 422)
	r.Body = `{"name":"ab"}`
	says(t, w.Refuses(t, r, 403), `{"detail":"this needs the scope ledger:keys:create"}`)
}

// A key that is made here, like any other one without scopes of the ledger, manages no keys.
func TestForbidden(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	weak := w.create(t, w.request("POST", "/v1/api-keys", `{"name":"ci","scopes":["render"]}`)).Token
	scopes := []string{ledger.ScopeCreate, ledger.ScopeRead, ledger.ScopeRevoke, ledger.ScopeRevoke}
	for i, r := range w.routes(t) {
		r.Token = weak
		says(t, w.Refuses(t, r, 403), `{"detail":"this needs the scope `+scopes[i]+`"}`)
		r.Token = w.Key(t, ledger.Create{Owner: ledger.Owner{Org: acme}, Scopes: []string{scopes[i]}}).Token.Reveal()
		if answer := w.Do(t, r); answer.Status >= 300 {
			t.Errorf("%s %s: that scope does not suffice: %d", r.Method, r.Target, answer.Status)
		}
	}
}

// A key of another organization is as if it were not there, whoever asks.
func TestForeign(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	foreign := w.Key(t, ledger.Create{Owner: ledger.Owner{Org: "another"}, Name: "theirs"}).Key.ID.String()
	absent := "0198a5c4-3f4e-7c21-9a3e-000000000000"
	for _, id := range []string{foreign, absent} {
		for _, r := range []handlerstest.Request{w.request("DELETE", "/v1/api-keys/"+id, ""), w.request("POST", "/v1/api-keys/"+id+"/revoke", "")} {
			says(t, w.Refuses(t, r, 404), `{"detail":"no such key"}`)
			r.Token, r.Header = w.Root, map[string]string{"X-Org-Id": acme}
			says(t, w.Refuses(t, r, 404), `{"detail":"no such key"}`)
		}
	}
	for _, r := range w.routes(t) {
		r.Token, r.Header = w.caller, map[string]string{"X-Org-Id": "another"}
		says(t, w.Refuses(t, r, 404), `{"detail":"no such organization"}`)
	}
	if listed := w.list(t, w.caller); len(listed) != 2 {
		t.Errorf("%+v", listed)
	}
}

func TestNoOrg(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	missing := problem("missing", `["header","x-org-id"]`, "Field required", "null")
	for _, r := range w.routes(t) {
		r.Token = w.Root
		says(t, w.Refuses(t, r, 422), missing)
	}
	r := handlerstest.Request{Method: "POST", Target: "/v1/api-keys", Token: w.Root, Body: `{}`}
	says(t, w.Refuses(t, r, 422), `{"detail":[{"type":"missing","loc":["header","x-org-id"],"msg":"Field required","input":null},`+
		`{"type":"missing","loc":["body","name"],"msg":"Field required","input":{}}]}`)
	long := strings.Repeat("o", ledger.MaxID+1)
	r.Body, r.Header = `{"name":"ab"}`, map[string]string{"X-Org-Id": long}
	says(t, w.Refuses(t, r, 422), refusedValue(`["header","x-org-id"]`, "must be at most 128 bytes", `"`+long+`"`))
	r.Header["X-Org-Id"] = "\xff"
	says(t, w.Refuses(t, r, 422), refusedValue(`["header","x-org-id"]`, "must be UTF-8 without control characters", `"`+"\ufffd"+`"`))
	r = handlerstest.Request{Method: "DELETE", Target: "/v1/api-keys/z", Token: w.Root}
	if text := string(w.Refuses(t, r, 422).Body); strings.Index(text, "uuid_parsing") > strings.Index(text, "x-org-id") {
		t.Errorf("the path does not come first: %s", text)
	}
}

func TestOtherMethodsAndPaths(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	for target, allow := range map[string]string{
		"/v1/api-keys": "GET, HEAD, POST", "/v1/api-keys/x": "DELETE", "/v1/api-keys/x/revoke": "POST", "/openapi/imtegrate.json": "GET, HEAD",
	} {
		r := w.Refuses(t, w.request("PUT", target, ""), 405)
		if says(t, r, `{"detail":"Method Not Allowed"}`); r.Header.Get("Allow") != allow {
			t.Errorf("%s: Allow is %q", target, r.Header.Get("Allow"))
		}
	}
	if r := w.Refuses(t, w.request("GET", "/v1/api-keys/", ""), 404); r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s", r.Body)
	}
	says(t, w.Refuses(t, handlerstest.Request{Method: "GET", Target: "/v1/api-keys", Token: w.caller,
		Header: map[string]string{"Keyledger-Min-Sequence": "x"}}, 422),
		refusedValue(`["header","keyledger-min-sequence"]`, "the header is not one whole number", `"x"`))
}

// A bad input is called that in the access line, and no fault of the server.
func TestBadInputIsLoggedAsSuch(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	for body, status := range map[string]int{`{}`: 422, `{"name":"x"}`: 422, "\xff": 400} {
		w.Refuses(t, w.request("POST", "/v1/api-keys", body), status)
		if line := w.Lines.Last(); line["code"] != "invalid" || line["status"] != float64(status) {
			t.Errorf("%q is logged as %v", body, line)
		}
	}
}

// What goes wrong in the ledger is told in the vendor's form too.
func TestTroubleOfTheLedger(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	log := w.Log.(*ledgertest.Log)
	for _, r := range []handlerstest.Request{w.routes(t)[0], w.routes(t)[2]} {
		r.Token = w.caller
		log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: ledger.ErrOverloaded})
		answer := w.Refuses(t, r, 503)
		if says(t, answer, `{"detail":"too many requests are waiting to be stored"}`); answer.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", answer.Header.Get("Retry-After"))
		}
		log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: errors.New("a secret of the disk")})
		says(t, w.Refuses(t, r, 500), `{"detail":"Internal Server Error"}`)
	}
}

// A second request with an Idempotency-Key is refused while the first one runs, and told not to be repeated blindly.
func TestRunning(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	begun, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.Log.(*ledgertest.Log).Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpAppend {
			once.Do(func() { close(begun) })
			<-finish
		}
		return ledgertest.Fault{}
	})
	r := w.request("POST", "/v1/api-keys", `{"name":"ci"}`)
	r.Header = map[string]string{"Idempotency-Key": "one"}
	var first sync.WaitGroup
	first.Go(func() { w.create(t, r) })
	<-begun
	second := w.Do(t, r)
	close(finish)
	first.Wait()
	says(t, second, `{"detail":"the first request with this Idempotency-Key is still running"}`)
	if second.Status != 409 || second.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("%d %v", second.Status, second.Header)
	}
}
