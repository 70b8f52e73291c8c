package imtegrate_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// TestKeyIsOneOfTheLedger: a key made here is seen everywhere else, from its creation to its end, on real JetStream too.
func TestKeyIsOneOfTheLedger(t *testing.T) {
	for name, jetStream := range map[string]bool{"in memory": false, "on JetStream": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, handlerstest.Options{JetStream: jetStream}, "")
			k := w.create(t, w.request("POST", "/v1/api-keys", `{"name":"ci","scopes":["render","deploy"]}`))
			if code := w.verify(t, k.Token); code != "VALID" {
				t.Fatalf("verified: %s", code)
			}
			for _, path := range []string{"/v1/keys", "/v1/orgs/" + acme + "/keys", "/v1/keys/" + k.ID + "/events"} {
				r := w.Do(t, handlerstest.Request{Method: "GET", Target: path, Token: w.Root})
				if r.Status != 200 || !strings.Contains(string(r.Body), k.ID) {
					t.Errorf("%s: %d %s", path, r.Status, r.Body)
				}
			}
			id, err := uuid.Parse(k.ID)
			if err != nil {
				t.Fatal(err)
			}
			w.WaitForUse(t, id, 1)
			listed := w.list(t, w.caller)
			if len(listed) != 2 || listed[0].ID != k.ID || listed[0].LastUsedAt == nil || listed[0].RevokedAt != nil || listed[0].Token != "" {
				t.Errorf("listed: %+v", listed)
			}
			if r := w.Do(t, w.request("DELETE", "/v1/api-keys/"+k.ID, "")); r.Status != 204 || len(r.Body) > 0 {
				t.Errorf("deleted: %d %s", r.Status, r.Body)
			}
			if code := w.verify(t, k.Token); code != "REVOKED" {
				t.Errorf("verified: %s", code)
			}
			if listed = w.list(t, w.caller); listed[0].RevokedAt == nil {
				t.Errorf("listed: %+v", listed[0])
			}
		})
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	seen := make(map[string]bool)
	for env, body := range map[string]string{"test": `{"name":"ci"}`, "live": `{"name":"ci","env":"live"}`} {
		for range 3 {
			k := w.create(t, w.request("POST", "/v1/api-keys", body))
			if !regexp.MustCompile("^ik_" + env + "_[0-9A-Za-z]{49}$").MatchString(k.Token) {
				t.Errorf("%s: the token has another form", env)
			}
			if k.Prefix != k.Token[:len("ik_test_")+4] {
				t.Errorf("%s: the prefix is %q", env, k.Prefix)
			}
			r := w.Do(t, handlerstest.Request{Method: "GET", Target: "/v1/keys/" + k.ID, Token: w.Root})
			if r.Field("environment") != env || r.Field("org_id") != acme || !strings.HasPrefix(fmt.Sprint(r.Field("hint")), k.Prefix+"…") {
				t.Errorf("%s", r.Body)
			}
			seen[k.Token] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d tokens of 6 keys", len(seen))
	}
}

