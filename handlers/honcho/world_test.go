package honcho_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/handlers/honcho"
	"keyledger/ledger"
)

// secret signs the keys of the tests, and admin is its bootstrap admin token as Honcho makes it.
const (
	secret = "test-secret"
	admin  = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0IjoiIiwiYWQiOnRydWV9.jmuKJ-6dYJzy-p3y1H7kfbgAw-oC0LfgNlKvugHddqM"
)

// newWorld starts a server with the dialect under a secret.
func newWorld(t testing.TB, secret string) *handlerstest.World {
	t.Helper()
	return newWorldOf(t, secret, handlerstest.Options{})
}

func newWorldOf(t testing.TB, secret string, o handlerstest.Options) *handlerstest.World {
	t.Helper()
	var now func() time.Time
	configure := o.Configure
	o.Configure = func(c *handlers.Config, rules *ledger.Config) {
		now = c.Now
		if configure != nil {
			configure(c, rules)
		}
	}
	o.Mount = func(s *handlers.Server, service *ledger.Service) error {
		return s.Mount(honcho.Routes(honcho.Config{Service: service, Secret: []byte(secret), Now: now}), honcho.Render)
	}
	w := handlerstest.New(t, o)
	w.Hide(admin)
	return w
}

// sign makes a JWT of claims, which may be a map or text in JSON.
func sign(t testing.TB, method jwt.SigningMethod, key any, claims any) string {
	t.Helper()
	text, ok := claims.(string)
	if !ok {
		raw, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"`+method.Alg()+`","typ":"JWT"}`)) + "." + encode([]byte(text))
	signature, err := method.Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(signature)
}

// ours is a JWT signed with the secret of the tests.
func ours(t testing.TB, claims any) string {
	return sign(t, jwt.SigningMethodHS256, []byte(secret), claims)
}

// ask is a create with a token, of pairs of parameters.
func ask(token string, parameters ...string) handlerstest.Request {
	query := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	return handlerstest.Request{Method: "POST", Target: "/v3/keys?" + query.Encode(), Token: token}
}

// mint sends a create that must succeed, with one event, and returns the key.
func mint(t testing.TB, w *handlerstest.World, in handlerstest.Request) string {
	t.Helper()
	before := w.Events(t)
	r := w.Do(t, in)
	key, ok := r.Field("key").(string)
	var all map[string]any
	if err := json.Unmarshal(r.Body, &all); err != nil || r.Status != 200 || !ok || len(all) != 1 || w.Events(t) != before+1 {
		t.Fatalf("%s: %d, %d events, %s", in.Target, r.Status, w.Events(t)-before, r.Body)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	w.Hide(key)
	return key
}

// refused sends a create that must be answered with a status and a text, and append nothing.
func refused(t testing.TB, w *handlerstest.World, in handlerstest.Request, status int, detail string) handlerstest.Response {
	t.Helper()
	r := w.Refuses(t, in, status)
	if r.Field("detail") != detail {
		t.Errorf("%s: %s, want %s", in.Target, r.Body, detail)
	}
	if got := r.Header.Get("WWW-Authenticate"); got != "" {
		t.Errorf("WWW-Authenticate is %q", got)
	}
	return r
}

// claims are those of a key, whose signature is verified.
func claims(t testing.TB, key string) map[string]any {
	t.Helper()
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation())
	token, err := parser.Parse(key, func(*jwt.Token) (any, error) { return []byte(secret), nil })
	if err != nil {
		t.Fatal(err)
	}
	return token.Claims.(jwt.MapClaims)
}

// text is a part of a key, decoded: 0 is the header, 1 the claims.
func text(t testing.TB, key string, part int) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(key, ".")[part])
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// verify is what POST /v1/keys/verify says of a key, asked for more, such as `"peer_id":"p"`.
func verify(t testing.TB, w *handlerstest.World, key, more string) string {
	t.Helper()
	body := `{"token":"` + key + `"`
	if more != "" {
		body += "," + more
	}
	r := w.Do(t, handlerstest.Request{Method: "POST", Target: "/v1/keys/verify", Token: w.Root, Body: body + "}"})
	code, _ := r.Field("code").(string)
	if r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	return code
}

// read decodes a file of testdata.
func read(t testing.TB, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(raw(t, name), into); err != nil {
		t.Fatal(err)
	}
}

// raw is a file of testdata.
func raw(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
