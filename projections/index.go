package projections

import "sync/atomic"

// index is an open-addressing hash table with linear probing. A slot holds 24 bits of hash, which say where its search
// begins, and the place of a record: 0 is a free slot, a place of 0 a removed one.
type index struct {
	slots atomic.Pointer[[]atomic.Uint64]
	used  int // writer only: slots that are not free
	live  int // writer only: slots that lead to a record
}

const removed = 1 << placeBits

// reserve makes a table for n words that is 64 % full with them.
func (x *index) reserve(n int) {
	slots := make([]atomic.Uint64, max(1024, (n+1)*25/16))
	if old := x.slots.Load(); old != nil {
		for i := range *old {
			if w := (*old)[i].Load(); w%maxPlaces != 0 {
				place(slots, w)
			}
		}
	}
	x.used = x.live
	x.slots.Store(&slots)
}

// startOf is the first slot to look at for a tag of 24 bits. It grows with the tag, so that slots are nearly in the
// order of their tags and a larger table is filled from front to back.
func startOf(tag uint64, slots int) int { return int(tag * uint64(slots) >> (64 - placeBits)) }

// insert adds a word. Above 4/5 full, it first makes a new table; readers keep the one they have.
func (x *index) insert(word uint64) {
	if slots := len(*x.slots.Load()); (x.used+1)*5 > slots*4 {
		x.reserve(x.live)
	}
	if place(*x.slots.Load(), word) {
		x.used++
	}
	x.live++
}

// place stores word in the first slot that is free or removed, and tells whether it was free.
func place(slots []atomic.Uint64, word uint64) (free bool) {
	for i := startOf(word>>placeBits, len(slots)); ; i++ {
		if i == len(slots) {
			i = 0
		}
		if w := slots[i].Load(); w%maxPlaces == 0 {
			slots[i].Store(word)
			return w == 0
		}
	}
}

func (x *index) remove(slot *atomic.Uint64) {
	slot.Store(removed)
	x.live--
}
