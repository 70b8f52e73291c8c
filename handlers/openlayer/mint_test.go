package openlayer

import (
	"bytes"
	"testing"

	"github.com/google/uuid"
)

// A token is the random number's lowest 28 digits in base 62, whatever they are.
func TestMint(t *testing.T) {
	for low, want := range map[byte]string{0: "sk-ol-0000000000000000000000000000", 62: "sk-ol-0000000000000000000000000010"} {
		isMinted(t, [32]byte{31: low}, want)
	}
	isMinted(t, [32]byte(bytes.Repeat([]byte{0xff}, 32)), "sk-ol-yMhwzwM8llg7hJNUca2J5RoW8xP1")
}

func isMinted(t *testing.T, random [32]byte, want string) {
	t.Helper()
	for _, id := range []uuid.UUID{uuid.Nil, uuid.Max} {
		if got, err := mint(id, random); err != nil || got != want {
			t.Errorf("%x gives %q, %v, want %q", random, got, err, want)
		}
	}
}
