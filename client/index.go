package client

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync/atomic"
)

// index leads from a digest, or an id, to the place of a record: open addressing with linear probing, 8 bytes a slot.
// The upper half of a slot is a tag, the lower half the place; 0 is a slot that was never used. It has one writer, and
// readers that take no lock.
type index struct {
	slots  atomic.Pointer[[]atomic.Uint64]
	filled int // slots that are not 0; the writer's
}

// removed is the place in a slot whose entry is gone. No record has it.
const removed = 1<<32 - 1

// newIndex makes room for n entries.
func newIndex(n int) *index {
	x := new(index)
	x.slots.Store(newSlots(n))
	return x
}

// newSlots gives slots of which n entries fill two thirds.
func newSlots(n int) *[]atomic.Uint64 {
	slots := make([]atomic.Uint64, n+n/2+64)
	return &slots
}

// hasRoom tells whether n entries more leave a quarter of the slots free, which keeps probing short.
func (x *index) hasRoom(n int) bool { return 4*(x.filled+n) <= 3*len(*x.slots.Load()) }

// insert adds an entry that is not there, where there is room.
func (x *index) insert(hash uint64, place uint32) {
	slots := *x.slots.Load()
	i := startOf(hash, len(slots))
	for slots[i].Load() != 0 {
		if i++; i == len(slots) {
			i = 0
		}
	}
	slots[i].Store(hash<<32 | uint64(place))
	x.filled++
}

// startOf is the first slot to look at.
func startOf(hash uint64, n int) int { return int(hash >> 32 * uint64(n) >> 32) }

// hasher mixes what is random but known to others, so that nobody can choose digests that meet in one place.
type hasher struct{ a, b uint64 }

func newHasher() hasher {
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails
	return hasher{binary.NativeEndian.Uint64(seed[:8]), binary.NativeEndian.Uint64(seed[8:]) | 1}
}

// hash is of the first 16 bytes.
func (h *hasher) hash(b []byte) uint64 {
	high, low := bits.Mul64(binary.NativeEndian.Uint64(b)^h.a, binary.NativeEndian.Uint64(b[8:])^h.b)
	return high ^ low
}
