package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"keyledger/events"
	"keyledger/ledger"
)

// maxCommit is how many events go into one Pebble batch, if that many are waiting.
const maxCommit = 4096

// flushEvery is how long a change stays in memory alone. Pebble has no write-ahead log here: what a crash takes is read
// from the ledger again, and this and the size of a memtable bound how much that is.
const flushEvery = 30 * time.Second

// burst is what the log handed over at once, decoded.
type burst struct {
	events []events.Event
	leaves []tlog.Hash // of their messages in the tree
}

// add adds an event and its leaf.
func (b *burst) add(e events.Event, leaf tlog.Hash) {
	b.events = append(b.events, e)
	b.leaves = append(b.leaves, leaf)
}

// empty lets go of the events and keeps their room.
func (b *burst) empty() {
	clear(b.events)
	b.events, b.leaves = b.events[:0], b.leaves[:0]
}

// Run follows the log, and the log of uses if there is one, until ctx ends: it returns nil then. It begins after
// Position. It fails when the log ends before Position, has a gap (ledger.ErrGap) or an event this program does not
// know (*events.UnknownError, nothing is skipped), and when the views cannot be written.
func (v *Views) Run(ctx context.Context, log ledger.Log, uses ledger.UsageLog) error {
	v.waiters.start()
	v.webhookWaiters.start()
	v.useWaiters.start()
	err := v.run(ctx, log, uses)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	stopped := errStopped
	if err != nil {
		stopped = fmt.Errorf("%w: %w", errStopped, err)
	}
	v.waiters.stop(stopped)
	v.webhookWaiters.stop(stopped)
	v.useWaiters.stop(stopped)
	return err
}

var errStopped = errors.New("projections: the views do not follow the ledger any more")

func (v *Views) run(ctx context.Context, log ledger.Log, uses ledger.UsageLog) error {
	position := v.Position() // before the log is asked: what this process appends meanwhile is shown at once
	last, err := log.Last(ctx)
	if err != nil {
		return fmt.Errorf("projections: %w", err)
	}
	if last < position {
		return fmt.Errorf("projections: the ledger ends at %d but the views in %s are at %d: it is an older copy, or another "+
			"ledger; if it is the right one, delete the folder to have its views built anew", last, v.options.Dir, position)
	}
	v.know(last)
	g, ctx := errgroup.WithContext(ctx)
	bursts, used := make(chan *burst, 4), make(chan *burst, 8)
	g.Go(func() error {
		defer close(bursts)
		return v.read(ctx, log, bursts, used)
	})
	g.Go(func() error { return v.write(last, bursts, used) })
	if uses != nil {
		g.Go(func() error { return uses.TailUsage(ctx, v.uses.Load()+1, v.applyUses) })
	}
	g.Go(func() error { return v.flush(ctx) })
	g.Go(func() error { return v.compactErased(ctx) })
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	return v.end(ctx, ended)
}

// end waits for all that Run started. What waits for space on the disk, it does not wait for.
func (v *Views) end(ctx context.Context, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			if v.diskFull.Load() {
				return fmt.Errorf("projections: %w", errDiskFull)
			}
		}
	}
}

