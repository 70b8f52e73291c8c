package client

import (
	"hash/crc32"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestForms: a token is malformed by the rule as it is written down, one byte at a time.
func TestForms(t *testing.T) {
	visible := func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	}
	checksum := func(s string) string {
		sum := crc32.ChecksumIEEE([]byte(s))
		digits := ""
		for range crcDigits {
			digits = string(base62[sum%62]) + digits
			sum /= 62
		}
		return digits
	}
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"kl", "kl_test", "a_b"}).Draw(t, "prefix")
		payload := prefix + rapid.SampledFrom([]string{"_", "_test_"}).Draw(t, "mark") +
			rapid.StringMatching(`[0-9A-Za-z]{43}`).Draw(t, "random")
		minted := payload + checksum(payload)
		if malformed(minted, prefix) {
			t.Fatalf("%q is malformed", minted)
		}
		at := rapid.IntRange(len(prefix)+6, len(minted)-1).Draw(t, "at")
		b := []byte(minted)
		b[at] = rapid.Byte().Draw(t, "typo")
		typo := string(b)
		if typo != minted && malformed(typo, prefix) != (isBase62(typo[at:at+1]) || !visible(typo)) {
			t.Fatalf("%q: malformed is %v", typo, malformed(typo, prefix))
		}
		other := string(rapid.SliceOfN(rapid.ByteRange(0x1e, 0x82), 0, 40).Draw(t, "other"))
		if got := isVisible(other); got != visible(strings.ToValidUTF8(other, "\x7f")) {
			t.Fatalf("%q: visible is %v", other, got)
		}
		if malformed(other, prefix) != (len(other) < 16 || !isVisible(other)) {
			t.Fatalf("%q: malformed is %v", other, malformed(other, prefix))
		}
	})
}
