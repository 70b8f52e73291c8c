package ledger

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Bounds of a Usage. A key that waits for a flush takes about 100 bytes, and those of its origin.
const (
	usageShards   = 64
	earlyKeys     = 1 << 16 // keys after which a flush does not wait for its time, and new keys come without their origin
	mostKeys      = 1 << 18 // keys after which the uses of further keys are dropped until a flush succeeds
	maxOrigin     = 256     // bytes kept of each part of an origin
	flushInterval = time.Second
	flushTimeout  = 5 * time.Second // of one batch
)

// Usage coalesces the uses of keys in memory and flushes them about every second, as one message or, of very many keys,
// a few. Its memory is bounded: when the log takes nothing for long, uses of new keys are dropped and counted.
//
// Counts are about right, not exact: a crash loses what was not flushed, and a flush whose answer was lost is repeated,
// so its uses may be counted twice.
type Usage struct {
	log      UsageLog
	interval time.Duration
	full     chan struct{} // has room for one signal that a flush is due
	taken    []events.Use  // room for what take gives
	shards   [usageShards]usageShard

	flushed, failed, dropped atomic.Uint64
}

// usageShard is a part of the keys. Its lock is held for the length of one map access.
type usageShard struct {
	mu    sync.Mutex
	uses  map[uuid.UUID]use
	spare map[uuid.UUID]use // empty; takes the place of uses when those are flushed
	_     [64]byte          // keeps the locks of two shards out of one cache line
}

type use struct {
	last   int64 // microseconds since 1970
	count  uint64
	origin events.Origin
}

// UsageStats are counters since the start.
type UsageStats struct {
	Flushed uint64 // batches stored
	Failed  uint64 // batches refused, kept for the next flush
	Dropped uint64 // uses lost because too many keys were waiting
}

// NewUsage gives a Usage that flushes to log every interval (1 s when 0) while Run runs.
func NewUsage(log UsageLog, interval time.Duration) *Usage {
	if interval == 0 {
		interval = flushInterval
	}
	u := &Usage{log: log, interval: interval, full: make(chan struct{}, 1)}
	for i := range u.shards {
		u.shards[i].uses = make(map[uuid.UUID]use)
		u.shards[i].spare = make(map[uuid.UUID]use)
	}
	return u
}

// Stats returns the counters.
func (u *Usage) Stats() UsageStats {
	return UsageStats{Flushed: u.flushed.Load(), Failed: u.failed.Load(), Dropped: u.dropped.Load()}
}

// Touch records one use. It does not block and does not write.
func (u *Usage) Touch(key uuid.UUID, now time.Time, from events.Origin) {
	u.add(key, use{last: now.UnixMicro(), count: 1, origin: from})
}

// add adds uses of a key to those that wait.
func (u *Usage) add(key uuid.UUID, more use) {
	s := &u.shards[key[len(key)-1]%usageShards] // the end of a UUID is random
	s.mu.Lock()
	known, ok := s.uses[key]
	n := len(s.uses)
	switch {
	case ok:
		known.merge(more)
		s.uses[key] = known
	case n < mostKeys/usageShards:
		more.origin = kept(more.origin, n < earlyKeys/usageShards)
		s.uses[key] = more
	}
	s.mu.Unlock()
	if ok || n < earlyKeys/usageShards {
		return
	}
	if n >= mostKeys/usageShards {
		u.dropped.Add(more.count)
	}
	select {
	case u.full <- struct{}{}:
	default:
	}
}

// merge adds later or earlier uses of the same key. The origin is that of the last use whose origin is known.
func (a *use) merge(b use) {
	a.count += b.count
	newer := b.last >= a.last
	a.last = max(a.last, b.last)
	unknown := events.Origin{}
	if b.origin != a.origin && b.origin != unknown && (newer || a.origin == unknown) {
		a.origin = kept(b.origin, true)
	}
}

// kept is what is kept of an origin: all within its bounds, or nothing. A part that is cut is copied, so that the rest
// of it is not held.
func kept(o events.Origin, keep bool) events.Origin {
	if !keep {
		return events.Origin{}
	}
	for _, part := range [...]*string{&o.IP, &o.UserAgent} {
		if len(*part) > maxOrigin {
			*part = strings.Clone((*part)[:maxOrigin])
		}
	}
	return o
}

// Run flushes until ctx ends, and a last time then: its error is that of the last flush, with the uses lost.
func (u *Usage) Run(ctx context.Context) error {
	tick := time.NewTicker(u.interval)
	defer tick.Stop()
	for full := u.full; ; {
		select {
		case <-ctx.Done():
			return u.flush(context.WithoutCancel(ctx))
		case <-tick.C:
		case <-full:
		}
		full = u.full
		if u.flush(ctx) != nil { // counted in Stats; what it could not store, the next one will
			full = nil
		}
	}
}

// flush stores what waits. What could not be stored waits again.
func (u *Usage) flush(ctx context.Context) error {
	uses := u.take()
	for len(uses) > 0 {
		batch := uses[:min(len(uses), events.MaxUses)]
		if err := u.store(ctx, batch); err != nil {
			u.failed.Add(1)
			u.putBack(uses)
			return fmt.Errorf("ledger: store the uses of %d keys: %w", len(uses), err)
		}
		u.flushed.Add(1)
		uses = uses[len(batch):]
	}
	return nil
}

func (u *Usage) store(ctx context.Context, batch []events.Use) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	data, err := events.EncodeUsage(batch)
	if err != nil {
		return err
	}
	return u.log.AppendUsage(ctx, data)
}

// take empties the shards. It gives the uses in the order of their keys, in which the views store them faster; they are
// valid until the next call.
func (u *Usage) take() []events.Use {
	clear(u.taken)
	all := u.taken[:0]
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		uses := s.uses
		s.uses, s.spare = s.spare, nil
		s.mu.Unlock()
		for key, one := range uses {
			all = append(all, events.Use{KeyID: key, Last: time.UnixMicro(one.last).UTC(), Count: one.count, Origin: one.origin})
		}
		if len(uses) > earlyKeys/usageShards {
			uses = make(map[uuid.UUID]use) // a map keeps the room it once took
		}
		clear(uses)
		s.spare = uses
	}
	if cap(all) <= earlyKeys {
		u.taken = all
	}
	slices.SortFunc(all, func(a, b events.Use) int { return bytes.Compare(a.KeyID[:], b.KeyID[:]) })
	return all
}

// putBack adds what could not be stored to what came since.
func (u *Usage) putBack(uses []events.Use) {
	for i := range uses {
		b := &uses[i]
		u.add(b.KeyID, use{last: b.Last.UnixMicro(), count: b.Count, origin: b.Origin})
	}
}
