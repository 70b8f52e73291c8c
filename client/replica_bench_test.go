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
	type entry struct {
		id                   [16]byte
		expires, notBefore   int64
		flags, owner, scopes uint32
	}
	entries := make(map[[32]byte]entry, keys)
	for i := range tokens {
		entries[sha256.Sum256([]byte(tokens[i]))] = entry{flags: 1}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if e := entries[sha256.Sum256(lend(tokens[i%keys]))]; e.flags != 1 {
			b.Fatal("not found")
		}
		i++
	}
}
