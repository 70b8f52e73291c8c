package projections

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// A packed key is the one encoding of a ledger.Key, in Pebble and in the memory table:
//
//	flags           4 bytes, little endian: which optional fields follow, codes for environment and type, and what is true
//	id              16 bytes
//	digest          32 bytes
//	previous digest 32 bytes, if flagged
//	last event      varint of its first 48 bits minus those of the id, then its other 10 bytes
//	sequence        uvarint
//	times           for each flagged one: varint of microseconds since the time in the id, see clock
//	notices         if flagged: see packNotices
//	strings         for each flagged one: uvarint length*2 and bytes, or uvarint index*2+1 of a shared string
//	metadata        if flagged: uvarint length and bytes
//
// A key's last use is not part of it. Shared strings and cold metadata occur in the memory table only.

// Flags of a packed key. The strings and the times have a bit each, in the order of stringFields and timeFields. The
// last code of environment and type says that it is a string that follows the others.
const (
	environmentShift = 0 // 2 bits
	typeShift        = 2 // 3 bits
	previousFlag     = 1 << 5
	metadataFlag     = 1 << 6
	coldFlag         = 1 << 7         // metadata is in Pebble only
	timeShift        = 8              // 8 bits
	updatedFlag      = 2 << timeShift // not updated: as created
	stringShift      = 16             // 12 bits
	noticesFlag      = 1 << 28
	usedFlag         = 1 << 29 // its first use was announced
	uniqueFlag       = 1 << 30 // unique by name
	confinedFlag     = 1 << 31
)

// maxHotMetadata is the size in bytes above which metadata is kept in Pebble only.
const maxHotMetadata = 128

// Offsets in a packed key.
const (
	packedID       = 4
	packedDigest   = packedID + 16
	packedPrevious = packedDigest + 32
)

// sharedStrings are the bits of the string fields that are worth sharing between keys.
const sharedStrings = 1<<0 | 1<<1 | 1<<8 | 1<<9 | 1<<10

var errDamaged = errors.New("projections: a stored entry is damaged")

// environments and types have a code each, which is their index; the last code stands for any other string.
func environments() [4]string { return [4]string{"", "live", "test"} }
func types() [8]string        { return [8]string{"", "internal", "external", "github", "slack"} }

func stringFields(k *ledger.Key) [14]*string {
	return [14]*string{
		&k.Owner.Workspace, &k.Owner.Org, &k.Owner.AgentID, &k.Owner.AgentName, &k.Owner.Peer, &k.Owner.Session,
		&k.Name, &k.Hint, (*string)(&k.Scopes), &k.CreatedBy, &k.RevokedBy, &k.RevokeReason, &k.Environment, &k.Type,
	}
}

func timeFields(k *ledger.Key) [8]*time.Time {
	return [8]*time.Time{
		&k.CreatedAt, &k.UpdatedAt, &k.NotBefore, &k.ExpiresAt, &k.RotatedAt, &k.PreviousExpiresAt, &k.DisabledAt,
		&k.RevokedAt,
	}
}

// packKey appends the packed key to dst. With shared strings, it is packed for the memory table: without metadata
// that is large.
func packKey(dst []byte, k *ledger.Key, shared *dictionary) []byte {
	texts, times := stringFields(k), timeFields(k)
	flags := keyFlags(k, &texts, &times)
	if shared != nil && len(k.Metadata) > maxHotMetadata {
		flags |= coldFlag
	}
	dst = binary.LittleEndian.AppendUint32(dst, flags)
	dst = append(dst, k.ID[:]...)
	dst = append(dst, k.Digest[:]...)
	if flags&previousFlag != 0 {
		dst = append(dst, k.PreviousDigest[:]...)
	}
	dst = binary.AppendVarint(dst, first48(k.LastEvent)-first48(k.ID))
	dst = append(dst, k.LastEvent[6:]...)
	dst = binary.AppendUvarint(dst, k.Sequence)
	start := clock(k.ID)
	for set := flags >> timeShift & 0xff; set != 0; set &= set - 1 {
		dst = binary.AppendVarint(dst, times[bits.TrailingZeros32(set)].UnixMicro()-start)
	}
	if flags&noticesFlag != 0 {
		dst = packNotices(dst, k, start)
	}
	for set := flagsOfStrings(flags); set != 0; set &= set - 1 {
		s := *texts[bits.TrailingZeros32(set)]
		if shared != nil && set&-set&sharedStrings != 0 {
			if i, ok := shared.index(s); ok {
				dst = binary.AppendUvarint(dst, uint64(i)<<1|1)
				continue
			}
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(s))<<1), s...)
	}
	if flags&(metadataFlag|coldFlag) == metadataFlag {
		dst = append(binary.AppendUvarint(dst, uint64(len(k.Metadata))), k.Metadata...)
	}
	return dst
}

