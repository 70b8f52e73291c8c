package ledger

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// mostFirstUses is how many keys may wait for the announcement of their first use. Each takes about 100 bytes. What does
// not find room is found by a later use of the key, or by the sweep of the Announcer.
const mostFirstUses = 1 << 14

// firstUses are uses of keys of which no first use was announced. nil: they are not noted.
type firstUses struct {
	count   atomic.Int64 // of those that wait, so that nobody takes the lock when there is no room
	mu      sync.Mutex
	waiting map[uuid.UUID]time.Time
	room    []uuid.UUID // for the keys, while some are taken
}

// note notes a use. It does not block and does not write.
func (f *firstUses) note(key uuid.UUID, at time.Time) {
	if f == nil || f.count.Load() >= mostFirstUses {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.waiting[key]; !ok || at.Before(known) {
		f.waiting[key] = at
	}
	f.count.Store(int64(len(f.waiting)))
}

// take removes up to limit keys with their uses: the newest keys. To guard an append the log reads the last event of its
// key, with some megabytes around it, so keys that were made one after the other are much cheaper than any.
func (f *firstUses) take(limit int) map[uuid.UUID]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room = slices.AppendSeq(f.room[:0], maps.Keys(f.waiting))
	slices.SortFunc(f.room, func(a, b uuid.UUID) int { return bytes.Compare(b[:], a[:]) })
	newest := f.room[:min(limit, len(f.room))]
	taken := make(map[uuid.UUID]time.Time, len(newest))
	for _, key := range newest {
		taken[key] = f.waiting[key]
		delete(f.waiting, key)
	}
	f.count.Store(int64(len(f.waiting)))
	return taken
}

// useSweep goes through the keys that were used, a page at a time, for those whose first use was not announced: it was
// in memory when its node ended, or found no room there.
type useSweep struct {
	ended time.Time // of the last sweep that came to its end
	after Cursor
	room  []Key
}

// announceFirstUses announces the first uses that wait, then those that the sweep finds, as many as the budget has.
func (a *Announcer) announceFirstUses(ctx context.Context, now time.Time) error {
	s := a.service
	if a.budget == 0 || s.firsts == nil {
		return nil
	}
	uses := s.firsts.take(a.budget)
	err := a.announceUses(ctx, uses)
	if err == nil && len(uses) < a.budget && now.Sub(a.uses.ended) >= sweepEvery {
		if uses, err = a.findFirstUses(ctx, now, a.budget-len(uses)); err == nil {
			err = a.announceUses(ctx, uses)
		}
	}
	if err != nil { // those that were announced are not announced again
		for key, at := range uses {
			s.firsts.note(key, at)
		}
	}
	return err
}

func (a *Announcer) announceUses(ctx context.Context, uses map[uuid.UUID]time.Time) error {
	keys := make([]uuid.UUID, 0, len(uses))
	for key := range uses {
		keys = append(keys, key)
	}
	return a.notifyAll(ctx, keys, func(k *Key, _ time.Time) events.Payload { return DecideFirstUse(k, uses[k.ID]) })
}

// findFirstUses looks at the next page of keys that were used, up to limit that are to be announced.
func (a *Announcer) findFirstUses(ctx context.Context, now time.Time, limit int) (map[uuid.UUID]time.Time, error) {
	const skew = 24 * time.Hour // of the clocks of nodes
	page, err := a.service.state.Keys(ctx, &Query{
		NotRevoked: true, UsedBefore: now.Add(skew), Now: now, Limit: MaxPage, After: a.uses.after, Room: &a.uses.room,
	})
	if err != nil {
		return nil, failed(err)
	}
	a.uses.room = page.Keys
	uses := make(map[uuid.UUID]time.Time)
	for i := range page.Keys {
		k := &page.Keys[i]
		if k.FirstUsed {
			continue
		}
		if len(uses) == limit {
			return uses, nil // the next look goes on with this one
		}
		uses[k.ID] = k.Use.LastAt
		a.uses.after = Cursor{CreatedAt: k.CreatedAt, ID: k.ID}
	}
	a.uses.after = page.Next
	if page.Next == (Cursor{}) {
		a.uses.ended = now
	}
	return uses, nil
}
