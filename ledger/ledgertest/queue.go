package ledgertest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// queue is the position of one endpoint.
type queue struct {
	next    uint64 // sequence to look at
	waiting []waiting
	notes   map[uint64]ledger.Delivery // by sequence of the event, 0 for the last one delivered at once
}

// waiting is an event that is to come again.
type waiting struct {
	sequence uint64
	due      time.Time
}

// queue is that of an endpoint. The lock is held.
func (l *Log) queue(id uuid.UUID) *queue {
	if l.queues[id] == nil {
		l.queues[id] = &queue{notes: make(map[uint64]ledger.Delivery)}
	}
	return l.queues[id]
}

// Consume implements ledger.Queue.
func (l *Log) Consume(ctx context.Context, w *ledger.Webhook, parallel int,
	handle func(context.Context, *ledger.Handover) (bool, time.Duration),
) error {
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, parallel)
	for ctx.Err() == nil {
		free <- struct{}{}
		h, moved, due := l.hand(w)
		if h == nil {
			<-free
			select {
			case <-ctx.Done():
			case <-moved:
			case <-time.After(due):
			}
			continue
		}
		running.Go(func() {
			done, again := handle(ctx, h)
			if !done {
				l.again(w.ID, h.Message.Sequence, again)
			}
			<-free
		})
	}
	return ctx.Err()
}

// hand takes what is to be handed over next; without one, it tells when there may be.
func (l *Log) hand(w *ledger.Webhook) (h *ledger.Handover, moved chan struct{}, due time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue(w.ID)
	q.next = max(q.next, w.From, 1)
	due = heartbeat
	for i, e := range q.waiting {
		if left := time.Until(e.due); left > 0 {
			due = min(due, left)
			continue
		}
		q.waiting = slices.Delete(q.waiting, i, i+1)
		return &ledger.Handover{Message: l.messages[e.sequence-1], Repeat: true}, nil, 0
	}
	filter := events.OwnerFilter(w.Workspace, w.Org, w.Agent)
	for q.next <= uint64(len(l.messages)) {
		m := l.messages[q.next-1]
		if q.next++; matches(filter, m.Subject) {
			return &ledger.Handover{Message: m, Pending: uint64(len(l.messages)) - m.Sequence}, nil, 0
		}
	}
	return nil, l.moved, due
}

// again has an event come again.
func (l *Log) again(id uuid.UUID, sequence uint64, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue(id)
	q.waiting = append(q.waiting, waiting{sequence, time.Now().Add(after)})
	l.wake()
}

// Forget implements ledger.Queue.
func (l *Log) Forget(_ context.Context, webhook uuid.UUID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.queues, webhook)
	return nil
}

// Consumed implements ledger.Queue.
func (l *Log) Consumed(context.Context) (list []uuid.UUID, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, q := range l.queues {
		if q.next > 0 {
			list = append(list, id)
		}
	}
	return list, nil
}

// Note implements ledger.Queue.
func (l *Log) Note(_ context.Context, webhook uuid.UUID, d *ledger.Delivery) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	sequence := d.Sequence
	if d.AtOnce() {
		sequence = 0
	}
	l.notes++
	note := *d
	note.Place = l.notes
	l.queue(webhook).notes[sequence] = note
	return nil
}

// Noted implements ledger.Queue.
func (l *Log) Noted(_ context.Context, webhook uuid.UUID, sequence uint64) (ledger.Delivery, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.queue(webhook).notes[sequence]
	return d, ok, nil
}

// Latest implements ledger.Queue.
func (l *Log) Latest(ctx context.Context, webhook uuid.UUID) (d ledger.Delivery, ok bool, err error) {
	all, err := l.Deliveries(ctx, webhook, 0, ledger.MaxPage)
	if len(all) == 0 {
		return d, false, err
	}
	return all[len(all)-1], true, err
}

// Deliveries implements ledger.Queue.
func (l *Log) Deliveries(_ context.Context, webhook uuid.UUID, after uint64, limit int) (list []ledger.Delivery, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.queue(webhook).notes {
		if d.Place > after {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b ledger.Delivery) int { return cmp.Compare(a.Place, b.Place) })
	return list[:min(limit, len(list))], nil
}

var _ ledger.Queue = (*Log)(nil)
