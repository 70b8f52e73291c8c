package projections

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// useView holds the last use of every key that was used, and how often it was. It is derived from the log of uses, not
// from the ledger, and has a position of its own. The table has the time and the number as well.
func (v *Views) useView() view {
	return view{name: "uses", version: 1, prefixes: string(usePrefix)}
}

func useKey(id uuid.UUID) []byte { return append([]byte{usePrefix}, id[:]...) }

func packUse(dst []byte, u *ledger.LastUse) []byte {
	dst = binary.AppendVarint(dst, u.LastAt.UnixMicro())
	dst = binary.AppendUvarint(dst, u.Count)
	return appendTexts(dst, u.IP, u.UserAgent)
}

func unpackUse(value []byte, u *ledger.LastUse) error {
	r := unpacker{src: value}
	u.LastAt = time.UnixMicro(r.varint()).UTC()
	u.Count = r.uvarint()
	u.IP = string(r.take(r.uvarint()))
	u.UserAgent = string(r.take(r.uvarint()))
	if r.bad {
		return errDamaged
	}
	return nil
}

// LastUse returns the last use of a key and its origin, zero when it was not used.
func (v *Views) LastUse(_ context.Context, key uuid.UUID) (ledger.LastUse, error) { return v.use(key) }

func (v *Views) use(key uuid.UUID) (u ledger.LastUse, err error) {
	_, err = v.get(useKey(key), func(value []byte) error { return unpackUse(value, &u) })
	return u, err
}

// WaitForUses returns when the uses are in the views up to a sequence in the log of uses, when ctx ends, or with the error
// that Run ended with.
func (v *Views) WaitForUses(ctx context.Context, sequence uint64) error {
	if v.uses.Load() >= sequence {
		return nil
	}
	return v.useWaiters.wait(ctx, sequence, &v.uses)
}

// applyUses adds a batch of the log of uses to the view and the table. A batch that was applied before is ignored.
func (v *Views) applyUses(sequence uint64, data []byte) error {
	defer v.advance()
	v.writing.Lock()
	defer v.writing.Unlock()
	if v.failed != nil || sequence <= v.uses.Load() {
		return v.failed
	}
	if err := v.commitUses(sequence, data); err != nil {
		v.failed = fmt.Errorf("projections: usage batch %d: %w", sequence, err)
		return v.failed
	}
	v.dirty.Store(true)
	v.uses.Store(sequence)
	v.useWaiters.release(sequence)
	return nil
}

func (v *Views) commitUses(sequence uint64, data []byte) error {
	b := v.db.NewBatch()
	defer b.Close()
	var errs []error
	if err := events.DecodeUsage(data, func(u events.Use) { errs = append(errs, v.addUse(b, &u)) }); err != nil {
		return err
	}
	errs = append(errs, b.Set([]byte(usagePositionKey), packNumbers(sequence), nil))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}

func (v *Views) addUse(b *pebble.Batch, seen *events.Use) error {
	u, err := v.useBefore(seen)
	if err != nil {
		return err
	}
	known := u.Count > 0
	u.Count += seen.Count
	if !seen.Last.Before(u.LastAt) {
		u.LastAt, u.IP, u.UserAgent = seen.Last, seen.IP, seen.UserAgent
	}
	if err := v.scrubUse(seen.KeyID, &u); err != nil {
		return err
	}
	if v.table != nil && !v.table.setUse(seen.KeyID, u.Use) && !known {
		v.strays++
	}
	return b.Set(useKey(seen.KeyID), packUse(nil, &u), nil)
}

// useBefore is the use of a key so far. Where the table knows it, Pebble is asked only for an origin that stays.
func (v *Views) useBefore(seen *events.Use) (ledger.LastUse, error) {
	if v.table != nil {
		if u, ok := v.table.use(seen.KeyID); ok && !seen.Last.Before(u.LastAt) {
			return ledger.LastUse{Use: u}, nil
		}
	}
	return v.use(seen.KeyID)
}

// adopt gives a new key its use, should it have been used before its creation was seen here: the two logs are followed
// independently.
func (v *Views) adopt(c *change) error {
	if v.strays == 0 || !c.created() {
		return nil
	}
	u, err := v.use(c.after.ID)
	if err != nil || u.Count == 0 {
		return err
	}
	v.strays--
	v.table.setUse(c.after.ID, u.Use)
	return nil
}

// loadUses fills in the uses of the keys in the table.
func (v *Views) loadUses() error {
	report := v.progress("loading uses", uint64(v.table.keys.Load()))
	done := uint64(0)
	err := v.scan(string(usePrefix), func(key, value []byte) error {
		var u ledger.LastUse
		id, err := uuid.FromBytes(key[1:])
		if err := errors.Join(err, unpackUse(value, &u)); err != nil {
			return err
		}
		if !v.table.setUse(id, u.Use) {
			v.strays++
		}
		done++
		report.at(done)
		return nil
	})
	report.end()
	return err
}
