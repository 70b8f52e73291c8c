package ledger

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/uuid"

	"keyledger/events"
)

// TestStoredBoxes holds the bytes that are in ledgers: how secrets follow from that of a workspace, and boxes from them. They
// never change.
func TestStoredBoxes(t *testing.T) {
	const subject = "ledger.acme.~.~.01978d2c-8f00-7a00-8000-000000000001"
	root := node{1, 2, 3}
	key := boxKey{generation: 1, mark: [ringMark]byte{0xca, 0xfe}, leaf: root.leaf(wayOf(subject), 0)}
	m := events.Message{
		Header:  events.Header{ID: uuid.MustParse("01978d2c-8f00-7b00-8000-0000000000e1"), Type: events.KeyCreated},
		Subject: subject,
	}
	s := events.Sealed{Present: 16, Generation: 1}
	var err error
	if s.Box, err = key.seal(header(&m, &s), []byte("Ada Lovelace")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ got, want string }{
		"leaf": {hex.EncodeToString(key.leaf[:]), storedLeaf},
		"box":  {hex.EncodeToString(s.Box), storedBox},
	} {
		if test.got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, test.got, test.want)
		}
	}
	if plain, err := key.open(header(&m, &s), s.Box); err != nil || string(plain) != "Ada Lovelace" {
		t.Errorf("%q %v", plain, err)
	}
	for name, forge := range map[string]func(*events.Message, *events.Sealed, *boxKey){
		"of another event":   func(m *events.Message, _ *events.Sealed, _ *boxKey) { m.ID[0]++ },
		"of another type":    func(m *events.Message, _ *events.Sealed, _ *boxKey) { m.Type = events.KeyUpdated },
		"of another subject": func(m *events.Message, _ *events.Sealed, _ *boxKey) { m.Subject += "x" },
		"another presence":   func(_ *events.Message, s *events.Sealed, _ *boxKey) { s.Present = 17 },
		"another key":        func(_ *events.Message, _ *events.Sealed, k *boxKey) { k.leaf[0]++ },
		"a flipped bit":      func(_ *events.Message, s *events.Sealed, _ *boxKey) { s.Box[20] ^= 1 },
		"cut short":          func(_ *events.Message, s *events.Sealed, _ *boxKey) { s.Box = s.Box[:10] },
	} {
		m, s, key := m, s, key
		s.Box = append([]byte(nil), s.Box...)
		forge(&m, &s, &key)
		if plain, err := key.open(header(&m, &s), s.Box); !errors.Is(err, events.ErrForged) {
			t.Errorf("%s: %q %v", name, plain, err)
		}
	}
}

const (
	storedLeaf = "fc04a87b83a8ee0f82102de6ec23c67b97218a3e2a7a1b937094e0275b0fc449"
	storedBox  = "cafe0000a00eff25ea1763243e2807f1edd5eafc6921fee4ef8324282230f78d393059d309ba06818a9a7ea8"
)
