package honcho_test

import (
	"context"
	"strings"
	"testing"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

const (
	unscoped    = "At least one of workspace_id, peer_id, or session_id must be provided"
	noWorkspace = "workspace_id is required when scoping a key to a peer or session"
	disabled    = "Feature is disabled"
)

// The checks come in Honcho's order.
func TestOrderOfChecks(t *testing.T) {
	on, off := newWorld(t, secret), newWorld(t, "")
	refused(t, on, ask("", "expires_at", "x"), 401, noToken)
	refused(t, on, ask("garbage", "expires_at", "x"), 401, badJWT)
	dateOf(t, on.Refuses(t, ask(admin, "expires_at", "x"), 422))
	dateOf(t, on.Refuses(t, ask(admin, "peer_id", "p", "expires_at", ""), 422))
	refused(t, on, ask(admin), 422, unscoped)
	refused(t, on, ask(admin, "workspace_id", "", "peer_id", "", "session_id", ""), 422, unscoped)
	refused(t, on, ask(admin, "peer_id", "p"), 422, noWorkspace)
	refused(t, on, ask(admin, "session_id", "s", "workspace_id", ""), 422, noWorkspace)

	dateOf(t, off.Refuses(t, ask("", "expires_at", "x"), 422))
	for _, token := range []string{"", "garbage", admin, off.Root} {
		r := refused(t, off, ask(token, "workspace_id", "acme"), 405, disabled)
		if r.Header["Allow"] != nil {
			t.Errorf("Allow is %q", r.Header["Allow"])
		}
	}
	refused(t, off, ask(""), 405, disabled)
}

// dateOf fails unless a refusal is about the expiry.
func dateOf(t *testing.T, r handlerstest.Response) {
	t.Helper()
	list, _ := r.Field("detail").([]any)
	if len(list) != 1 || list[0].(map[string]any)["loc"].([]any)[1] != "expires_at" {
		t.Errorf("%s", r.Body)
	}
}

func TestQuery(t *testing.T) {
	w := newWorld(t, secret)
	for query, want := range map[string][3]any{
		"workspace_id=a&workspace_id=b":                          {"b"},
		"workspace_id=a;b":                                       {"a;b"},
		"workspace_id=a+b%20c":                                   {"a b c"},
		"workspace_id=%zz%2":                                     {"%zz%2"},
		"workspace_id=%e4":                                       {"\ufffd"},
		"&&workspace_id=a&=b&c":                                  {"a"},
		"workspace%5Fid=a":                                       {"a"},
		"workspace_id=a&peer_id":                                 {"a", ""},
		"workspace_id=a=b&session_id=%2F":                        {"a=b", nil, "/"},
		"workspace_id=a&Peer_id=p&collection_id=c":               {"a"},
		"workspace_id=" + strings.Repeat("a", 128) + "&peer_id=": {strings.Repeat("a", 128), ""},
	} {
		in := ask(admin)
		in.Target = "/v3/keys?" + query
		if got := claims(t, mint(t, w, in)); got["w"] != want[0] || got["p"] != want[1] || got["s"] != want[2] {
			t.Errorf("%s: %v", query, got)
		}
	}
	for _, query := range []string{ // an expiry that cannot be read is never no expiry
		"expires_at=%zz", "expires_at=2027-01-01;", "expires_at", "expires_at=2027-01-01&expires_at=x",
		"expires_at=2027-01-01T00:00:00+00:00",
	} {
		in := ask(admin)
		in.Target = "/v3/keys?workspace_id=a&" + query
		dateOf(t, w.Refuses(t, in, 422))
	}
}

func TestBodyIsIgnored(t *testing.T) {
	w := newWorld(t, secret)
	for _, body := range []string{"", "{", `{"workspace_id":"b"}`, strings.Repeat("x", handlers.DefaultMaxBody+1)} {
		in := ask(admin, "workspace_id", "a")
		in.Body, in.Header = body, map[string]string{"Content-Type": "application/json"}
		if got := claims(t, mint(t, w, in)); got["w"] != "a" {
			t.Errorf("%v", got)
		}
	}
}

// What an owner of the ledger cannot be called is told as pydantic would.
func TestNamesTheLedgerDoesNotTake(t *testing.T) {
	w := newWorld(t, secret)
	for name, c := range map[string]struct{ field, id, reason string }{
		"long workspace":  {"workspace_id", strings.Repeat("a", 129), "must be at most 128 bytes"},
		"long peer":       {"peer_id", strings.Repeat("ö", 65), "must be at most 128 bytes"},
		"longer than all": {"session_id", strings.Repeat("😀", 1000), "must be at most 128 bytes"},
		"control":         {"peer_id", "a\x00b", "must be UTF-8 without control characters"},
		"line":            {"workspace_id", "a\nb", "must be UTF-8 without control characters"},
	} {
		t.Run(name, func(t *testing.T) {
			parameters := []string{"workspace_id", "w", c.field, c.id}
			r := w.Refuses(t, ask(admin, parameters...), 422)
			list, _ := r.Field("detail").([]any)
			if len(list) != 1 {
				t.Fatalf("%s", r.Body)
			}
			got := list[0].(map[string]any)
			if got["msg"] != "Value error, "+c.reason || got["input"] != c.id || got["loc"].([]any)[1] != c.field || got["type"] != "value_error" {
				t.Errorf("%s", r.Body)
			}
		})
	}
}

func TestSlashIsRedirected(t *testing.T) {
	w := newWorld(t, secret)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		for target, want := range map[string]string{
			"/v3/keys/":                          "/v3/keys",
			"/v2/keys/?workspace_id=a%20b&x=%2F": "/v2/keys?workspace_id=a%20b&x=%2F",
		} {
			r := w.Refuses(t, handlerstest.Request{Method: method, Target: target}, 307)
			if r.Header.Get("Location") != want || len(r.Body) != 0 {
				t.Errorf("%s %s: %v %s", method, target, r.Header, r.Body)
			}
		}
	}
}

