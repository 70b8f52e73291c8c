package client

import (
	"crypto/sha256"
	"testing"
)

// benchTokens are those of filled, in a random order.
func benchTokens(n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		_, tokens[i*7919%n] = numbered(i)
	}
	return tokens
}

func BenchmarkVerify(b *testing.B) {
	const keys = 200_000
	v := readyVerifier(filled(keys))
	tokens := benchTokens(keys)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if d, err := v.Verify(tokens[i%keys]); err != nil || d.Code != Valid {
			b.Fatal(d.Code, err)
		}
		i++
	}
}

// BenchmarkPlainMap is what Verify is compared with.
func BenchmarkPlainMap(b *testing.B) {
	const keys = 200_000
	tokens := benchTokens(keys)
	entries := make(map[[32]byte][48]byte, keys) // the rest of a record
	for i := range tokens {
		entries[sha256.Sum256([]byte(tokens[i]))] = [48]byte{1}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if e := entries[sha256.Sum256(lend(tokens[i%keys]))]; e[0] != 1 {
			b.Fatal("not found")
		}
		i++
	}
}
