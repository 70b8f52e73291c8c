package honcho

import (
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyledger/handlers"
	"keyledger/ledger"
)

// adminActor is who stands in the history when an admin JWT was presented.
const adminActor = "honcho-admin"

// authenticate sets the principal: the holder of an admin JWT, or a key of the ledger that may create keys.
func (d *dialect) authenticate(x *handlers.Exchange) error {
	token := bearer(x.Request.Header)
	if token == "" {
		return errNoToken
	}
	refused := checkAdmin(token, d.secret, d.now())
	if refused == nil {
		return x.ActAs(ledger.Principal{Actor: adminActor, Scopes: ledger.ScopeCreate})
	}
	if err := x.Authenticate(token); ledger.CodeOf(err) == ledger.CodeUnauthenticated {
		return refused // it is no key of the ledger either
	} else if err != nil {
		return err
	}
	return ledger.Allow(&x.Principal, ledger.ScopeCreate, &x.Principal.Owner)
}

// bearer is the token in the Authorization header, empty when there is none.
func bearer(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(token, " ")
}

// checkAdmin refuses a token that is not an admin JWT of a secret. It refuses what PyJWT does: another algorithm, times
// that lie ahead, an audience, and names that are not strings. Whatever has an expiry, Honcho refuses or fails on.
func checkAdmin(token string, secret []byte, now time.Time) error {
	claims := jwt.MapClaims{}
	parsed, err := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}),
		jwt.WithIssuedAt(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	).ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return secret, nil })
	if err != nil {
		return errInvalidJWT
	}
	_, critical := parsed.Header["crit"] // extensions that must be understood (RFC 7515 section 4.1.11)
	_, expires := claims["exp"]
	switch {
	case critical, expires, truthy(claims["aud"]), !isName(claims, "jti"), !isName(claims, "sub"):
		return errInvalidJWT
	case (truthy(claims["p"]) || truthy(claims["s"])) && !truthy(claims["w"]):
		return errJWTScope
	case !truthy(claims["ad"]):
		return errNotAdmin
	}
	return nil
}

// isName tells whether a claim is absent or a string.
func isName(claims jwt.MapClaims, name string) bool {
	value, ok := claims[name]
	_, isString := value.(string)
	return !ok || isString
}

// truthy tells whether Python takes a JSON value for true.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}