func TestOtherMethodsAndPaths(t *testing.T) {
	w := newWorld(t, secret)
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
		in := ask(admin)
		in.Method = method
		r := refused(t, w, in, 405, "Method Not Allowed")
		if r.Header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", method, r.Header.Get("Allow"))
		}
	}
	for _, target := range []string{"/v3", "/v3/keys/x", "/v3/keys//", "/v4/keys", "/v3/Keys"} {
		in := ask(admin, "workspace_id", "a")
		in.Target = target
		if r := w.Refuses(t, in, 404); r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", target, r.Body)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, secret)
	in := ask(admin, "workspace_id", "a")
	in.Header = map[string]string{"Idempotency-Key": "one"}
	key := mint(t, w, in)
	before := w.Events(t)
	if r := w.Do(t, in); r.Field("key") != key || w.Events(t) != before {
		t.Errorf("%d events, %s", w.Events(t)-before, r.Body)
	}
	in.Target += "&peer_id=p"
	refused(t, w, in, 422, "this Idempotency-Key was used for another request: take a new one")
	in.Header["Idempotency-Key"] = "two"
	in.Body = strings.Repeat("x", handlers.DefaultMaxBody+1)
	refused(t, w, in, 413, "the body is larger than 65536 bytes")
	in.Header, in.Body = map[string]string{"Keyledger-Min-Sequence": "x"}, ""
	refused(t, w, in, 422, "the header is not one whole number")
}

// While the first request with an Idempotency-Key runs, a second one is told so, and not to come again at once.
func TestIdempotencyKeyIsRunning(t *testing.T) {
	w := newWorld(t, secret)
	log := w.Log.(*ledgertest.Log)
	begun, release := make(chan bool), make(chan bool)
	log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpAppend {
			close(begun)
			<-release
		}
		return ledgertest.Fault{}
	})
	in := ask(admin, "workspace_id", "a")
	in.Header = map[string]string{"Idempotency-Key": "one"}
	first := make(chan handlerstest.Response, 1)
	go func() { first <- w.Do(t, in) }()
	<-begun
	r := w.Refuses(t, in, 409)
	if detail, _ := r.Field("detail").(string); detail == "" || r.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("%v %s", r.Header, r.Body)
	}
	close(release)
	made := <-first
	key, _ := made.Field("key").(string)
	w.Hide(key)
	if made.Status != 200 || key == "" {
		t.Errorf("%d %s", made.Status, made.Body)
	}
}

// A ledger that cannot take the key is 503, in Honcho's form, and says when to come again.
func TestUnavailable(t *testing.T) {
	w := newWorld(t, secret)
	log := w.Log.(*ledgertest.Log)
	for _, cause := range []error{ledger.ErrUnavailable, ledger.ErrOverloaded} {
		log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: cause})
		r := w.Refuses(t, ask(admin, "workspace_id", "a"), 503)
		if detail, _ := r.Field("detail").(string); detail == "" || r.Header.Get("Retry-After") == "" {
			t.Errorf("%v: %v %s", cause, r.Header, r.Body)
		}
	}
	log.Inject(nil)
	mint(t, w, ask(admin, "workspace_id", "a"))
}
