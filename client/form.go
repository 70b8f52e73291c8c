package client

import (
	"hash/crc32"
	"strings"
	"unsafe"
)

// The form of a minted token: <prefix>_[test_]<43 base62 of 256 random bits><6 base62 of CRC-32 (IEEE 802.3)>.
const (
	base62     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	bodyDigits = 43 + crcDigits
	crcDigits  = 6
	testMark   = "_test"

	shortestToken = 16 // of any token that may be looked up
	longestToken  = 4096
)

// malformed tells that a token cannot be in the ledger: it is a minted one under prefix with a wrong checksum, or is
// outside 16 to 4096 printable ASCII characters. It does not allocate.
func malformed(token, prefix string) bool {
	if isMinted(token, prefix) {
		return !checksumHolds(token)
	}
	return len(token) < shortestToken || len(token) > longestToken || !isVisible(token)
}

// isMinted tells whether a token has the form of a minted one, whatever its checksum.
func isMinted(token, prefix string) bool {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok {
		return false
	}
	body, ok := strings.CutPrefix(strings.TrimPrefix(rest, testMark), "_")
	if !ok || len(body) != bodyDigits {
		return false
	}
	for i := range len(body) {
		c := body[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func checksumHolds(token string) bool {
	payload := token[:len(token)-crcDigits]
	sum := crc32.ChecksumIEEE(lend(payload))
	for i := len(token) - 1; i >= len(payload); i-- {
		if token[i] != base62[sum%uint32(len(base62))] {
			return false
		}
		sum /= uint32(len(base62))
	}
	return true
}

func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// lend gives the bytes of s without copying them. They must not be changed.
func lend(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
