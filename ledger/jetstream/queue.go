package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
)

const (
	// queuePrefix begins the names of the consumers of endpoints.
	queuePrefix = "webhook-"
	// ackWait is how long an event that was handed over may take: longer than any attempt to deliver it.
	ackWait = 30 * time.Second
	// maxWaiting is how many events of an endpoint may wait for another attempt. Beyond, new ones wait in the ledger.
	maxWaiting = 10_000
	// fetchTime is how long one request for events stands. It is short, so that a request that was lost costs little.
	fetchTime = 12 * time.Second
)

func queueName(id uuid.UUID) string { return queuePrefix + id.String() }

// Consume implements ledger.Queue: a durable consumer with explicit acknowledgements. It asks for no more events than it
// can hand over at once, so none waits here while its time runs.
func (l *Log) Consume(ctx context.Context, w *ledger.Webhook, parallel int,
	handle func(context.Context, *ledger.Handover) (bool, time.Duration),
) error {
	consumer, err := l.openQueue(ctx, w)
	if err != nil {
		return requestError(ctx, err)
	}
	q := &queue{handle: handle, window: newWindow(parallel)}
	defer q.running.Wait()
	for ctx.Err() == nil {
		if err := q.fetch(ctx, consumer); err != nil {
			return requestError(ctx, err)
		}
	}
	return ctx.Err()
}

// openQueue gives the consumer of an endpoint. It is made with what never changes of an endpoint, so it does not matter
// which node makes it, nor when. One that came with a copy of the ledger begins where it was (see Copy).
func (l *Log) openQueue(ctx context.Context, w *ledger.Webhook) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	consumer, err := l.js.CreateConsumer(ctx, LedgerStream, jetstream.ConsumerConfig{
		Durable:       queueName(w.ID),
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   max(w.From, 1),
		FilterSubject: events.OwnerFilter(w.Workspace, w.Org, w.Agent),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: maxWaiting,
	})
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return l.js.Consumer(ctx, LedgerStream, queueName(w.ID))
	}
	return consumer, err
}

// queue is one reader of a consumer.
type queue struct {
	handle  func(context.Context, *ledger.Handover) (bool, time.Duration)
	window  *window
	running sync.WaitGroup
}

// fetch asks once for as many events as may be handed over now, and hands them over as they come.
func (q *queue) fetch(ctx context.Context, consumer jetstream.Consumer) error {
	free := q.window.take(ctx)
	defer func() { q.window.give(free) }()
	if free == 0 {
		return ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	batch, err := consumer.Fetch(free, jetstream.FetchContext(limited))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		h, err := handover(m)
		if err != nil {
			return err // it comes again, to whoever may understand it
		}
		free--
		q.running.Go(func() { q.hand(ctx, m, h) })
	}
	if err := batch.Error(); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// hand hands one event over and settles it. One whose handling was cut short comes again at once, on another node if this
// one is ending; the acknowledgement of a handled one may be lost, then it comes again too.
func (q *queue) hand(ctx context.Context, m jetstream.Msg, h *ledger.Handover) {
	done, again := q.handle(ctx, h)
	switch {
	case done:
		_ = m.Ack()
	case again > 0:
		_ = m.NakWithDelay(again)
	default:
		_ = m.Nak()
	}
	q.window.settle(done)
}

func handover(m jetstream.Msg) (*ledger.Handover, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	message, err := incoming(m.Subject(), meta.Sequence.Stream, m.Headers(), m.Data())
	if err != nil {
		return nil, err
	}
	return &ledger.Handover{Message: message, Repeat: meta.NumDelivered > 1, Pending: meta.NumPending}, nil
}

// Forget implements ledger.Queue.
func (l *Log) Forget(ctx context.Context, webhook uuid.UUID) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	err := l.js.DeleteConsumer(ctx, LedgerStream, queueName(webhook))
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return requestError(ctx, err)
	}
	if err := l.notes.Purge(ctx, jetstream.WithPurgeSubject(deliveriesOf(webhook))); err != nil {
		return requestError(ctx, err)
	}
	return nil
}

// Consumed implements ledger.Queue.
func (l *Log) Consumed(ctx context.Context) (list []uuid.UUID, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := l.js.Stream(ctx, LedgerStream)
	if err != nil {
		return nil, requestError(ctx, err)
	}
	names := stream.ConsumerNames(ctx)
	for name := range names.Name() {
		if text, ok := strings.CutPrefix(name, queuePrefix); ok {
			if id, err := uuid.Parse(text); err == nil {
				list = append(list, id)
			}
		}
	}
	if err := names.Err(); err != nil {
		return nil, requestError(ctx, err)
	}
	return list, nil
}

// window bounds how many events are in hand: it widens by one with each that is done, and halves with each that is not.
// So an endpoint that does not answer holds few of them.
type window struct {
	mu           sync.Mutex
	size, widest int
	used         int
	freed        chan struct{} // holds one when some were given back since take looked
}

// narrow is how many events a window has at first.
const narrow = 4

func newWindow(widest int) *window {
	return &window{size: min(narrow, widest), widest: widest, freed: make(chan struct{}, 1)}
}

// take takes all that are free, at least one. It waits for that until ctx ends, then it takes none.
func (w *window) take(ctx context.Context) int {
	for {
		w.mu.Lock()
		n := w.size - w.used
		if n > 0 {
			w.used += n
		}
		w.mu.Unlock()
		if n > 0 {
			return n
		}
		select {
		case <-w.freed:
		case <-ctx.Done():
			return 0
		}
	}
}

// give gives back what was taken and not used.
func (w *window) give(n int) {
	w.mu.Lock()
	w.used -= n
	w.mu.Unlock()
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// settle gives back one that was used.
func (w *window) settle(done bool) {
	w.mu.Lock()
	if done {
		w.size = min(w.size+1, w.widest)
	} else {
		w.size = max(w.size/2, 1)
	}
	w.mu.Unlock()
	w.give(1)
}
