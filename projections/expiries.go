package projections

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"keyledger/ledger"
)

// expiryView holds the expiries that have not been announced in full, by their time: see ledger.Expiry.
func (v *Views) expiryView() view {
	return view{name: "expiries", version: 1, prefixes: string(expiryPrefix), apply: applyExpiry}
}

func applyExpiry(b *pebble.Batch, c *change) error {
	if !c.key {
		return nil
	}
	was, had := c.before.Expiry()
	is, has := c.after.Expiry()
	if had == has && was == is {
		return nil
	}
	if had && (!has || was.Place != is.Place) {
		c.scratch = appendExpiry(c.scratch[:0], was.Place)
		if err := b.Delete(c.scratch, nil); err != nil {
			return err
		}
	}
	if !has {
		return nil
	}
	c.scratch = appendExpiry(c.scratch[:0], is.Place)
	return b.Set(c.scratch, packExpiry(&is), nil)
}

// appendExpiry appends the key of an entry, in the order of ledger.Place: the microseconds since 1970 of the expiry and
// the id.
func appendExpiry(dst []byte, p ledger.Place) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, expiryPrefix), uint64(p.At.UnixMicro())^1<<63)
	return append(dst, p.ID[:]...)
}

const expirySize = 1 + 8 + 16

// packExpiry gives the value of an entry: how long before the expiry it was set, and was announced last, in
// microseconds. An expiry that was not announced has no second number.
func packExpiry(x *ledger.Expiry) []byte {
	value := binary.AppendVarint(nil, x.At.UnixMicro()-x.SetAt.UnixMicro())
	if !x.Announced.IsZero() {
		value = binary.AppendVarint(value, x.At.UnixMicro()-x.Announced.UnixMicro())
	}
	return value
}

// unpackExpiry is the inverse of appendExpiry and packExpiry.
func unpackExpiry(key, value []byte, x *ledger.Expiry) error {
	if len(key) != expirySize {
		return errDamaged
	}
	at := int64(binary.BigEndian.Uint64(key[1:]) ^ 1<<63)
	r := unpacker{src: value}
	*x = ledger.Expiry{
		Place: ledger.Place{At: time.UnixMicro(at).UTC(), ID: uuid.UUID(key[9:])},
		SetAt: time.UnixMicro(at - r.varint()).UTC(),
	}
	if r.at < len(value) {
		x.Announced = time.UnixMicro(at - r.varint()).UTC()
	}
	if r.bad {
		return errDamaged
	}
	return nil
}

// Expiries returns up to limit expiries that have not been announced in full after a place and not later than until, in
// their order.
func (v *Views) Expiries(ctx context.Context, after ledger.Place, until time.Time, limit int) (list []ledger.Expiry, err error) {
	it, err := v.iterate(ctx, []byte{expiryPrefix})
	if err != nil {
		return nil, err
	}
	defer closeIterator(it, &err)
	start := append(appendExpiry(nil, after), 0)
	for it.SeekGE(start); it.Valid() && len(list) < limit; it.Next() {
		var x ledger.Expiry
		if err := unpackExpiry(it.Key(), it.Value(), &x); err != nil {
			return nil, err
		}
		if x.At.After(until) {
			break
		}
		list = append(list, x)
	}
	return list, nil
}
