package projections

import (
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// table holds all keys in memory, compactly: what Verify, GET and lists are answered from.
//
// A record is a packed key behind two words that count its uses. Records are appended to chunks and never change, but
// for those two words; a key that changes gets a new record. Two indexes lead to the record of an id and of a digest.
//
// It has one writer. Readers take no lock: they go from an index slot to a chunk to the record, all of which are
// published atomically and, once published, stay as they are. A chunk of which much is dead is emptied and dropped:
// its number is never used again, so a reader that comes too late finds nothing there and looks again.
type table struct {
	seed    maphash.Seed
	ids     index
	digests index
	shared  *dictionary
	chunks  atomic.Pointer[[]atomic.Pointer[chunk]]

	// Of the writer alone.
	tail  *chunk // the one that is being filled
	total int    // bytes in all chunks
	live  int    // bytes in records that are in the indexes
	buf   []byte

	keys  atomic.Int64
	bytes atomic.Int64 // an account of total and of the indexes, for metrics
}

// chunk is a piece of memory for records.
type chunk struct {
	number int
	bytes  []byte
	used   int // writer only: bytes appended
	live   int // writer only: bytes of records that are in the indexes
}

const (
	chunkSize = 256 << 10
	unit      = 8                // records begin at multiples of it
	useSize   = 16               // microseconds since 1970 of the last use, number of uses
	perChunk  = chunkSize / unit // places in a chunk
	maxPlaces = 1 << placeBits   // 8 TiB: chunk numbers are not reused
	placeBits = 40
)

var errTableFull = errors.New("projections: the memory table has used up its places: restart to go on")

func newTable() *table {
	t := &table{seed: maphash.MakeSeed(), shared: newDictionary()}
	t.chunks.Store(&[]atomic.Pointer[chunk]{})
	t.reserve(0)
	return t
}

// reserve makes room in the indexes for n keys.
func (t *table) reserve(n int) {
	t.ids.reserve(n)
	t.digests.reserve(n)
	t.account()
}

// record is a key's place and bytes in a chunk: two words of use and the packed key, then whatever follows.
type record struct {
	place uint64
	bytes []byte
}

func (r record) id() []byte     { return r.bytes[useSize+packedID : useSize+packedDigest] }
func (r record) digest() []byte { return r.bytes[useSize+packedDigest : useSize+packedPrevious] }

// previous is the previous digest, or whatever else is in its place.
func (r record) previous() []byte {
	from := useSize + packedPrevious
	if r.bytes[useSize]&previousFlag == 0 || len(r.bytes) < from+32 {
		return nil
	}
	return r.bytes[from : from+32]
}

// has tells whether want, 16 or 32 bytes, is the record's id or one of its digests.
func (r record) has(want []byte) bool {
	if len(want) == 16 {
		return string(r.id()) == string(want)
	}
	return string(r.digest()) == string(want) || string(r.previous()) == string(want)
}

func (r record) last() *atomic.Int64   { return (*atomic.Int64)(unsafe.Pointer(&r.bytes[0])) }
func (r record) count() *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&r.bytes[8])) }

func (r record) use() (u ledger.Use) {
	if last := r.last().Load(); last != 0 {
		u.LastAt = time.UnixMicro(last).UTC()
		u.Count = r.count().Load()
	}
	return u
}

// at returns the record at a place, or ok false when its chunk has been dropped.
func (t *table) at(place uint64) (r record, ok bool) {
	chunks := *t.chunks.Load()
	number := place / perChunk
	if number >= uint64(len(chunks)) {
		return record{}, false
	}
	c := chunks[number].Load()
	if c == nil {
		return record{}, false
	}
	return record{place, c.bytes[place%perChunk*unit:]}, true
}

// find returns the record that has want, and the slot that leads to it.
func (t *table) find(x *index, want []byte) (*atomic.Uint64, record, bool) {
	tag := maphash.Bytes(t.seed, want) >> placeBits
again:
	slots := *x.slots.Load()
	for i := startOf(tag, len(slots)); ; i++ {
		if i == len(slots) {
			i = 0
		}
		word := slots[i].Load()
		if word == 0 {
			return nil, record{}, false
		}
		if word>>placeBits != tag || word%maxPlaces == 0 {
			continue
		}
		r, ok := t.at(word % maxPlaces)
		if !ok {
			goto again // moved while we looked
		}
		if r.has(want) {
			return &slots[i], r, true
		}
	}
}

