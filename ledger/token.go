package ledger

import (
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"strings"
)

// The form of a native token:
//
//	<prefix>_<43 characters><6 characters>        kl_… in the live environment
//	<prefix>_test_<43 characters><6 characters>   kl_test_… in the test environment
//
// The 43 characters are 256 random bits as a number in base 62 (digits 0-9A-Za-z, most significant first, padded with
// 0); the 6 are the CRC-32 (IEEE 802.3) of everything before them, in the same base. So a mistyped token is recognised
// without a look-up, and secret scanners have one grammar.
const (
	digits       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomDigits = 43 // 62^43 > 2^256
	crcDigits    = 6  // 62^6 > 2^32
	bodyDigits   = randomDigits + crcDigits
	testMark     = "_test"
	maxPrefix    = 16

	shortestToken = 16   // of any token that may be looked up
	longestToken  = 4096 // of any token that may be looked up
	hintDigits    = 4    // shown of the start and of the end of a token
)

// CheckPrefix refuses a prefix of native tokens that is not 1 to 16 characters of a-z, 0-9 and _.
func CheckPrefix(prefix string) error {
	if !isPrefix(prefix) {
		return invalid("prefix", "must be 1 to %d characters of a-z, 0-9 and _", maxPrefix)
	}
	return nil
}

func isPrefix(prefix string) bool {
	return len(prefix) > 0 && len(prefix) <= maxPrefix &&
		strings.Trim(prefix, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// MintToken makes a native token: <prefix>_[test_]<43 base62 of 256 bits from random><6 base62 of CRC-32>.
func MintToken(random io.Reader, prefix, environment string) (Secret, error) {
	if err := CheckPrefix(prefix); err != nil {
		return Secret{}, err
	}
	if err := checkEnvironment(environment); err != nil {
		return Secret{}, err
	}
	var entropy [32]byte
	if _, err := io.ReadFull(random, entropy[:]); err != nil {
		return Secret{}, fmt.Errorf("ledger: mint a token: %w", err)
	}
	token := make([]byte, 0, maxPrefix+1+len(testMark)+bodyDigits)
	token = append(token, prefix...)
	if environment == Test {
		token = append(token, testMark...)
	}
	token = append(token, '_')
	token = appendRandom(token, &entropy)
	token = appendCRC(token, crc32.ChecksumIEEE(token))
	return NewSecret(string(token)), nil
}

// appendRandom appends a 256-bit big-endian number as randomDigits digits.
func appendRandom(b []byte, entropy *[32]byte) []byte {
	var words [4]uint64
	for i, c := range entropy {
		words[i/8] = words[i/8]<<8 | uint64(c)
	}
	var out [randomDigits]byte
	for i := range out {
		var rest uint64
		for w := range words {
			words[w], rest = bits.Div64(rest, words[w], uint64(len(digits)))
		}
		out[len(out)-1-i] = digits[rest]
	}
	return append(b, out[:]...)
}

// appendCRC appends a checksum as crcDigits digits.
func appendCRC(b []byte, sum uint32) []byte {
	var out [crcDigits]byte
	for i := range out {
		out[len(out)-1-i] = digits[sum%uint32(len(digits))]
		sum /= uint32(len(digits))
	}
	return append(b, out[:]...)
}

// MalformedToken tells that token has the form of a native one under prefix but its checksum is wrong, or that it is
// outside 16 to 4096 printable ASCII characters: it cannot be in the ledger. It does not allocate.
func MalformedToken(token, prefix string) bool {
	if isNative(token, prefix) {
		return !checksumHolds(token)
	}
	return len(token) < shortestToken || len(token) > longestToken || !isVisible(token)
}

// isNative tells whether token has the form of a native one under prefix, whatever its checksum.
func isNative(token, prefix string) bool {
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

// checksumHolds tells whether the last six characters of token are the checksum of what is before them.
func checksumHolds(token string) bool {
	payload := token[:len(token)-crcDigits]
	sum := crc32.ChecksumIEEE(lend(payload))
	var want [crcDigits]byte
	return token[len(payload):] == string(appendCRC(want[:0], sum))
}

// EndsAsMinted tells whether text ends as a native token does, under whatever prefix: then it most likely is one.
func EndsAsMinted(text string) bool { return len(text) > bodyDigits && checksumHolds(text) }

// hint is what may be seen of a token: the first and the last four characters, with the prefix before them when the
// checksum proves it a native one. Of any other token everything may be secret: of a short one, or one that is not plain
// ASCII, nothing is shown.
func hint(token string) string {
	prefix := ""
	if at := len(token) - bodyDigits; at > 0 && token[at-1] == '_' {
		name := strings.TrimSuffix(token[:at-1], testMark)
		if isPrefix(name) && isNative(token, name) && checksumHolds(token) {
			prefix = token[:at]
		}
	}
	rest := token[len(prefix):]
	if len(rest) < MinToken || !isVisible(rest) {
		return prefix + "…"
	}
	return prefix + rest[:hintDigits] + "…" + rest[len(rest)-hintDigits:]
}

// checkShortToken refuses a brought secret that is not 1 to MaxToken bytes of UTF-8 without control characters.
func checkShortToken(token string) error {
	switch {
	case len(token) > MaxToken:
		return invalid("token", "must be at most %d bytes", MaxToken)
	case !isText(token):
		return invalid("token", "must be UTF-8 without control characters")
	}
	return nil
}

// checkToken refuses a brought token that is not MinToken to MaxToken printable ASCII characters without spaces, or
// that a verification would take for a mistyped native one.
func checkToken(token, prefix string) error {
	switch {
	case len(token) < MinToken || len(token) > MaxToken:
		return invalid("token", "must be %d to %d characters", MinToken, MaxToken)
	case !isVisible(token):
		return invalid("token", "must be printable ASCII without spaces")
	case MalformedToken(token, prefix):
		return invalid("token", "looks like a token of this ledger, but its checksum is wrong")
	}
	return nil
}
