package projections

import (
	"strings"
	"sync/atomic"
)

const (
	maxShared = 1 << 16 // strings of a dictionary, which take some 100 bytes each
	maxOnce   = 1 << 13 // strings that are remembered as seen once
)

// dictionary holds strings that many keys have in common, such as a workspace, once. A string is taken up when it is
// seen for the second time, so that strings that do not repeat take nothing. It only grows. It has one writer; readers
// need no lock.
type dictionary struct {
	strings atomic.Pointer[[]string]
	indexes map[string]uint32   // writer only
	once    map[string]struct{} // writer only
	recent  [16]uint32          // writer only: indexes of strings that were asked for, 1 more each, by a hash of theirs
}

func newDictionary() *dictionary {
	d := &dictionary{indexes: map[string]uint32{}, once: map[string]struct{}{}}
	d.strings.Store(&[]string{})
	return d
}

// index returns the index of s, which is not empty, or ok false when s is not shared.
func (d *dictionary) index(s string) (i uint32, ok bool) {
	recent := &d.recent[(len(s)^int(s[len(s)-1]))%len(d.recent)]
	if *recent != 0 && (*d.strings.Load())[*recent-1] == s {
		return *recent - 1, true
	}
	if i, ok = d.indexes[s]; ok {
		*recent = i + 1
		return i, true
	}
	if len(d.indexes) == maxShared {
		return 0, false
	}
	if _, again := d.once[s]; !again {
		if len(d.once) == maxOnce {
			clear(d.once)
		}
		d.once[strings.Clone(s)] = struct{}{}
		return 0, false
	}
	s = strings.Clone(s)
	delete(d.once, s)
	all := append(*d.strings.Load(), s) // beyond the length that readers have
	i = uint32(len(all) - 1)
	d.indexes[s] = i
	d.strings.Store(&all)
	return i, true
}

// at returns the string with this index. It may be called by any goroutine that got the index from the writer.
func (d *dictionary) at(i uint64) string { return (*d.strings.Load())[i] }
