package handlers

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// keys are what is derived from the server's secret, each for one purpose (HKDF, RFC 5869).
type keys struct {
	secret []byte
	cursor []byte // MAC of cursors
	name   []byte // MAC that names what is remembered of an idempotency key
	input  []byte // MAC of requests
}

func deriveKeys(secret []byte) (*keys, error) {
	k := &keys{secret: secret}
	for purpose, key := range map[string]*[]byte{"cursor": &k.cursor, "memo name": &k.name, "memo request": &k.input} {
		var err error
		if *key, err = k.derive(purpose, keyLength, nil); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// keyLength is that of a key, in bytes.
const keyLength = 32

// derive gives bytes for a purpose, from the server's secret and from what else must be known to derive them.
func (k *keys) derive(purpose string, length int, salt []byte, known ...string) ([]byte, error) {
	material := appendField(nil, string(k.secret))
	for _, part := range known {
		material = appendField(material, part)
	}
	key, err := hkdf.Key(sha256.New, material, salt, "keyledger "+purpose, length)
	if err != nil {
		return nil, fmt.Errorf("handlers: derive a key: %w", err)
	}
	return key, nil
}

// mac is the HMAC-SHA256 of parts, each with its length before it.
func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range parts {
		h.Write(appendField(nil, part))
	}
	return h.Sum(nil)
}

// seal encrypts text and authenticates it with header: a random nonce, then AES-256-GCM.
func seal(key, text, header []byte) ([]byte, error) {
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(text)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("handlers: seal: %w", err)
	}
	return aead.Seal(nonce, nonce, text, header), nil
}

// unseal is the inverse of seal.
func unseal(key, sealed, header []byte) ([]byte, error) {
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("handlers: a sealed answer is too short")
	}
	text, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], header)
	if err != nil {
		return nil, fmt.Errorf("handlers: open a sealed answer: %w", err)
	}
	return text, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("handlers: %w", err)
	}
	return cipher.NewGCM(block)
}
