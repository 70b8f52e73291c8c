package client

import (
	"sync/atomic"

	"github.com/google/uuid"

	"keyledger/events"
)

// record is what a Verifier keeps of a key for one of its tokens: the present one, or the one before. Once it is
// published nothing of it changes but the number of uses; a key that changes gets new records. It has no pointers, so
// the collector does not look at it.
type record struct {
	digest    events.Digest
	expires   int64 // microseconds since 1970, 0: never; of a previous token the end of its grace
	uses      atomic.Uint32
	flags     uint32
	notBefore int64
	owner     uint32 // its number; of a previous token the place of the present one's record
	scopes    uint32 // their number
	id        uuid.UUID
}

// Flags of a record.
const (
	flagRevoked = 1 << iota
	flagDisabled
	flagConfined
	flagTest     // environment
	flagPrevious // it is of the token before the present one
)

// has tells whether want, 16 or 32 bytes, is the record's id or digest.
func (r *record) has(want []byte) bool {
	if len(want) == len(r.id) {
		return uuid.UUID(want) == r.id
	}
	return events.Digest(want) == r.digest
}

const perChunk = 4096 // records

// chunk is a piece of memory for records, with a bit for each that was used since the last report.
type chunk struct {
	records [perChunk]record
	bits    [perChunk / 64]atomic.Uint64
	used    atomic.Bool // some bit is set
}

// replica holds the keys of a Verifier compactly, 80 bytes and 11 to 16 for each of two indexes. It has one writer.
// Readers take no lock: they go from an index slot to a chunk to the record, all of which are published atomically.
// Places are never used again: when much of it is dead the writer copies what lives to a new replica, see rebuild.
type replica struct {
	hasher  hasher
	digests *index
	ids     *index
	chunks  atomic.Pointer[[]*chunk]
	owners  interned[Owner]
	scopes  interned[string]

	// Of the writer alone.
	next     uint32               // the place of the next record; 0 is none
	dead     int                  // records that no index leads to
	previous map[uuid.UUID]uint32 // the places of the records of previous tokens
}

func newReplica(keys int) *replica {
	t := &replica{
		hasher:  newHasher(),
		digests: newIndex(keys), ids: newIndex(keys),
		next: 1, previous: make(map[uuid.UUID]uint32),
	}
	t.chunks.Store(new([]*chunk))
	return t
}

// keys is how many there are.
func (t *replica) keys() int { return int(t.next) - 1 - t.dead - len(t.previous) }

func (t *replica) at(place uint32) *record {
	return &(*t.chunks.Load())[place/perChunk].records[place%perChunk]
}