func keyFlags(k *ledger.Key, texts *[14]*string, times *[8]*time.Time) (flags uint32) {
	for i, t := range times {
		if !t.IsZero() {
			flags |= 1 << (timeShift + i)
		}
	}
	if k.UpdatedAt != k.CreatedAt {
		flags |= updatedFlag
	} else {
		flags &^= updatedFlag
	}
	for i, s := range texts[:12] {
		if *s != "" {
			flags |= 1 << (stringShift + i)
		}
	}
	environments, types := environments(), types()
	flags |= codeOf(environments[:], k.Environment) << environmentShift
	flags |= codeOf(types[:], k.Type) << typeShift
	if k.PreviousDigest != (ledger.Digest{}) {
		flags |= previousFlag
	}
	if len(k.Metadata) > 0 {
		flags |= metadataFlag
	}
	if k.UniqueName {
		flags |= uniqueFlag
	}
	if k.Confined {
		flags |= confinedFlag
	}
	if k.FirstUsed {
		flags |= usedFlag
	}
	if hasNotices(k) {
		flags |= noticesFlag
	}
	return flags
}

// codeOf is the code of a name: its index, or that of the last one for any other string.
func codeOf(names []string, name string) uint32 {
	for code, n := range names {
		if n == name {
			return uint32(code)
		}
	}
	return uint32(len(names) - 1)
}

// flagsOfStrings are the bits of the strings that a packed key has, in the order of stringFields.
func flagsOfStrings(flags uint32) uint32 {
	set := flags >> stringShift & (1<<12 - 1)
	if flags>>environmentShift&3 == 3 {
		set |= 1 << 12
	}
	if flags>>typeShift&7 == 7 {
		set |= 1 << 13
	}
	return set
}

// unpackKey sets k to the packed key at the start of src and returns its length in bytes. The strings of k alias src,
// which must not change any more. cold tells that the key has metadata which is not in src.
func unpackKey(src []byte, k *ledger.Key, shared *dictionary) (n int, cold bool, err error) {
	if len(src) < packedPrevious {
		return 0, false, errDamaged
	}
	flags := binary.LittleEndian.Uint32(src)
	*k = ledger.Key{ID: uuid.UUID(src[packedID:packedDigest]), Digest: ledger.Digest(src[packedDigest:packedPrevious])}
	r := unpacker{src: src, at: packedPrevious}
	if flags&previousFlag != 0 {
		copy(k.PreviousDigest[:], r.take(32))
	}
	setFirst48(&k.LastEvent, first48(k.ID)+r.varint())
	copy(k.LastEvent[6:], r.take(10))
	k.Sequence = r.uvarint()
	times, start := timeFields(k), clock(k.ID)
	for set := flags >> timeShift & 0xff; set != 0; set &= set - 1 {
		*times[bits.TrailingZeros32(set)&7] = time.UnixMicro(start + r.varint()).UTC()
	}
	if flags&updatedFlag == 0 {
		k.UpdatedAt = k.CreatedAt
	}
	environments, types := environments(), types()
	k.Environment = environments[flags>>environmentShift&3]
	k.Type = types[flags>>typeShift&7]
	k.UniqueName, k.Confined, k.FirstUsed = flags&uniqueFlag != 0, flags&confinedFlag != 0, flags&usedFlag != 0
	k.Revision, k.ExpirySetAt = k.Sequence, usualSetAt(k)
	if flags&noticesFlag != 0 {
		r.notices(k, start)
	}
	texts := stringFields(k)
	for set := flagsOfStrings(flags); set != 0; set &= set - 1 {
		*texts[bits.TrailingZeros32(set)] = r.text(shared)
	}
	cold = flags&coldFlag != 0
	if flags&metadataFlag != 0 && !cold {
		k.Metadata = r.take(r.uvarint())
	}
	if r.bad {
		return 0, false, errDamaged
	}
	return r.at, cold, nil
}

// unpacker reads from src; bad is set when it does not hold what is asked for.
type unpacker struct {
	src []byte
	at  int
	bad bool
}

func (r *unpacker) take(n uint64) []byte {
	if n > uint64(len(r.src)-r.at) {
		r.bad = true
		return nil
	}
	from := r.at
	r.at += int(n)
	return r.src[from:r.at:r.at]
}

func (r *unpacker) uvarint() uint64 {
	v, n := binary.Uvarint(r.src[r.at:])
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.at += n
	return v
}

func (r *unpacker) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *unpacker) text(shared *dictionary) string {
	v := r.uvarint()
	if v&1 == 0 {
		return alias(r.take(v >> 1))
	}
	if shared == nil {
		r.bad = true
		return ""
	}
	return shared.at(v >> 1)
}

// alias gives b as a string without a copy: b must not change any more.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// clock is the time in a UUIDv7, in microseconds since 1970, and a time not long ago for any other id: what is stored as
// a distance from it is short.
func clock(id uuid.UUID) int64 {
	const year2026 = 1_767_225_600_000_000
	if id.Version() != 7 {
		return year2026
	}
	return first48(id) * 1000
}

// first48 is the number in the first 48 bits of an id: in a UUIDv7, milliseconds since 1970.
func first48(id uuid.UUID) int64 {
	return int64(binary.BigEndian.Uint64(id[:8]) >> 16)
}

func setFirst48(id *uuid.UUID, n int64) {
	for i := range 6 {
		id[i] = byte(n >> (8 * (5 - i)))
	}
}
