package projections

import (
	"context"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"keyledger/events"
	"keyledger/ledger"
)

// keyView holds every key, packed, by its id. The table in memory is loaded from it and changed together with it.
func (v *Views) keyView() view {
	return view{name: "keys", version: 4, prefixes: string(keyPrefix), apply: v.applyKey}
}

func (v *Views) applyKey(b *pebble.Batch, c *change) error {
	if !c.key {
		return nil
	}
	v.packed = packKey(v.packed[:0], &c.after, nil)
	if err := b.Set(packedKey(c.after.ID), v.packed, nil); err != nil {
		return err
	}
	if v.table == nil || len(c.after.Metadata) > maxHotMetadata {
		v.pending[c.after.ID] = append([]byte(nil), v.packed...)
	} else {
		delete(v.pending, c.after.ID)
	}
	if c.created() {
		v.keys.Add(1)
	}
	if v.table == nil {
		return nil
	}
	if err := v.table.put(&c.after); err != nil {
		return err
	}
	return v.adopt(c)
}

// change is what an event makes of its key.
func (v *Views) change(e *events.Event, c *change) error {
	*c = change{event: e, scratch: c.scratch}
	id, ok := aboutKey(e)
	if !ok {
		return nil
	}
	if err := v.current(id, &c.before); err != nil {
		return err
	}
	c.after = ledger.Evolve(c.before, e)
	if v.lost(c.after.Owner.Workspace, e) {
		c.after.Scrub()
	}
	c.key = c.after.ID == id // else an event of a key that was never created
	return nil
}

// aboutKey is the key that an event is about: the last token of its subject.
func aboutKey(e *events.Event) (id uuid.UUID, ok bool) {
	if !strings.HasPrefix(e.Subject, "ledger.") {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(e.Subject[strings.LastIndexByte(e.Subject, '.')+1:])
	return id, err == nil
}

// current sets k to the key as of the last event applied, which Pebble may not have yet.
func (v *Views) current(id uuid.UUID, k *ledger.Key) error {
	if packed, ok := v.pending[id]; ok {
		_, _, err := unpackKey(packed, k, nil)
		return err
	}
	if v.table != nil {
		if cold, ok := v.table.byID(id, k); !ok || !cold {
			return nil
		}
	}
	_, err := v.stored(id, k)
	return err
}

// stored sets k to the key with this id in Pebble.
func (v *Views) stored(id uuid.UUID, k *ledger.Key) (ok bool, err error) {
	return v.get(packedKey(id), func(value []byte) error {
		_, _, err := unpackKey(append([]byte(nil), value...), k, nil)
		return err
	})
}

// Key returns a key, or ok false.
func (v *Views) Key(_ context.Context, id uuid.UUID) (k ledger.Key, ok bool, err error) {
	ok, err = v.key(id, &k)
	return k, ok, err
}

func (v *Views) key(id uuid.UUID, k *ledger.Key) (ok bool, err error) {
	if v.table != nil {
		if cold, ok := v.table.byID(id, k); !cold {
			return ok, nil
		}
	}
	return v.storedWithUse(id, k)
}

// storedWithUse answers from Pebble: without a table, and for a key with large metadata. The table may be an event
// ahead of Pebble, so such a key is taken as it is stored, not put together.
func (v *Views) storedWithUse(id uuid.UUID, k *ledger.Key) (ok bool, err error) {
	if ok, err = v.stored(id, k); err != nil || !ok {
		return false, err
	}
	use, err := v.use(id)
	k.Use = use.Use
	return true, err
}

// KeyByDigest returns the key that has this digest or, with previous true, had it before its last rotation. With the
// table it takes no lock and allocates nothing, unless the key has large metadata.
func (v *Views) KeyByDigest(d ledger.Digest) (k ledger.Key, previous, ok bool, err error) {
	if v.table != nil {
		if cold, previous, ok := v.table.byDigest(&d, &k); !cold {
			return k, previous, ok, nil
		}
		ok, err = v.storedWithUse(k.ID, &k)
	} else {
		ok, err = v.storedByDigest(d, &k)
	}
	if err != nil || !ok || k.Digest != d && k.PreviousDigest != d {
		return ledger.Key{}, false, false, err
	}
	return k, k.Digest != d, true, nil
}

func packedKey(id uuid.UUID) []byte { return append([]byte{keyPrefix}, id[:]...) }

// loadTable fills the table: one goroutine reads Pebble, another packs what it read.
func (v *Views) loadTable() error {
	if v.table == nil {
		return nil
	}
	count := v.keys.Load()
	v.table.reserve(int(count))
	report := v.progress("loading keys", uint64(count))
	blocks, used := make(chan []byte, 4), make(chan []byte, 8)
	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() error {
		defer close(blocks)
		return v.readBlocks(ctx, blocks, used)
	})
	g.Go(func() error {
		var k ledger.Key
		for block := range blocks {
			for rest := block; len(rest) > 0; {
				n, _, err := unpackKey(rest, &k, nil)
				if err != nil {
					return err
				}
				if err := v.table.load(&k); err != nil {
					return err
				}
				rest = rest[n:]
			}
			used <- block[:0]
			report.at(uint64(v.table.keys.Load()))
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	report.end()
	return v.loadUses()
}

// readBlocks sends the packed keys in Pebble, many at a time. It takes up blocks that were used: memory that was never
// touched is what costs most here.
func (v *Views) readBlocks(ctx context.Context, blocks chan<- []byte, used <-chan []byte) error {
	const size = 256 << 10
	block := make([]byte, 0, size)
	send := func() error {
		select {
		case blocks <- block:
			select {
			case block = <-used:
			default:
				block = make([]byte, 0, size)
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := v.scan(string(keyPrefix), func(_, value []byte) error {
		block = append(block, value...)
		if len(block) < size-1024 {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	return send()
}
