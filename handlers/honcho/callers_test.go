package honcho_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

const (
	noToken  = "No access token provided"
	badJWT   = "Invalid JWT"
	badScope = "Invalid JWT scope: peer/session token missing workspace"
	notAdmin = "Resource requires admin privileges"
)

func TestAdminTokens(t *testing.T) {
	w := newWorld(t, secret)
	w.Later(24 * time.Hour) // the clock of the server counts
	past, today, ahead := time.Now().Add(-time.Hour).Unix(), w.Now().Add(-time.Hour).Unix(), w.Now().Add(time.Hour).Unix()
	for claims, want := range map[string]string{
		`{"t":"","ad":true}`:                       "",
		`{"ad":true}`:                              "",
		`{"ad":1}`:                                 "",
		`{"ad":"yes","w":"elsewhere"}`:             "",
		`{"ad":true,"jti":"a"}`:                    "",
		`{"ad":true,"iss":"a","sub":""}`:           "",
		`{"ad":true,"p":""}`:                       "",
		`{"ad":true,"aud":""}`:                     "",
		`{"ad":true,"aud":null}`:                   "",
		fmt.Sprintf(`{"ad":true,"iat":%d}`, past):  "",
		fmt.Sprintf(`{"ad":true,"nbf":%d}`, today): "",

		`{}`:                             notAdmin,
		`{"ad":false}`:                   notAdmin,
		`{"ad":0}`:                       notAdmin,
		`{"ad":""}`:                      notAdmin,
		`{"ad":[]}`:                      notAdmin,
		`{"ad":{}}`:                      notAdmin,
		`{"ad":null}`:                    notAdmin,
		`{"w":"acme","p":"a","s":"b"}`:   notAdmin,
		`{"p":"a"}`:                      badScope,
		`{"s":"b","w":""}`:               badScope,
		`{"ad":true,"exp":4070908800}`:   badJWT,
		`{"ad":true,"exp":4070908800.5}`: badJWT,
		`{"ad":true,"exp":1}`:            badJWT,
		`{"ad":true,"exp":0}`:            badJWT,
		`{"ad":true,"exp":null}`:         badJWT,
		`{"ad":true,"exp":"4070908800"}`: badJWT,
		`{"ad":true,"aud":"honcho"}`:     badJWT,
		`{"ad":true,"aud":["honcho"]}`:   badJWT,
		`{"ad":true,"jti":1}`:            badJWT,
		`{"ad":true,"jti":null}`:         badJWT,
		`{"ad":true,"sub":1}`:            badJWT,
		`{"ad":true,"nbf":"soon"}`:       badJWT,
		`[]`:                             badJWT,
		`{"ad":true`:                     badJWT,
		fmt.Sprintf(`{"ad":true,"iat":%d}`, ahead): badJWT,
		fmt.Sprintf(`{"ad":true,"nbf":%d}`, ahead): badJWT,
	} {
		t.Run(claims, func(t *testing.T) {
			in := ask(ours(t, claims), "workspace_id", "acme")
			if want == "" {
				mint(t, w, in)
				return
			}
			refused(t, w, in, 401, want)
		})
	}
}

func TestForgedTokens(t *testing.T) {
	w := newWorld(t, secret)
	claims := map[string]any{"t": "", "ad": true}
	for name, token := range map[string]string{
		"another secret":         sign(t, jwt.SigningMethodHS256, []byte("another"), claims),
		"no secret":              sign(t, jwt.SigningMethodHS256, []byte{}, claims),
		"HS384":                  sign(t, jwt.SigningMethodHS384, []byte(secret), claims),
		"HS512":                  sign(t, jwt.SigningMethodHS512, []byte(secret), claims),
		"none":                   sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims),
		"no signature":           admin[:len(admin)-43],
		"a changed claim":        admin[:40] + "A" + admin[41:],
		"two parts":              "a.b",
		"four parts":             admin + ".a",
		"garbage":                "garbage",
		"no token of the ledger": "kl_0000000000000000000000000000000000000000000000000",
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, w, ask(token, "workspace_id", "acme"), 401, badJWT)
		})
	}
}

// The signature of a critical extension is good, but nobody here understands it.
func TestCriticalExtension(t *testing.T) {
	w := newWorld(t, secret)
	token := &jwt.Token{Method: jwt.SigningMethodHS256, Claims: jwt.MapClaims{"ad": true},
		Header: map[string]any{"alg": "HS256", "crit": []string{"x"}, "x": 1}}
	signed, err := token.SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, w, ask(signed, "workspace_id", "acme"), 401, badJWT)
}

