package honcho_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyledger/ledger"
)

// The claims are Honcho's byte for byte, with the id of the key at the end.
func TestClaims(t *testing.T) {
	w := newWorld(t, secret)
	for name, c := range map[string]struct {
		ask  []string
		want string // with T and ID for what differs each time
	}{
		"workspace": {[]string{"workspace_id", "acme"}, `{"t":"T","w":"acme","jti":"ID"}`},
		"peer":      {[]string{"workspace_id", "acme", "peer_id", "alice"}, `{"t":"T","w":"acme","p":"alice","jti":"ID"}`},
		"session":   {[]string{"workspace_id", "acme", "session_id", "s1"}, `{"t":"T","w":"acme","s":"s1","jti":"ID"}`},
		"all": {[]string{"workspace_id", "acme", "peer_id", "alice", "session_id", "s1", "expires_at", "2099-01-01T01:00:00.9+02:00"},
			`{"t":"T","exp":"2098-12-31T23:00:00Z","w":"acme","p":"alice","s":"s1","jti":"ID"}`},
		"empty": {[]string{"workspace_id", "acme", "peer_id", "", "session_id", ""}, `{"t":"T","w":"acme","p":"","s":"","jti":"ID"}`},
		"not ASCII": {[]string{"workspace_id", `wörk "\/<&>` + "\u2028😀"},
			`{"t":"T","w":"w\u00f6rk \"\\/<&>\u2028\ud83d\ude00","jti":"ID"}`},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now().Truncate(time.Second)
			key := mint(t, w, ask(admin, c.ask...))
			if got := text(t, key, 0); got != `{"alg":"HS256","typ":"JWT"}` {
				t.Errorf("the header is %s", got)
			}
			got := claims(t, key)
			made, err := time.Parse("2006-01-02T15:04:05Z", got["t"].(string))
			if err != nil || made.Before(before) || made.After(time.Now()) {
				t.Errorf("t is %v: %v", got["t"], err)
			}
			want := strings.NewReplacer("T\"", got["t"].(string)+"\"", "ID", got["jti"].(string)).Replace(c.want)
			if raw := text(t, key, 1); raw != want {
				t.Errorf("the claims are %s, want %s", raw, want)
			}
		})
	}
}

// A verifier that knows nothing of this project accepts a key under the secret, and under no other.
func TestIndependentVerifier(t *testing.T) {
	w := newWorld(t, secret)
	key := mint(t, w, ask(admin, "workspace_id", "acme"))
	for under, good := range map[string]bool{secret: true, "another": false} {
		_, err := jwt.Parse(key, func(*jwt.Token) (any, error) { return []byte(under), nil }, jwt.WithValidMethods([]string{"HS256"}))
		if (err == nil) != good {
			t.Errorf("under %q: %v", under, err)
		}
	}
}

// Honcho gives the same bytes twice within a second, so that two keys cannot be told apart.
func TestKeysDiffer(t *testing.T) {
	w := newWorld(t, secret)
	seen := make(map[string]bool)
	seconds := make(map[any]bool)
	for range 20 {
		key := mint(t, w, ask(admin, "workspace_id", "acme"))
		seen[key], seconds[claims(t, key)["t"]] = true, true
	}
	if len(seen) != 20 || len(seconds) == 20 {
		t.Errorf("%d keys, of %d seconds", len(seen), len(seconds))
	}
}

func TestExpiryIsHonoured(t *testing.T) {
	w := newWorld(t, secret)
	at := w.Now().Add(time.Hour).UTC().Truncate(time.Second)
	key := mint(t, w, ask(admin, "workspace_id", "acme", "expires_at", at.Format(time.RFC3339)))
	if code := verify(t, w, key, ""); code != "VALID" {
		t.Errorf("it is %s", code)
	}
	authorize := ask(key)
	authorize.Target = "/v1/authorize?workspace_id=acme"
	if r := w.Do(t, authorize); r.Status != 204 || r.Header.Get("Keyledger-Workspace-Id") != "acme" {
		t.Errorf("authorize: %d %v", r.Status, r.Header)
	}
	w.Later(time.Hour + time.Second)
	if code := verify(t, w, key, ""); code != "EXPIRED" {
		t.Errorf("after its end it is %s", code)
	}
	w.Refuses(t, authorize, 401)
}

// What has expired is made all the same, as in Honcho. The claim is exact even where the ledger has no such time.
func TestExpiryInThePast(t *testing.T) {
	w := newWorld(t, secret)
	for asked, want := range map[string][2]string{
		"2020-02-29":           {"2020-02-29T00:00:00Z", "2020-02-29T00:00:00Z"},
		"1970-01-01T00:00:01Z": {"1970-01-01T00:00:01Z", "1970-01-01T00:00:01Z"},
		"0":                    {"1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"},
		"1.9":                  {"1970-01-01T00:00:01Z", "1970-01-01T00:00:01Z"}, // cut off for the ledger too
		"-1":                   {"1969-12-31T23:59:59Z", "1970-01-01T00:00:01Z"},
		"0001-01-01":           {"0001-01-01T00:00:00Z", "1970-01-01T00:00:01Z"},
		"9999-12-31T23:59:59Z": {"9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"},
	} {
		key := mint(t, w, ask(admin, "workspace_id", "acme", "expires_at", asked))
		got := claims(t, key)
		get := ask(w.Root)
		get.Method, get.Target = "GET", fmt.Sprint("/v1/keys/", got["jti"])
		r := w.Do(t, get)
		shown := r.Field("expires_at")
		if got["exp"] != want[0] || shown != want[1] {
			t.Errorf("%s: the claim is %v, the ledger shows %v, want %v", asked, got["exp"], shown, want)
		}
		code := "EXPIRED"
		if asked[0] == '9' {
			code = "VALID"
		}
		if got := verify(t, w, key, ""); got != code {
			t.Errorf("%s: it is %s", asked, got)
		}
	}
}

// Who may do what with a key is Honcho's table, but for what needs Honcho's own data.
func TestScopeTable(t *testing.T) {
	w := newWorld(t, secret)
	const elsewhere, ws, p, other, s, otherSession = `"workspace_id":"x"`, `"workspace_id":"w"`, `"workspace_id":"w","peer_id":"p"`,
		`"workspace_id":"w","peer_id":"q"`, `"workspace_id":"w","session_id":"s"`, `"workspace_id":"w","session_id":"r"`
	all := []string{elsewhere, ws, p, other, s, otherSession}
	for name, c := range map[string]struct {
		key  []string
		good []string
	}{
		"workspace":        {[]string{"workspace_id", "w"}, []string{ws, p, other, s, otherSession}},
		"empty peer":       {[]string{"workspace_id", "w", "peer_id", ""}, []string{ws, p, other, s, otherSession}},
		"peer":             {[]string{"workspace_id", "w", "peer_id", "p"}, []string{p}},
		"session":          {[]string{"workspace_id", "w", "session_id", "s"}, []string{s}},
		"peer and session": {[]string{"workspace_id", "w", "peer_id", "p", "session_id", "s"}, []string{s}},
	} {
		t.Run(name, func(t *testing.T) {
			key := mint(t, w, ask(admin, c.key...))
			for _, asked := range all {
				want := string(ledger.WrongOwner)
				for _, good := range c.good {
					if good == asked {
						want = string(ledger.Valid)
					}
				}
				if got := verify(t, w, key, asked); got != want {
					t.Errorf("%s: %s, want %s", asked, got, want)
				}
			}
		})
	}
}
