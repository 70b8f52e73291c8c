package projections

import (
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"keyledger/ledger"
)

// historyView holds the sequences of a key's events but for its last one, which is the sequence of the key: so a key
// that is created and not changed takes nothing.
func (v *Views) historyView() view {
	return view{name: "history", version: 1, prefixes: string(historyPrefix), apply: applyHistory}
}

func applyHistory(b *pebble.Batch, c *change) error {
	if !c.key || c.created() {
		return nil
	}
	return b.Set(historyKey(c.after.ID, c.before.Sequence), nil, nil)
}

func historyKey(id uuid.UUID, sequence uint64) []byte {
	key := append([]byte{historyPrefix}, id[:]...)
	return binary.BigEndian.AppendUint64(key, sequence)
}

// History returns up to limit sequences of a key's events that are >= from, in order.
func (v *Views) History(ctx context.Context, key uuid.UUID, from uint64, limit int) (sequences []uint64, err error) {
	// The key is read first: should an event come in between, its sequence is found again among the older ones.
	var k ledger.Key
	if ok, err := v.stored(key, &k); err != nil || !ok {
		return nil, err
	}
	prefix := append([]byte{historyPrefix}, key[:]...)
	it, err := v.iterate(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer closeIterator(it, &err)
	for it.SeekGE(historyKey(key, from)); it.Valid() && len(sequences) < limit; it.Next() {
		sequences = append(sequences, binary.BigEndian.Uint64(it.Key()[len(prefix):]))
	}
	last := len(sequences) - 1
	if len(sequences) < limit && k.Sequence >= from && (last < 0 || sequences[last] < k.Sequence) {
		sequences = append(sequences, k.Sequence)
	}
	return sequences, nil
}
