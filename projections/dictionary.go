package projections

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// maxShared bounds the strings of a dictionary, and so what they take: some 100 bytes each.
const maxShared = 1 << 16

// dictionary holds strings that many keys have in common, such as a workspace, once. A string is taken up when it is
// seen for the second time, so that strings that do not repeat cost nothing. It only grows. It has one writer; readers
// need no lock.
type dictionary struct {
	strings atomic.Pointer[[]string]
	indexes map[string]uint32 // writer only
	seed    maphash.Seed
	once    []uint32 // hashes of strings seen once, by their low bits; a later one replaces an earlier one
}

func newDictionary() *dictionary {
	d := &dictionary{indexes: map[string]uint32{}, seed: maphash.MakeSeed(), once: make([]uint32, maxShared)}
	d.strings.Store(&[]string{})
	return d
}

// index returns the index of s, or ok false when s is not shared.
func (d *dictionary) index(s string) (i uint32, ok bool) {
	if i, ok = d.indexes[s]; ok || len(d.indexes) == maxShared {
		return i, ok
	}
	hash := maphash.String(d.seed, s)
	once := &d.once[hash%maxShared]
	if *once != uint32(hash>>32) {
		*once = uint32(hash >> 32)
		return 0, false
	}
	s = strings.Clone(s)
	all := append(*d.strings.Load(), s) // beyond the length that readers have
	i = uint32(len(all) - 1)
	d.indexes[s] = i
	d.strings.Store(&all)
	return i, true
}

// at returns the string with this index. It may be called by any goroutine that got the index from the writer.
func (d *dictionary) at(i uint64) string { return (*d.strings.Load())[i] }
