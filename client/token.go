package client

import (
	"fmt"
	"log/slog"
)

const hidden = "[secret]"

// Token is an API key's secret. No verb, logger or encoder shows it; Reveal is the one way to it. Tokens cannot be
// compared: compare what they reveal.
type Token struct {
	value func() string // a function, since fmt prints fields by reflection for %p and within other structs
}

// NewToken wraps a token.
func NewToken(token string) Token {
	if token == "" {
		return Token{}
	}
	return Token{func() string { return token }}
}

// Reveal returns the token, empty for the zero Token.
func (t Token) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.value()
}

// IsZero tells that there is no token.
func (t Token) IsZero() bool { return t.value == nil }

// String returns "[secret]".
func (t Token) String() string { return hidden }

// GoString returns "[secret]".
func (t Token) GoString() string { return hidden }

// Format writes "[secret]" whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue returns "[secret]".
func (t Token) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns "[secret]", so that encoders cannot show the token.
func (t Token) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// UnmarshalText takes the token from an answer of the server.
func (t *Token) UnmarshalText(text []byte) error {
	*t = NewToken(string(text))
	return nil
}
