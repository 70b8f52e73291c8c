package projections

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"keyledger/ledger"
)

// maxExamined is how many entries one page looks at: a filter that lets few keys through gives short pages, not slow
// ones.
const maxExamined = 20_000

// Views of the order of keys: each has an entry for every key in the list of its owner, with nothing of the key but its
// place in the list and its id. Owner and creation time of a key never change, so an entry is written once.

// allView is the list of all keys.
func (v *Views) allView() view {
	return listView("all", allPrefix, func(*ledger.Owner) (string, bool) { return "", true })
}

// workspaceView has a list for each workspace.
func (v *Views) workspaceView() view {
	return listView("workspaces", workspacePrefix, func(o *ledger.Owner) (string, bool) {
		return o.Workspace, o.Workspace != ""
	})
}

// orgView has a list for each org id, whatever its workspace.
func (v *Views) orgView() view {
	return listView("orgs", orgPrefix, func(o *ledger.Owner) (string, bool) { return o.Org, o.Org != "" })
}

// agentKeyView has a list for each agent id, whatever its workspace and org.
func (v *Views) agentKeyView() view {
	return listView("agent keys", agentKeyPrefix, func(o *ledger.Owner) (string, bool) {
		return o.AgentID, o.AgentID != ""
	})
}

func listView(name string, prefix byte, owner func(*ledger.Owner) (id string, ok bool)) view {
	apply := func(b *pebble.Batch, c *change) error {
		id, ok := owner(&c.after.Owner)
		if !c.created() || !ok {
			return nil
		}
		place := ledger.Cursor{CreatedAt: c.after.CreatedAt, ID: c.after.ID}
		c.scratch = appendPlace(appendList(c.scratch[:0], prefix, id), place)
		return b.Set(c.scratch, nil, nil)
	}
	return view{name: name, version: 1, prefixes: string(prefix), apply: apply}
}

// appendList appends what the entries of a list begin with.
func appendList(dst []byte, prefix byte, owner string) []byte {
	return appendTexts(append(dst, prefix), owner)
}

// appendPlace appends the place of a key in a list, in the order of ledger.Cursor: the microseconds since 1970 of its
// creation and its id, both inverted.
func appendPlace(dst []byte, c ledger.Cursor) []byte {
	dst = binary.BigEndian.AppendUint64(dst, ^(uint64(c.CreatedAt.UnixMicro()) ^ 1<<63))
	for _, b := range c.ID {
		dst = append(dst, ^b)
	}
	return dst
}

const placeSize = 8 + 16

// placeOf is the inverse of appendPlace for the end of an entry's key.
func placeOf(key []byte) (c ledger.Cursor, err error) {
	if len(key) < placeSize {
		return c, errDamaged
	}
	key = key[len(key)-placeSize:]
	c.CreatedAt = time.UnixMicro(int64(^binary.BigEndian.Uint64(key) ^ 1<<63)).UTC()
	for i, b := range key[8:] {
		c.ID[i] = ^b
	}
	return c, nil
}

// Keys returns one page of keys, in the order of q. It looks at a bounded number of keys: with filters that let few of them
// through, a page may hold fewer than asked for, even none, and still have a Next.
func (v *Views) Keys(ctx context.Context, q *ledger.Query) (page ledger.Page, err error) {
	list := listOf(q)
	it, err := v.iterate(ctx, list)
	if err != nil {
		return page, err
	}
	defer closeIterator(it, &err)
	limit := max(q.Limit, 1)
	if q.Room != nil {
		page.Keys = (*q.Room)[:0]
	}
	if cap(page.Keys) == 0 {
		page.Keys = make([]ledger.Key, 0, min(limit+1, 64))
	}
	var last ledger.Cursor // the place looked at before
	examined := 0
	next := it.Next
	if q.OldestFirst {
		next = it.Prev
	}
	for startAfter(it, list, q); it.Valid(); next() {
		place, err := placeOf(it.Key())
		if err != nil {
			return ledger.Page{}, err
		}
		if examined == maxExamined {
			page.Next = last
			break
		}
		if examined++; examined%256 == 0 && ctx.Err() != nil {
			return ledger.Page{}, ctx.Err()
		}
		n := len(page.Keys)
		page.Keys = append(page.Keys, ledger.Key{})
		ok, err := v.key(place.ID, &page.Keys[n])
		if err != nil {
			return ledger.Page{}, err
		}
		ok = ok && q.Matches(&page.Keys[n])
		if !ok || n == limit {
			page.Keys = page.Keys[:n]
		}
		if ok && n == limit {
			page.Next = last
			break
		}
		last = place
	}
	return page, nil
}

// startAfter moves an iterator over a list to the first entry of a query: the one after its cursor.
func startAfter(it *pebble.Iterator, list []byte, q *ledger.Query) {
	start := q.After == ledger.Cursor{}
	switch {
	case start && q.OldestFirst:
		it.Last()
	case start:
		it.First()
	case q.OldestFirst:
		it.SeekLT(appendPlace(list, q.After))
	default:
		it.SeekGE(append(appendPlace(list, q.After), 0))
	}
}

// listOf is what the entries of the narrowest list begin with that has all the keys of a query.
func listOf(q *ledger.Query) []byte {
	buf := make([]byte, 0, 256)
	switch {
	case q.Agent != "":
		return appendList(buf, agentKeyPrefix, q.Agent)
	case q.Org != "":
		return appendList(buf, orgPrefix, q.Org)
	case q.Workspace != "":
		return appendList(buf, workspacePrefix, q.Workspace)
	}
	return appendList(buf, allPrefix, "")
}
