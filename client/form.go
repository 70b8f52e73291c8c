package client

import (
	"encoding/binary"
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
// outside 16 to 4096 printable ASCII characters. It does not allocate. What is right is found so quickly.
func malformed(token, prefix string) bool {
	if body, ok := bodyOf(token, prefix); ok {
		if checksumHolds(token) {
			return !isVisible(token)
		}
		if isBase62(body) {
			return true
		}
	}
	return len(token) < shortestToken || len(token) > longestToken || !isVisible(token)
}

// bodyOf gives what is behind the prefix of a token that is as long as a minted one.
func bodyOf(token, prefix string) (body string, ok bool) {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok {
		return "", false
	}
	body, ok = strings.CutPrefix(strings.TrimPrefix(rest, testMark), "_")
	return body, ok && len(body) == bodyDigits
}

func isBase62(s string) bool {
	for i := range len(s) {
		c := s[i]
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

// isVisible tells that s is of printable ASCII without space. It looks at eight bytes at a time: a byte's highest bit
// ends up set when the byte is below '!', or above '~'. Borrows go from a byte that is below, so none is overlooked.
func isVisible(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	b := lend(s)
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		if (w|(w-'!'*ones)|(w+ones))&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// lend gives the bytes of s without copying them. They must not be changed.
func lend(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
