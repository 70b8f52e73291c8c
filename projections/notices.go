package projections

import (
	"encoding/binary"
	"time"

	"keyledger/ledger"
)

// What the lowest bits of the first number of packed notices say.
const (
	announcedNotice = 1 << iota // when the expiry was announced last follows
	setNotice                   // when the expiry was set follows
	erasedNotice                // when the key was erased follows
	noticeBits      = iota
)

// hasNotices tells whether a key needs more than others: it had notices, has another expiry than at first, or was erased.
func hasNotices(k *ledger.Key) bool {
	return k.Revision != k.Sequence || !k.Announced.IsZero() || !k.ErasedAt.IsZero() || k.ExpirySetAt != usualSetAt(k)
}

// usualSetAt is when the expiry of a key was set, if it was not changed since.
func usualSetAt(k *ledger.Key) time.Time {
	if k.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return k.CreatedAt
}

// packNotices appends how many sequences the revision of a key is behind, and the times that are not as usual, as
// microseconds since start.
func packNotices(dst []byte, k *ledger.Key, start int64) []byte {
	first := (k.Sequence - k.Revision) << noticeBits
	if !k.Announced.IsZero() {
		first |= announcedNotice
	}
	if k.ExpirySetAt != usualSetAt(k) {
		first |= setNotice
	}
	if !k.ErasedAt.IsZero() {
		first |= erasedNotice
	}
	dst = binary.AppendUvarint(dst, first)
	if first&announcedNotice != 0 {
		dst = binary.AppendVarint(dst, k.Announced.UnixMicro()-start)
	}
	if first&setNotice != 0 {
		dst = binary.AppendVarint(dst, k.ExpirySetAt.UnixMicro()-start)
	}
	if first&erasedNotice != 0 {
		dst = binary.AppendVarint(dst, k.ErasedAt.UnixMicro()-start)
	}
	return dst
}

// notices reads what packNotices appended, into a key that has its other times.
func (r *unpacker) notices(k *ledger.Key, start int64) {
	first := r.uvarint()
	k.Revision = k.Sequence - first>>noticeBits
	if first&announcedNotice != 0 {
		k.Announced = time.UnixMicro(start + r.varint()).UTC()
	}
	if first&setNotice != 0 {
		k.ExpirySetAt = time.UnixMicro(start + r.varint()).UTC()
	}
	if first&erasedNotice != 0 {
		k.ErasedAt = time.UnixMicro(start + r.varint()).UTC()
	}
}
