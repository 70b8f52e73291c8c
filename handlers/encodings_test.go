package handlers_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// encodings is how a text might be found in bytes. Of base64, which depends on where the text begins, the middle.
func encodings(text string) map[string]string {
	sum := sha256.Sum256([]byte(text))
	list := map[string]string{
		"clear":             text,
		"hex":               hex.EncodeToString([]byte(text)),
		"SHA-256 in hex":    hex.EncodeToString(sum[:]),
		"SHA-256 in base64": base64.StdEncoding.EncodeToString(sum[:])[:40],
	}
	for shift, name := range []string{"base64", "base64, shifted by 1", "base64, shifted by 2"} {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), text...))
		list[name] = encoded[4 : len(encoded)-4]
	}
	return list
}