// find gives the place of the record that has want, and the slot that leads to it.
func (t *replica) find(x *index, want []byte) (slot *atomic.Uint64, place uint32) {
	hash := t.hasher.hash(want)
	slots := *x.slots.Load()
	for i := startOf(hash, len(slots)); ; {
		word := slots[i].Load()
		if word == 0 {
			return nil, 0
		}
		if place := uint32(word); word>>32 == hash&(1<<32-1) && place != removed && t.at(place).has(want) {
			return &slots[i], place
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
}

// findDigest is find for a digest, without a slot: it is what verifying does most.
func (t *replica) findDigest(want *events.Digest) (r *record, place uint32) {
	hash := t.hasher.hash(want[:])
	slots := *t.digests.slots.Load()
	chunks := *t.chunks.Load()
	for i := startOf(hash, len(slots)); ; {
		word := slots[i].Load()
		if word == 0 {
			return nil, 0
		}
		if place := uint32(word); word>>32 == hash&(1<<32-1) && place != removed {
			if int(place/perChunk) >= len(chunks) {
				chunks = *t.chunks.Load() // the slot is newer than what was loaded
			}
			if r := &chunks[place/perChunk].records[place%perChunk]; r.digest == *want {
				return r, place
			}
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
}

// touch counts a use of the record at a place. What is set already is not set again, which would cost more.
func (t *replica) touch(place uint32) {
	c := (*t.chunks.Load())[place/perChunk]
	i := place % perChunk
	if c.records[i].uses.Add(1) != 1 {
		return // its bit is set, or about to be
	}
	c.bits[i/64].Or(1 << (i % 64))
	if !c.used.Load() {
		c.used.Store(true)
	}
}

// put makes r the record of its key's present token, and previous, unless it is nil, that of the token before.
func (t *replica) put(r, previous *record) {
	t.reserve()
	old, oldPrevious := t.lookup(r.id)
	place := t.append(r)
	t.point(t.digests, r.digest[:], place)
	t.point(t.ids, r.id[:], place)
	if previous != nil {
		previous.owner = place
		at := t.append(previous)
		t.point(t.digests, previous.digest[:], at)
		t.previous[r.id] = at
	}
	for _, o := range [2]uint32{old, oldPrevious} {
		if o == 0 {
			continue
		}
		t.dead++
		digest := t.at(o).digest
		if digest != r.digest && (previous == nil || digest != previous.digest) {
			if slot, held := t.find(t.digests, digest[:]); held == o {
				slot.Or(removed)
			}
		}
	}
}

// lookup gives the places of the records of a key, 0 for one that is not there.
func (t *replica) lookup(id uuid.UUID) (present, previous uint32) {
	_, present = t.find(t.ids, id[:])
	return present, t.previous[id]
}

// append stores a record and returns its place.
func (t *replica) append(r *record) uint32 {
	place := t.next
	if chunks := *t.chunks.Load(); int(place/perChunk) == len(chunks) {
		chunks = append(chunks, new(chunk))
		t.chunks.Store(&chunks)
	}
	to := t.at(place)
	to.digest, to.expires, to.flags, to.notBefore = r.digest, r.expires, r.flags, r.notBefore
	to.owner, to.scopes, to.id = r.owner, r.scopes, r.id
	t.next++
	return place
}

// point makes an index lead from want to a place.
func (t *replica) point(x *index, want []byte, place uint32) {
	if slot, _ := t.find(x, want); slot != nil {
		slot.Store(slot.Load()&^removed | uint64(place))
		return
	}
	x.insert(t.hasher.hash(want), place)
}

// reserve makes room for two entries more in the indexes.
func (t *replica) reserve() {
	for _, x := range [2]*index{t.digests, t.ids} {
		if !x.hasRoom(2) {
			t.grow(x)
		}
	}
}

// grow gives an index half as many slots more, and leaves out what was removed.
func (t *replica) grow(x *index) {
	old := *x.slots.Load()
	larger := newIndex(x.filled)
	for i := range old {
		place := uint32(old[i].Load())
		if place == 0 || place == removed {
			continue
		}
		r := t.at(place)
		want := r.digest[:]
		if x == t.ids {
			want = r.id[:]
		}
		larger.insert(t.hasher.hash(want), place)
	}
	x.filled = larger.filled
	x.slots.Store(larger.slots.Load())
}

// isWasteful tells that a fifth of the records is dead.
func (t *replica) isWasteful() bool { return t.dead > perChunk && t.dead > int(t.next)/5 }

// rebuild gives a replica of what lives. Uses that are counted in the old one meanwhile stay there.
func (t *replica) rebuild() *replica {
	next := newReplica(t.keys())
	for r, previous := range t.all() {
		present := record{
			digest: r.digest, expires: r.expires, flags: r.flags, notBefore: r.notBefore, id: r.id,
			owner: next.owners.number(*t.owners.at(r.owner)), scopes: next.scopes.number(*t.scopes.at(r.scopes)),
		}
		next.put(&present, previous.copy())
	}
	return next
}

// copy is a record that was not published, nil for nil.
func (r *record) copy() *record {
	if r == nil {
		return nil
	}
	return &record{digest: r.digest, expires: r.expires, flags: r.flags, notBefore: r.notBefore, owner: r.owner, scopes: r.scopes, id: r.id}
}

// all iterates over the keys: the record of the present token, and of the one before, if there is one.
func (t *replica) all() func(yield func(r, previous *record) bool) {
	return func(yield func(r, previous *record) bool) {
		for i := range *t.ids.slots.Load() {
			place := uint32((*t.ids.slots.Load())[i].Load())
			if place == 0 {
				continue
			}
			r := t.at(place)
			var previous *record
			if at := t.previous[r.id]; at != 0 {
				previous = t.at(at)
			}
			if !yield(r, previous) {
				return
			}
		}
	}
}

// interned numbers values that many keys share. It has one writer, and readers that take no lock.
type interned[T comparable] struct {
	numbers map[T]uint32 // the writer's
	values  atomic.Pointer[[]T]
}

// number is that of a value.
func (n *interned[T]) number(value T) uint32 {
	if i, ok := n.numbers[value]; ok {
		return i
	}
	if n.numbers == nil {
		n.numbers = make(map[T]uint32)
		n.values.Store(new([]T))
	}
	values := append(*n.values.Load(), value)
	n.values.Store(&values)
	i := uint32(len(values) - 1)
	n.numbers[value] = i
	return i
}

// at is the value with a number.
func (n *interned[T]) at(i uint32) *T { return &(*n.values.Load())[i] }
