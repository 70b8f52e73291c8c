package projections

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"keyledger/ledger"
)

const digestViewName = "digests"

// digestView leads from a digest to the key that has it, or had it before its last rotation. With the table in memory,
// which finds keys by digest itself, there is no such view.
func (v *Views) digestView() view {
	return view{name: digestViewName, version: 1, prefixes: string(digestPrefix), apply: v.applyDigests}
}

func (v *Views) applyDigests(b *pebble.Batch, c *change) error {
	if !c.key {
		return nil
	}
	before := [2]ledger.Digest{c.before.Digest, c.before.PreviousDigest}
	after := [2]ledger.Digest{c.after.Digest, c.after.PreviousDigest}
	if before == after {
		return nil
	}
	for _, d := range before {
		if d == (ledger.Digest{}) || d == after[0] || d == after[1] {
			continue
		}
		if err := b.Delete(digestKey(d), nil); err != nil {
			return err
		}
	}
	for _, d := range after {
		if d == (ledger.Digest{}) {
			continue
		}
		if err := b.Set(digestKey(d), c.after.ID[:], nil); err != nil {
			return err
		}
	}
	return nil
}

// storedByDigest sets k to the key that a digest leads to.
func (v *Views) storedByDigest(d ledger.Digest, k *ledger.Key) (ok bool, err error) {
	id, ok, err := v.idByDigest(digestKey(d))
	if err != nil || !ok {
		return false, err
	}
	return v.storedWithUse(id, k)
}

// idByDigest is the id under the key of a digest. Most of what is not there, such as a token that somebody guesses, is
// not read for: a filter knows. Pebble's Get would look into no filter of the lowest level, where nearly all is.
func (v *Views) idByDigest(key []byte) (id uuid.UUID, ok bool, err error) {
	it, err := v.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return id, false, fmt.Errorf("projections: read: %w", err)
	}
	defer closeIterator(it, &err)
	if !it.SeekPrefixGE(key) {
		return id, false, nil
	}
	if len(it.Value()) != len(id) {
		return id, false, errDamaged
	}
	copy(id[:], it.Value())
	return id, true, nil
}

func digestKey(d ledger.Digest) []byte { return append([]byte{digestPrefix}, d[:]...) }
