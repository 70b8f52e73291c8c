package ledger_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"keyledger/ledger"
)

// base62 is a number in the digits of a token, by arithmetic of its own.
func base62(n *big.Int, width int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var out []byte
	for range width {
		var rest big.Int
		n, _ = new(big.Int).DivMod(n, big.NewInt(62), &rest)
		out = append([]byte{digits[rest.Int64()]}, out...)
	}
	return string(out)
}

func TestMintToken(t *testing.T) {
	for _, c := range []struct{ prefix, environment, start string }{
		{"kl", ledger.Live, "kl_"},
		{"kl", ledger.Test, "kl_test_"},
		{"a_b9_", ledger.Live, "a_b9__"},
		{"0123456789abcdef", ledger.Test, "0123456789abcdef_test_"},
	} {
		rapid.Check(t, func(t *rapid.T) {
			entropy := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "entropy")
			secret, err := ledger.MintToken(bytes.NewReader(entropy), c.prefix, c.environment)
			if err != nil {
				t.Fatal(err)
			}
			want := c.start + base62(new(big.Int).SetBytes(entropy), 43)
			want += base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(want)))), 6)
			if got := secret.Reveal(); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
			if ledger.MalformedToken(want, c.prefix) {
				t.Fatalf("%s is malformed", want)
			}
			if d := secret.Digest(); d != sha256.Sum256([]byte(want)) {
				t.Fatalf("digest %x", d)
			}
			body := want[len(c.start):]
			if got, want := secret.Hint(), c.start+body[:4]+"…"+body[45:]; got != want {
				t.Fatalf("the hint is %s, want %s", got, want)
			}
		})
	}
}

// The extremes are written down, so that the form can never change unseen.
func TestMintTokenGolden(t *testing.T) {
	for _, c := range []struct {
		entropy byte
		want    string
	}{
		{0x00, "kl_test_00000000000000000000000000000000000000000002hSBiI"},
		{0xff, "kl_test_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp112fTp0"},
	} {
		secret, err := ledger.MintToken(bytes.NewReader(bytes.Repeat([]byte{c.entropy}, 32)), "kl", ledger.Test)
		if err != nil || secret.Reveal() != c.want {
			t.Errorf("got %s, %v, want %s", secret.Reveal(), err, c.want)
		}
	}
}