// byID sets k to the key with this id. cold tells that its metadata is in Pebble only.
func (t *table) byID(id uuid.UUID, k *ledger.Key) (cold, ok bool) {
	_, r, ok := t.find(&t.ids, id[:])
	if !ok {
		return false, false
	}
	return t.unpack(r, k), true
}

// byDigest sets k to the key that has this digest or, with previous true, had it before.
func (t *table) byDigest(d *ledger.Digest, k *ledger.Key) (cold, previous, ok bool) {
	_, r, ok := t.find(&t.digests, d[:])
	if !ok {
		return false, false, false
	}
	cold = t.unpack(r, k)
	return cold, k.Digest != *d, true
}

func (t *table) unpack(r record, k *ledger.Key) (cold bool) {
	_, cold, err := unpackKey(r.bytes[useSize:], k, t.shared)
	if err != nil {
		panic(err) // the table was written by this process
	}
	k.Use = r.use()
	return cold
}

// put makes k the key with its id. Only the writer calls it, and the methods below.
func (t *table) put(k *ledger.Key) error {
	slot, old, replaces := t.find(&t.ids, k.ID[:])
	if !replaces {
		return t.load(k)
	}
	t.pack(k)
	copy(t.buf, old.bytes[:useSize])
	place, err := t.append(t.buf)
	if err != nil {
		return err
	}
	var before ledger.Key
	size := t.unpackSize(old, &before)
	slot.Store(slot.Load()&^(maxPlaces-1) | place)
	t.point(k.Digest, place)
	t.point(k.PreviousDigest, place)
	for _, d := range [2]ledger.Digest{before.Digest, before.PreviousDigest} {
		if d != k.Digest && d != k.PreviousDigest {
			t.unpoint(d, k.ID)
		}
	}
	t.chunk(old.place).live -= size
	t.live -= size
	return nil
}

// load puts a key that is not there. No other key has one of its digests, so none of the three is looked for.
func (t *table) load(k *ledger.Key) error {
	t.pack(k)
	place, err := t.append(t.buf)
	if err != nil {
		return err
	}
	t.insert(&t.ids, k.ID[:], place)
	for _, d := range [2]*ledger.Digest{&k.Digest, &k.PreviousDigest} {
		if *d != (ledger.Digest{}) {
			t.insert(&t.digests, d[:], place)
		}
	}
	t.keys.Add(1)
	return nil
}

// pack makes a record of a key that was never used in buf.
func (t *table) pack(k *ledger.Key) {
	t.buf = packKey(append(t.buf[:0], make([]byte, useSize)...), k, t.shared)
}

// point makes the record at place the one that a digest leads to.
func (t *table) point(d ledger.Digest, place uint64) {
	if d == (ledger.Digest{}) {
		return
	}
	if slot, _, ok := t.find(&t.digests, d[:]); ok {
		slot.Store(slot.Load()&^(maxPlaces-1) | place)
		return
	}
	t.insert(&t.digests, d[:], place)
}

// unpoint removes a digest that the key with this id no longer has.
func (t *table) unpoint(d ledger.Digest, id uuid.UUID) {
	if d == (ledger.Digest{}) {
		return
	}
	if slot, r, ok := t.find(&t.digests, d[:]); ok && r.has(id[:]) {
		t.digests.remove(slot)
	}
}

func (t *table) insert(x *index, want []byte, place uint64) {
	x.insert(maphash.Bytes(t.seed, want)>>placeBits<<placeBits | place)
	t.account()
}

// use tells when and how often a key was used, and whether the key is there.
func (t *table) use(id uuid.UUID) (u ledger.Use, ok bool) {
	_, r, ok := t.find(&t.ids, id[:])
	if ok {
		u = r.use()
	}
	return u, ok
}

// setUse stores when and how often a key was used, and tells whether the key is there.
func (t *table) setUse(id uuid.UUID, use ledger.Use) bool {
	_, r, ok := t.find(&t.ids, id[:])
	if ok {
		r.count().Store(use.Count)
		r.last().Store(use.LastAt.UnixMicro())
	}
	return ok
}