// read decodes what the log hands over and sends it on. It stops at what it must not skip, after it sent what is before.
func (v *Views) read(ctx context.Context, log ledger.Log, bursts chan<- *burst, used <-chan *burst) error {
	next := v.Position() + 1
	hasher := leafHasher{none: v.options.Treeless}
	return log.Tail(ctx, next, func(batch ledger.Batch) error {
		b := reuse(used)
		var err error
		for i := range batch.Messages {
			m := &batch.Messages[i]
			if m.Sequence < next {
				continue // a repetition
			}
			var e events.Event
			if m.Sequence == next && next <= v.Position() {
				next++
				continue // this process has appended it and shown it
			}
			if m.Sequence > next {
				err = fmt.Errorf("projections: %w: %d follows %d", ledger.ErrGap, m.Sequence, next-1)
			} else if e, err = v.decode(ctx, m); err != nil {
				err = fmt.Errorf("projections: %w", err)
			}
			if err != nil {
				break
			}
			b.add(e, hasher.hash(m))
			next++
		}
		known := next - 1 + batch.Pending
		v.know(known)
		heard := batch.AsOf
		if heard.IsZero() {
			heard = v.options.Now()
		}
		v.heard.hear(heard, known, v.Position())
		if len(b.events) == 0 {
			return err
		}
		select {
		case bursts <- b:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// know notes that the log holds events up to a sequence.
func (v *Views) know(sequence uint64) {
	for known := v.known.Load(); known < sequence; known = v.known.Load() {
		if v.known.CompareAndSwap(known, sequence) {
			return
		}
	}
}

// reuse gives an empty burst, of one that was applied if there is any.
func reuse(used <-chan *burst) *burst {
	select {
	case b := <-used:
		b.empty()
		return b
	default:
		return &burst{}
	}
}

// write applies what read sends, until there is no more. What is waiting goes into Pebble together.
func (v *Views) write(last uint64, bursts <-chan *burst, used chan<- *burst) error {
	from := min(v.Position(), last)
	catchUp := v.progress("building views", last-from)
	v.goal.Store(last)
	for b := range bursts {
		waiting := []*burst{b}
		for n := len(b.events); n < maxCommit && len(bursts) > 0; n += len(b.events) {
			b = <-bursts
			waiting = append(waiting, b)
		}
		v.writing.Lock()
		err := v.commit(waiting)
		v.writing.Unlock()
		if err != nil {
			return err
		}
		v.advance()
		for _, b := range waiting {
			select {
			case used <- b:
			default:
			}
		}
		if position := v.Position(); catchUp != nil && position < last {
			catchUp.at(position - from)
		} else if catchUp != nil {
			catchUp.end()
			catchUp = nil
		}
	}
	return nil
}

// commit applies bursts of events: their changes and the position go into Pebble as one, then those who wait for them
// are released. Events that are shown already are passed over. The table in memory is never behind Pebble; it may be
// ahead within a commit.
func (v *Views) commit(bursts []*burst) error {
	if v.failed != nil {
		return v.failed
	}
	if err := v.apply(bursts); err != nil {
		v.failed = fmt.Errorf("projections: write: %w", err)
		return v.failed
	}
	v.waiters.release(v.Position())
	v.heard.reach(v.Position())
	if v.table != nil {
		return v.table.compact()
	}
	return nil
}

// apply applies bursts of events, with one commit of Pebble unless something is erased in between. Every view has a batch of its own until then: its entries
// are near each other in the memtable, and go in faster one after the other.
func (v *Views) apply(bursts []*burst) error {
	var c change
	before := v.Position()
	position := before
	for _, burst := range bursts {
		for i := range burst.events {
			e := &burst.events[i]
			if e.Sequence <= position {
				continue
			}
			if x, ok := ledger.NewErasure(e); ok {
				if err := v.erase(position, &x); err != nil {
					return err
				}
			}
			if err := v.applyEvent(e, burst.leaves[i], &c); err != nil {
				return err
			}
			position = e.Sequence
		}
	}
	if err := v.store(position); err != nil {
		return err
	}
	v.metrics.applied(int(position - before))
	for _, burst := range bursts {
		if shown := later(burst.events, before); len(shown) > 0 {
			v.options.Applied(shown)
		}
	}
	return nil
}

// store writes what was applied up to a position, with that, in one commit of Pebble, and shows it.
func (v *Views) store(position uint64) error {
	if position == v.Position() {
		return nil
	}
	all := v.db.NewBatch()
	defer all.Close()
	for i, part := range v.parts {
		if finish := v.views[i].finish; finish != nil {
			if err := finish(part); err != nil {
				return err
			}
		}
		if err := all.Apply(part, nil); err != nil {
			return err
		}
		part.Reset()
	}
	if err := all.Set([]byte(positionKey), packNumbers(position, uint64(v.keys.Load())), nil); err != nil {
		return err
	}
	if err := all.Commit(pebble.NoSync); err != nil {
		return err
	}
	clear(v.pending)
	v.dirty.Store(true)
	v.tree.show()
	v.position.Store(position)
	v.showWebhooks()
	return nil
}

// later are the events after a sequence.
func later(list []events.Event, sequence uint64) []events.Event {
	for len(list) > 0 && list[0].Sequence <= sequence {
		list = list[1:]
	}
	return list
}

func (v *Views) applyEvent(e *events.Event, leaf tlog.Hash, c *change) error {
	if err := v.change(e, c); err != nil {
		return err
	}
	c.leaf = leaf
	for i, w := range v.views {
		if w.apply == nil {
			continue
		}
		if err := w.apply(v.parts[i], c); err != nil {
			return fmt.Errorf("event %d: view %q: %w", e.Sequence, w.name, err)
		}
	}
	return nil
}

// flush writes changes to disk from time to time, and ends with what Pebble could not do in the background.
func (v *Views) flush(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-v.broken:
			return fmt.Errorf("projections: %w", err)
		case <-tick.C:
			if !v.dirty.Swap(false) {
				continue
			}
			if _, err := v.db.AsyncFlush(); err != nil {
				return fmt.Errorf("projections: flush: %w", err)
			}
		}
	}
}
