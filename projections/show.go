package projections

import (
	"context"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

// own are events that this process has appended and that the views do not show yet, by their sequences.
type own struct {
	mu     sync.Mutex
	events map[uint64]ownEvent
}

type ownEvent struct {
	event events.Event
	leaf  tlog.Hash
}

func (o *own) add(all *burst) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.events == nil {
		o.events = make(map[uint64]ownEvent)
	}
	for i := range all.events {
		o.events[all.events[i].Sequence] = ownEvent{all.events[i], all.leaves[i]}
	}
}

// has tells whether the event of a sequence is there.
func (o *own) has(sequence uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.events[sequence]
	return ok
}

// take removes the events from next on that follow each other and adds them to all.
func (o *own) take(all *burst, next uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for e, ok := o.events[next]; ok; e, ok = o.events[next] {
		delete(o.events, next)
		all.add(e.event, e.leaf)
		next++
	}
}

// forget removes events that need not be shown any more: the log was faster, or nobody waits for them.
func (o *own) forget(all *burst) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range all.events {
		delete(o.events, all.events[i].Sequence)
	}
}

// Show implements ledger.State. Events that follow what the views show are applied by whoever brings them, those of
// others with them; the log sends them again, and they are passed over then. Others wait for the log to send what lies
// between.
func (v *Views) Show(ctx context.Context, messages ...events.Message) error {
	last := messages[len(messages)-1].Sequence
	v.know(last)
	if v.Position() >= last {
		return nil
	}
	all := &burst{make([]events.Event, 0, len(messages)), make([]tlog.Hash, 0, len(messages))}
	hasher := leafHasher{none: v.options.Treeless}
	for i := range messages {
		e, err := events.Decode(&messages[i], v.opener())
		if err != nil {
			return err
		}
		all.add(e, hasher.hash(&messages[i]))
	}
	v.own.add(all)
	defer v.own.forget(all)
	v.advance()
	return v.WaitFor(ctx, last)
}

// advance applies the events of this process that come next. Whoever has changed the views calls it: what was brought
// meanwhile was left to them. While the disk is full it is left to the tail, which may wait for as long as it takes.
func (v *Views) advance() {
	for v.own.has(v.Position()+1) && !v.diskFull.Load() && v.writing.TryLock() {
		v.own.take(&v.burst, v.Position()+1)
		err := v.commit([]*burst{&v.burst})
		v.burst.empty()
		v.writing.Unlock()
		if err != nil {
			v.backgroundError(err)
			return
		}
	}
}