// A key that is made natively, and revoked so, is a key here; and the other way round.
func TestNativeKeysAreKeysHere(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	native := w.Key(t, ledger.Create{Owner: ledger.Owner{Org: acme, Workspace: "w"}, Name: "n", Scopes: []string{"a"}})
	brought := w.Key(t, ledger.Create{Owner: ledger.Owner{Org: acme}, Token: ledger.NewSecret("0123456789-0123456789-0123456789")})
	w.Key(t, ledger.Create{Owner: ledger.Owner{Org: "another"}})
	listed := w.list(t, w.caller)
	if len(listed) != 3 || listed[1].ID != native.Key.ID.String() || listed[1].Prefix != native.Token.Reveal()[:len("kl_")+4] {
		t.Fatalf("%+v", listed)
	}
	if listed[0].ID != brought.Key.ID.String() || listed[0].Prefix != "0123" || listed[0].Scopes == nil || listed[0].OrgID != acme {
		t.Errorf("%+v", listed[0])
	}
	if _, err := w.Service.Revoke(t.Context(), &w.Call, native.Key.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	revoked := w.Refuses(t, w.request("POST", "/v1/api-keys/"+listed[1].ID+"/revoke", ""), 200)
	if k := decode[key](t, revoked, 200); k.RevokedAt == nil || k.ID != listed[1].ID {
		t.Errorf("%s", revoked.Body)
	}
	w.Refuses(t, handlerstest.Request{Method: "GET", Target: "/v1/api-keys", Token: native.Token.Reveal()}, 401)
}

func TestRevokeIsIdempotent(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	k := w.create(t, w.request("POST", "/v1/api-keys", `{"name":"ci"}`))
	first := w.Do(t, w.request("POST", "/v1/api-keys/"+strings.ReplaceAll(k.ID, "-", "")+"/revoke", "anything"))
	revoked := decode[key](t, first, 200)
	if revoked.RevokedAt == nil || revoked.ID != k.ID || revoked.Token != "" {
		t.Errorf("%s", first.Body)
	}
	says(t, w.Refuses(t, w.request("POST", "/v1/api-keys/"+strings.ToUpper(k.ID)+"/revoke", ""), 200), strings.TrimSpace(string(first.Body)))
	w.Refuses(t, w.request("DELETE", "/v1/api-keys/urn:uuid:"+k.ID, ""), 204)
}

// The list holds every key, however many there are, and so its answer is longer than one page of the view.
func TestListWalksAllPages(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	const more = ledger.MaxPage + 5
	for i := range more {
		w.Key(t, ledger.Create{Name: fmt.Sprint("key ", i), Owner: ledger.Owner{Org: acme}})
	}
	listed := w.list(t, w.caller)
	if len(listed) != more+1 || listed[0].Name != fmt.Sprint("key ", more-1) || listed[more].Name != "manager" {
		t.Fatalf("%d keys: %+v", len(listed), listed[:1])
	}
	ids := make(map[string]bool)
	for _, k := range listed {
		ids[k.ID] = true
	}
	if len(ids) != len(listed) {
		t.Errorf("%d of %d keys are different", len(ids), len(listed))
	}
	if !slices.IsSortedFunc(listed, func(a, b key) int { return strings.Compare(b.CreatedAt, a.CreatedAt) }) {
		t.Error("they are not newest first")
	}
}

func TestEmptyList(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	r := w.Do(t, handlerstest.Request{Method: "GET", Target: "/v1/api-keys?page=2", Token: w.Root, Header: map[string]string{"X-Org-Id": "nobody"}})
	says(t, r, `[]`)
}

// The org is the caller's; a caller without one names it, or has the configured one.
func TestOrg(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	withDefault := newWorld(t, handlerstest.Options{}, "by default")
	workspace := w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: "ws"}, Scopes: []string{ledger.ScopeCreate}}).Token.Reveal()
	for name, c := range map[string]struct {
		w             *world
		token, header string
		want          string
	}{
		"bound":                        {w, w.caller, "", acme},
		"bound, and names it":          {w, w.caller, acme, acme},
		"root names it":                {w, w.Root, "any string", "any string"},
		"bound to a workspace":         {w, workspace, "x", "x"},
		"root, by default":             {withDefault, withDefault.Root, "", "by default"},
		"root names it over a default": {withDefault, withDefault.Root, "x", "x"},
		"bound, whatever the default":  {withDefault, withDefault.caller, "", acme},
	} {
		r := handlerstest.Request{Method: "POST", Target: "/v1/api-keys", Token: c.token, Body: `{"name":"ci"}`}
		if c.header != "" {
			r.Header = map[string]string{"X-Org-Id": c.header}
		}
		if k := c.w.create(t, r); k.OrgID != c.want {
			t.Errorf("%s: %q", name, k.OrgID)
		}
	}
}

// A key of a caller that expires does so too: there is no field to state less.
func TestKeyDoesNotOutliveItsCreator(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	token := w.Key(t, ledger.Create{Owner: ledger.Owner{Org: acme}, Scopes: []string{ledger.ScopeCreate}, ExpiresAt: w.Now().Add(time.Hour)}).Token.Reveal()
	k := w.create(t, handlerstest.Request{Method: "POST", Target: "/v1/api-keys", Token: token, Body: `{"name":"ci"}`})
	if code := w.verify(t, k.Token); code != "VALID" {
		t.Errorf("verified: %s", code)
	}
	w.Later(time.Hour)
	if code := w.verify(t, k.Token); code != "EXPIRED" {
		t.Errorf("verified: %s", code)
	}
}

// A repeat with the same Idempotency-Key gets the same key; asked about another org it is another request.
func TestIdempotency(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	r := handlerstest.Request{Method: "POST", Target: "/v1/api-keys", Token: w.Root, Body: `{"name":"ci"}`,
		Header: map[string]string{"Idempotency-Key": "one", "X-Org-Id": "a"}}
	k := w.create(t, r)
	if again := decode[key](t, w.Refuses(t, r, 201), 201); again.Token != k.Token || again.ID != k.ID {
		t.Error("the repeat has another key")
	}
	r.Header["X-Org-Id"] = "b"
	says(t, w.Refuses(t, r, 422), `{"detail":[{"type":"value_error","loc":["header","idempotency-key"],"msg":"Value error, `+
		`this Idempotency-Key was used for another request: take a new one","input":"one","ctx":{"error":{}}}]}`)
	r.Header["Idempotency-Key"], r.Body = "two", `{"name":"c\n"}`
	w.Refuses(t, r, 422)
	r.Body = `{"name":"cd"}`
	w.create(t, r) // what was refused is not remembered
}
