package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Signature types of signed notes: of a verifier key, and in what its key id is made of.
const (
	typeEd25519     = 1
	typeCosignature = 4 // Ed25519, cosignature/v1
)

// Witness is a witness that is asked for cosignatures.
type Witness struct {
	name string // of its key
	url  string // of add-checkpoint
	key  *verifier
}

// Parse reads <verifier key>=<URL>: the key in the form of signed notes, of type 4 or 1, and the submission prefix.
func Parse(text string) (*Witness, error) {
	i := max(strings.Index(text, "=http://"), strings.Index(text, "=https://"))
	if i < 0 {
		return nil, errors.New("not a verifier key, =, and a URL that begins with https:// or http://")
	}
	key, err := newVerifier(text[:i])
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text[i+1:])
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("the URL of %s must have a host, and no user, query or fragment", key.name)
	}
	return &Witness{name: key.name, url: u.JoinPath("add-checkpoint").String(), key: key}, nil
}

// Name is the name of the witness's key.
func (w *Witness) Name() string { return w.name }

// verifier verifies the cosignatures of a witness. It is a note.Verifier.
type verifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// newVerifier reads a verifier key. One of type 1 is taken for the same key with type 4, as witnesses publish both.
func newVerifier(text string) (*verifier, error) {
	bad := func(why string) error { return fmt.Errorf("%q is no verifier key of a witness: %s", text, why) }
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 {
		return nil, bad("it must be a name, a hash and a key, with + between them")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != typeEd25519 && raw[0] != typeCosignature {
		return nil, bad("its key must be an Ed25519 key of type 4 or 1 in base64")
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil || len(parts[1]) != 8 || uint32(hash) != keyHash(parts[0], raw) {
		return nil, bad("its hash is not that of its name and its key")
	}
	if parts[0] == "" || strings.ContainsFunc(parts[0], notInName) {
		return nil, bad("its name must be without spaces")
	}
	v := &verifier{name: parts[0], key: raw[1:]}
	v.hash = keyHash(v.name, append([]byte{typeCosignature}, v.key...))
	return v, nil
}

// notInName tells of characters that the name of a key cannot have.
func notInName(r rune) bool { return unicode.IsSpace(r) || r == utf8.RuneError }

// keyHash is the id of a key (C2SP signed-note).
func keyHash(name string, key []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return binary.BigEndian.Uint32(sum[:])
}

func (v *verifier) Name() string    { return v.name }
func (v *verifier) KeyHash() uint32 { return v.hash }

// Verify verifies a timestamp and the signature of that and of the text of a note (C2SP tlog-cosignature).
func (v *verifier) Verify(text, signature []byte) bool {
	const stamp = 8
	if len(signature) != stamp+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(signature)
	if at > math.MaxInt64 {
		return false
	}
	message := append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
	return ed25519.Verify(v.key, message, signature[stamp:])
}
