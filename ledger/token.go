package ledger

import (
	"io"
)

// Secret is a token. It cannot be printed, logged or marshalled by accident: every verb and encoder gives "[secret]".
type Secret struct{ value string }

// NewSecret wraps a token.
func NewSecret(token string) Secret { return Secret{token} }

// Reveal returns the token: the one way to it.
func (s Secret) Reveal() string { return s.value }

// Digest is the SHA-256 of the token.
func (s Secret) Digest() Digest { panic("not implemented") }

// Hint is a few visible characters of the token.
func (s Secret) Hint() string { panic("not implemented") }

// MintToken makes a native token: <prefix>_[test_]<43 base62 of 256 bits from random><6 base62 of CRC-32>.
func MintToken(random io.Reader, prefix, environment string) (Secret, error) {
	panic("not implemented")
}

// MalformedToken tells that token has the form of a native one under prefix but its checksum is wrong, or that it is
// outside 16 to 4096 printable ASCII characters: it cannot be in the ledger.
func MalformedToken(token, prefix string) bool { panic("not implemented") }
