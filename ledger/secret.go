package ledger

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"unsafe"
)

// hidden is what is shown of a Secret.
const hidden = "[secret]"

// Secret is a token. It cannot be printed, logged or marshalled by accident: every verb and encoder gives "[secret]".
// The zero Secret is no token.
//
// The token lives in a function, not in a field: what prints by reflection (fmt below an unexported field, %p, a
// debugger's dump) finds an address.
type Secret struct{ reveal func() string }

// NewSecret wraps a token. An empty one gives the zero Secret.
func NewSecret(token string) Secret {
	if token == "" {
		return Secret{}
	}
	return Secret{func() string { return token }}
}

// Reveal returns the token: the one way to it. It is empty for the zero Secret.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero tells that there is no token.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Digest is the SHA-256 of the token.
func (s Secret) Digest() Digest { return digest(s.Reveal()) }

// digest is the SHA-256 of a token.
func digest(token string) Digest { return sha256.Sum256(lend(token)) }

// lend gives the bytes of s without a copy, to those who only read them.
func lend(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Hint is a few visible characters of the token: the first and the last four, after its prefix when it is a native one.
func (s Secret) Hint() string { return hint(s.Reveal()) }

// Format implements fmt.Formatter for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// String implements fmt.Stringer.
func (s Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return hidden }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler: XML, YAML, flags, map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON implements json.Marshaler, of encoding/json and of its successor.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// MarshalBinary implements encoding.BinaryMarshaler: gob and msgpack.
func (s Secret) MarshalBinary() ([]byte, error) { return []byte(hidden), nil }
