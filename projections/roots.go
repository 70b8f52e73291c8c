package projections

import (
	"context"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
)

// rootView holds the ids of the keys that may do everything for everyone: see ledger.Key.IsRoot.
func (v *Views) rootView() view {
	return view{name: "roots", version: 1, prefixes: string(rootPrefix), apply: applyRoot}
}

func applyRoot(b *pebble.Batch, c *change) error {
	was, is := c.before.IsRoot(), c.key && c.after.IsRoot()
	switch {
	case !c.key || was == is:
		return nil
	case is:
		return b.Set(rootKey(c.after.ID), nil, nil)
	}
	return b.Delete(rootKey(c.after.ID), nil)
}

func rootKey(id uuid.UUID) []byte { return append([]byte{rootPrefix}, id[:]...) }

// Roots returns the ids of all keys that may do everything for everyone, in their order.
func (v *Views) Roots(context.Context) (ids []uuid.UUID, err error) {
	err = v.scan(string(rootPrefix), func(key, _ []byte) error {
		id, err := uuid.FromBytes(key[1:])
		ids = append(ids, id)
		return err
	})
	return ids, err
}