func TestAuthorizationHeader(t *testing.T) {
	w := newWorld(t, secret)
	for value, want := range map[string]string{
		"Bearer " + admin:   "",
		"bearer " + admin:   "",
		"BEARER   " + admin: "",
		"-":                 noToken,
		"Bearer":            noToken,
		"Basic " + admin:    noToken,
		admin:               noToken,
		"Bearer garbage":    badJWT,
	} {
		in := ask("", "workspace_id", "acme")
		in.Header = map[string]string{"Authorization": value}
		if want == "" {
			mint(t, w, in)
			continue
		}
		refused(t, w, in, 401, want)
	}
	in := ask("", "workspace_id", "acme")
	in.Header = map[string]string{"X-API-Key": w.Root} // Honcho does not look there
	refused(t, w, in, 401, noToken)
}

// A key of the ledger that may create keys does as well as an admin JWT, inside its owner. What it may not is 401.
func TestKeysOfTheLedger(t *testing.T) {
	w := newWorld(t, secret)
	key := func(owner ledger.Owner, scopes ...string) string {
		return w.Key(t, ledger.Create{Owner: owner, Scopes: scopes}).Token.Reveal()
	}
	bound := ledger.Owner{Workspace: "acme"}
	for name, c := range map[string]struct {
		token string
		ask   []string
		want  string
	}{
		"root":                   {w.Root, []string{"workspace_id", "acme"}, ""},
		"the scope":              {key(ledger.Owner{}, ledger.ScopeCreate), []string{"workspace_id", "acme"}, ""},
		"another scope":          {key(ledger.Owner{}, ledger.ScopeRead), []string{"workspace_id", "acme"}, notAdmin},
		"no scope":               {key(bound), []string{"workspace_id", "acme"}, notAdmin},
		"no scope, and bad date": {key(bound), []string{"workspace_id", "acme", "expires_at", "x"}, notAdmin},
		"its workspace":          {key(bound, ledger.ScopeCreate), []string{"workspace_id", "acme"}, ""},
		"a peer in it":           {key(bound, ledger.ScopeCreate), []string{"workspace_id", "acme", "peer_id", "p"}, ""},
		"another workspace":      {key(bound, ledger.ScopeCreate), []string{"workspace_id", "other"}, notAdmin},
		"wider than its peer":    {key(ledger.Owner{Workspace: "acme", Peer: "p"}, ledger.ScopeCreate), []string{"workspace_id", "acme"}, notAdmin},
		"another peer":           {key(ledger.Owner{Workspace: "acme", Peer: "p"}, ledger.ScopeCreate), []string{"workspace_id", "acme", "peer_id", "q"}, notAdmin},
		"no such token":          {"kl_no_such_token_but_long_enough_for_one", []string{"workspace_id", "acme"}, badJWT},
	} {
		t.Run(name, func(t *testing.T) {
			if in := ask(c.token, c.ask...); c.want == "" {
				mint(t, w, in)
			} else {
				refused(t, w, in, 401, c.want)
			}
		})
	}
}

// A key cannot outlive the one that makes it.
func TestExpiringCaller(t *testing.T) {
	w := newWorld(t, secret)
	end := w.Now().Add(time.Hour)
	caller := w.Key(t, ledger.Create{Scopes: []string{ledger.ScopeCreate}, ExpiresAt: end}).Token.Reveal()
	refused(t, w, ask(caller, "workspace_id", "acme"), 401, notAdmin)
	refused(t, w, ask(caller, "workspace_id", "acme", "expires_at", end.Add(time.Minute).UTC().Format(time.RFC3339)), 401, notAdmin)
	mint(t, w, ask(caller, "workspace_id", "acme", "expires_at", end.Add(-time.Minute).UTC().Format(time.RFC3339)))
	w.Later(2 * time.Hour)
	refused(t, w, ask(caller, "workspace_id", "acme"), 401, badJWT)
}

// Keys that were made here make no keys, whatever they are scoped to.
func TestKeysMakeNoKeys(t *testing.T) {
	w := newWorld(t, secret)
	key := mint(t, w, ask(admin, "workspace_id", "acme"))
	lapsed := mint(t, w, ask(admin, "workspace_id", "acme", "expires_at", "2020-01-01"))
	refused(t, w, ask(key, "workspace_id", "acme"), 401, notAdmin)
	refused(t, w, ask(lapsed, "workspace_id", "acme"), 401, badJWT)
}

// A key belongs to the organization and the agent of the one that makes it; Honcho's words do not name them.
func TestOrganizationIsInherited(t *testing.T) {
	w := newWorld(t, secret)
	caller := w.Key(t, ledger.Create{Owner: ledger.Owner{Org: "eu", AgentID: "bot"}, Scopes: []string{ledger.ScopeCreate}})
	id := claims(t, mint(t, w, ask(caller.Token.Reveal(), "workspace_id", "acme")))["jti"]
	r := w.Do(t, handlerstest.Request{Method: "GET", Target: fmt.Sprint("/v1/keys/", id), Token: w.Root})
	if r.Field("org_id") != "eu" || r.Field("agent_id") != "bot" || r.Field("created_by") != caller.Key.ID.String() {
		t.Errorf("%s", r.Body)
	}
}
