package honcho

import (
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf16"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"keyledger/ledger"
)

// tokenHeader is the header of every token.
const tokenHeader = `{"alg":"HS256","typ":"JWT"}`

// stamp is how times stand in claims: whole seconds in UTC.
const stamp = "2006-01-02T15:04:05Z"

// mint makes the key's token: a JWT (RFC 7519) with HMAC-SHA-256 (RFC 7518 section 3.2). What makes it unlike every
// other one is the id of the key in it, not the random bits, for which Honcho has no claim: it is the secret alone that
// keeps others from making it.
func (g *grant) mint(secret []byte) ledger.Mint {
	return func(id uuid.UUID, _ [32]byte) (string, error) {
		encoding := base64.RawURLEncoding
		text := encoding.EncodeToString([]byte(tokenHeader)) + "." + encoding.EncodeToString(g.claims(id))
		signature, err := jwt.SigningMethodHS256.Sign(text, secret)
		if err != nil {
			return "", err
		}
		return text + "." + encoding.EncodeToString(signature), nil
	}
}

// claims are the claims of the token as JSON: Honcho's, in its order, and the id of the key as "jti", which it lets pass.
func (g *grant) claims(id uuid.UUID) []byte {
	second, _ := id.Time().UnixTime()
	made, key := time.Unix(second, 0).UTC().Format(stamp), id.String()
	var expires *string
	if g.expires != nil {
		at := g.expires.Format(stamp)
		expires = &at
	}
	b := []byte{'{'}
	for _, claim := range [...]struct {
		name  string
		value *string
	}{{"t", &made}, {"exp", expires}, {"w", g.workspace}, {"p", g.peer}, {"s", g.session}, {"jti", &key}} {
		if claim.value == nil {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendASCII(b, claim.name), ':')
		b = appendASCII(b, *claim.value)
	}
	return append(b, '}')
}

// appendASCII appends a JSON string in which everything but printable ASCII is escaped.
func appendASCII(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= ' ' && r < 0x7f:
			b = append(b, byte(r))
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		}
	}
	return append(b, '"')
}