func TestMintTokenRefuses(t *testing.T) {
	for _, prefix := range []string{"", "KL", "k-l", "k l", "é", "0123456789abcdefg"} {
		if _, err := ledger.MintToken(rand.Reader, prefix, ledger.Live); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
	if _, err := ledger.MintToken(rand.Reader, "kl", "prod"); ledger.CodeOf(err) != ledger.CodeInvalid {
		t.Errorf("environment prod: %v", err)
	}
	short := io.LimitReader(rand.Reader, 31)
	if s, err := ledger.MintToken(short, "kl", ledger.Live); err == nil || !s.IsZero() {
		t.Errorf("a token of 31 bytes: %v", err)
	}
	if _, err := ledger.MintToken(iotest.ErrReader(io.ErrClosedPipe), "kl", ledger.Live); err == nil {
		t.Error("a token without randomness")
	}
}

func TestMalformedToken(t *testing.T) {
	native := mint()
	for _, token := range []string{
		native,
		strings.Repeat("x", 16),
		strings.Repeat("~", 4096),
		"kl_" + strings.Repeat("x", 48),   // one short of the form
		"kl_" + strings.Repeat("x", 50),   // one more than the form
		"KL" + native[2:],                 // another prefix
		"kl-" + native[3:],                // another separator
		native[:20] + "-" + native[21:],   // another alphabet
		"kl_prod_" + native[3:],           // another form
		"k" + native,                      // another prefix
		strings.Repeat("0123456789ab", 5), // hexadecimal
	} {
		if ledger.MalformedToken(token, "kl") {
			t.Errorf("%q is malformed", token)
		}
	}
	for _, token := range []string{
		"", "short", strings.Repeat("x", 15), strings.Repeat("x", 4097),
		native + "\n", native[:20] + " " + native[20:], native + "é", "\x00" + native, native + "\x7f",
		"kl_" + strings.Repeat("x", 49),
		"kl_test_" + native[3:], // the checksum is over the prefix too
	} {
		if !ledger.MalformedToken(token, "kl") {
			t.Errorf("%q is not malformed", token)
		}
	}
}

// mint is a native token of the live environment.
func mint() string {
	secret, err := ledger.MintToken(rand.Reader, "kl", ledger.Live)
	if err != nil {
		panic(err)
	}
	return secret.Reveal()
}

func TestEveryTypoIsMalformed(t *testing.T) {
	native := mint()
	for i := len("kl_"); i < len(native); i++ {
		for _, c := range "0AaZz9" {
			typo := native[:i] + string(c) + native[i+1:]
			if got := ledger.MalformedToken(typo, "kl"); got != (typo != native) {
				t.Fatalf("%q, a typo of %q: malformed %v", typo, native, got)
			}
		}
	}
}

func TestHintShowsAtMostEightCharacters(t *testing.T) {
	for _, token := range []string{
		"kl_live_abcdefghijklmnopqrstuvwxyz0123456789", // looks native, is not
		"kl_" + strings.Repeat("x", 49),                // native form, wrong checksum
		"sk-ol-abcdefghijklmnopqrstuvwxyz01",
		strings.Repeat("a", 16) + "_" + strings.Repeat("b", 49),
		strings.Repeat("_", 64),
	} {
		want := token[:4] + "…" + token[len(token)-4:]
		if got := ledger.NewSecret(token).Hint(); got != want {
			t.Errorf("the hint of %q is %q, want %q", token, got, want)
		}
	}
	for _, token := range []string{"", "short", "fifteen-letters"} {
		if got := ledger.NewSecret(token).Hint(); got != "…" {
			t.Errorf("the hint of %q is %q", token, got)
		}
	}
}

func TestTokenChecksDoNotAllocate(t *testing.T) {
	native := mint()
	foreign := strings.Repeat("x", 64)
	if n := testing.AllocsPerRun(100, func() {
		ledger.MalformedToken(native, "kl")
		ledger.MalformedToken(foreign, "kl")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzMalformedToken(f *testing.F) {
	f.Add(mint(), "kl")
	f.Add("kl_test_", "kl")
	f.Add("", "")
	native := regexp.MustCompile(`^kl(_test)?_[0-9A-Za-z]{49}$`)
	f.Fuzz(func(t *testing.T, token, prefix string) {
		ledger.MalformedToken(token, prefix)
		hint := ledger.NewSecret(token).Hint()
		if len(token) >= 32 && strings.Contains(hint, token) {
			t.Fatalf("the hint of %q is all of it", token)
		}
		if native.MatchString(token) && !ledger.MalformedToken(token, "kl") {
			sum := base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(token[:len(token)-6])))), 6)
			if token[len(token)-6:] != sum {
				t.Fatalf("%q passes with the checksum %s", token, sum)
			}
		}
	})
}

func BenchmarkMalformedToken(b *testing.B) {
	native := mint()
	b.ReportAllocs()
	for b.Loop() {
		if ledger.MalformedToken(native, "kl") {
			b.Fatal("malformed")
		}
	}
}

func BenchmarkMintToken(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ledger.MintToken(rand.Reader, "kl", ledger.Live); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleMintToken() {
	token, err := ledger.MintToken(bytes.NewReader(make([]byte, 32)), "kl", ledger.Live)
	fmt.Println(token, err)
	fmt.Println(token.Reveal())
	fmt.Println(token.Hint())
	// Output:
	// [secret] <nil>
	// kl_00000000000000000000000000000000000000000004GF5EY
	// kl_0000…F5EY
}
