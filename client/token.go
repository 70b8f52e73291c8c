package client

import (
	"fmt"
	"log/slog"
)

const hidden = "[secret]"

// Token is an API key's secret. No verb, logger or encoder shows it; Reveal is the one way to it.
type Token struct{ value string }

// NewToken wraps a token.
func NewToken(token string) Token { return Token{token} }

// Reveal returns the token.
func (t Token) Reveal() string { return t.value }

// IsZero tells that there is no token.
func (t Token) IsZero() bool { return t.value == "" }

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
	t.value = string(text)
	return nil
}