// append stores a record and returns its place.
func (t *table) append(b []byte) (place uint64, err error) {
	size := roundUp(len(b))
	if t.tail == nil || t.tail.used+size > len(t.tail.bytes) {
		if err := t.grow(size); err != nil {
			return 0, err
		}
	}
	c := t.tail
	copy(c.bytes[c.used:], b)
	place = uint64(c.number)*perChunk + uint64(c.used/unit)
	c.used += size
	c.live += size
	t.live += size
	return place, nil
}

// grow begins a new chunk. One that is larger than usual holds one record alone.
func (t *table) grow(size int) error {
	chunks := *t.chunks.Load()
	if uint64(len(chunks)+1)*perChunk > maxPlaces {
		return errTableFull
	}
	c := &chunk{number: len(chunks), bytes: make([]byte, max(size, chunkSize))}
	if c.number == 0 {
		c.used = unit // place 0 means none
	}
	if len(chunks) == cap(chunks) {
		chunks = growChunks(chunks)
	}
	chunks = chunks[:len(chunks)+1]
	chunks[c.number].Store(c)
	t.chunks.Store(&chunks)
	t.tail = c
	t.total += len(c.bytes)
	t.account()
	return nil
}

func growChunks(old []atomic.Pointer[chunk]) []atomic.Pointer[chunk] {
	chunks := make([]atomic.Pointer[chunk], len(old), 2*len(old)+16)
	for i := range old {
		chunks[i].Store(old[i].Load())
	}
	return chunks
}

// unpackSize sets k to the key of a record and returns how many bytes the record takes.
func (t *table) unpackSize(r record, k *ledger.Key) int {
	n, _, err := unpackKey(r.bytes[useSize:], k, t.shared)
	if err != nil {
		panic(err) // the table was written by this process
	}
	return roundUp(useSize + n)
}

func (t *table) chunk(place uint64) *chunk { return (*t.chunks.Load())[place/perChunk].Load() }

// compact empties the chunks with the most dead bytes while a quarter of all is dead. The writer calls it after every
// burst, so that it has as little to do as the burst left behind.
func (t *table) compact() error {
	for {
		dead := t.total - t.live
		if dead < 8*chunkSize || dead < t.total/4 {
			return nil
		}
		c := t.worst()
		if c == nil {
			return nil
		}
		if err := t.evacuate(c); err != nil {
			return err
		}
		(*t.chunks.Load())[c.number].Store(nil)
		t.total -= len(c.bytes)
		t.account()
	}
}

// worst is the chunk with the most dead bytes, the tail aside.
func (t *table) worst() (worst *chunk) {
	chunks := *t.chunks.Load()
	for i := range chunks {
		c := chunks[i].Load()
		if c != nil && c != t.tail && (worst == nil || len(c.bytes)-c.live > len(worst.bytes)-worst.live) {
			worst = c
		}
	}
	return worst
}

// evacuate moves the live records of a chunk to the tail.
func (t *table) evacuate(c *chunk) error {
	at := 0
	if c.number == 0 {
		at = unit
	}
	var k ledger.Key
	for at < c.used {
		r := record{uint64(c.number)*perChunk + uint64(at/unit), c.bytes[at:]}
		size := t.unpackSize(r, &k)
		at += size
		slot, current, ok := t.find(&t.ids, k.ID[:])
		if !ok || current.place != r.place {
			continue
		}
		place, err := t.append(r.bytes[:size])
		if err != nil {
			return err
		}
		slot.Store(slot.Load()&^(maxPlaces-1) | place)
		for _, d := range [2]ledger.Digest{k.Digest, k.PreviousDigest} {
			if slot, held, ok := t.find(&t.digests, d[:]); ok && held.place == r.place {
				slot.Store(slot.Load()&^(maxPlaces-1) | place)
			}
		}
		t.live -= size
	}
	return nil
}

func (t *table) account() {
	t.bytes.Store(int64(t.total) + int64(len(*t.ids.slots.Load())+len(*t.digests.slots.Load()))*8)
}

func roundUp(n int) int { return (n + unit - 1) &^ (unit - 1) }
