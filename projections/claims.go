package projections

import (
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"keyledger/events"
	"keyledger/ledger"
)

// claimView holds the state of every claim that was ever taken: the sequence of its last event and, while it is held,
// the holder behind it.
func (v *Views) claimView() view {
	return view{name: "claims", version: 1, prefixes: string(claimPrefix), apply: applyClaim}
}

func applyClaim(b *pebble.Batch, c *change) error {
	state := binary.BigEndian.AppendUint64(nil, c.event.Sequence)
	switch p := c.event.Payload.(type) {
	case *events.Claim:
		state = append(append(state, 1), p.Holder...)
		return b.Set(claimKey(p.Kind, p.Hash), state, nil)
	case *events.Release:
		return b.Set(claimKey(p.Kind, p.Hash), append(state, 0), nil)
	}
	return nil
}

func claimKey(kind, hash string) []byte { return appendTexts([]byte{claimPrefix}, kind, hash) }

// Claim returns the state of a claim: held, and the sequence of the last message on its subject (0: none).
func (v *Views) Claim(_ context.Context, kind, hash string) (c ledger.ClaimState, err error) {
	_, err = v.get(claimKey(kind, hash), func(value []byte) error {
		if len(value) < 9 {
			return errDamaged
		}
		c = ledger.ClaimState{
			Sequence: binary.BigEndian.Uint64(value),
			Held:     value[8] == 1,
			Holder:   string(value[9:]),
		}
		return nil
	})
	return c, err
}

// appendTexts appends strings, each with its length before it, so that no two lists of strings give the same bytes.
func appendTexts(dst []byte, texts ...string) []byte {
	for _, s := range texts {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return dst
}
