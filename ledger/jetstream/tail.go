package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"keyledger/events"
	"keyledger/ledger"
)

// retryPause is how long a lost tail waits before it begins anew.
const retryPause = 50 * time.Millisecond

// Tail implements ledger.Log. It goes on by itself when the connection or the consumer is lost.
func (l *Log) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	t := &tail{log: l, next: max(from, 1), handle: handle}
	return l.follow(ctx, t.follow)
}

// follow runs one feed after the other until ctx ends or one fails for good.
func (l *Log) follow(ctx context.Context, feed func(context.Context) error) error {
	for {
		connected, cancel := l.whileConnected(ctx)
		err := feed(connected)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, errFeedLost) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

// whileConnected gives a context that ends when the connection was lost and is there again: what was asked for on the
// old one will not be answered.
func (l *Log) whileConnected(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	status := l.nc.StatusChanged(nats.CONNECTED)
	go func() {
		select {
		case <-status:
			cancel(errReconnected)
		case <-ctx.Done():
		}
		l.nc.RemoveStatusListener(status)
	}()
	return ctx, func() { cancel(nil) }
}

// errReconnected: the connection was lost meanwhile.
var errReconnected = errors.New("jetstream: reconnected")

// tail is one reader of the ledger.
type tail struct {
	log    *Log
	next   uint64    // sequence of the next message to hand over
	read   uuid.UUID // id of the message before next; zero: it was not read by this tail
	end    uint64    // the highest sequence known to be stored
	handle func(ledger.Batch) error
	batch  []events.Message
	lag    lag
	open   bool // the last message in batch is within an atomic batch, of which more follows
}

// follow hands over messages from one feed until it ends.
func (t *tail) follow(ctx context.Context) error {
	if err := t.reachable(ctx); err != nil {
		return err
	}
	f, err := openFeed(ctx, t.log.nc, t.log.js, LedgerStream, t.next, t.lag.server)
	if err != nil {
		return fmt.Errorf("%w: %w", errFeedLost, err)
	}
	defer f.close()
	t.batch, t.open = t.batch[:0], false
	if t.next > t.end { // there is nothing to come now
		if err := t.deliver(); err != nil {
			return err
		}
	}
	for {
		messages, err := f.next(ctx)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := t.take(ctx, f, m); err != nil {
				return err
			}
		}
		if len(messages) > 0 && t.open && len(t.batch) < feedBurst {
			continue // the rest of an atomic batch follows at once
		}
		if err := t.deliver(); err != nil {
			return err
		}
		if len(messages) == 0 && t.lag.over(time.Now(), f.server) {
			return fmt.Errorf("%w: server %s is behind the leader", errFeedLost, f.server)
		}
	}
}

// take adds a message of the stream to the batch. It must follow the one before.
func (t *tail) take(ctx context.Context, f *feed, m *nats.Msg) error {
	sequence, pending, err := delivery(m.Reply)
	if err != nil {
		return err
	}
	if sequence != f.received+1 {
		return t.gap(ctx, f.received+1, sequence)
	}
	f.received = sequence
	t.stored(sequence, pending)
	e, err := incoming(m.Subject, sequence, m.Header, m.Data)
	if err != nil {
		return err
	}
	t.batch = append(t.batch, e)
	t.open = len(m.Header[headerBatchID]) > 0 && len(m.Header[headerBatchCommit]) == 0
	return nil
}

// stored notes how far the log goes, as the delivery of a message tells. What its server counts as pending is not believed
// where the leader is asked: one whose files were damaged counts messages that there are not.
func (t *tail) stored(sequence, pending uint64) {
	if t.log.pulse != nil {
		pending = 0
	}
	t.end = max(t.end, sequence+pending)
}

// deliver hands over the batch.
func (t *tail) deliver() error {
	last := t.next - 1 + uint64(len(t.batch))
	b := ledger.Batch{Messages: t.batch, Pending: max(t.end, last) - last}
	if p := t.log.pulse; p != nil {
		known := p.known()
		b.Pending = max(known.last, t.end, last) - last
		t.lag.seen(last+1, known)
		if b.AsOf = known.at; b.AsOf.IsZero() {
			b.AsOf = longAgo()
		}
	}
	if err := t.handle(b); err != nil {
		return err
	}
	if n := len(t.batch); n > 0 {
		t.read = t.batch[n-1].ID
	}
	t.next, t.batch, t.open = last+1, t.batch[:0], false
	return nil
}

// longAgo is what the log is heard as of while it is not known whether it is.
func longAgo() time.Time { return time.Unix(0, 1) }

// gap is ErrGap if the stream's leader does not have the wanted message either: a replica may have lost what the
// others still hold.
func (t *tail) gap(ctx context.Context, want, got uint64) error {
	if _, err := t.log.getLeader(ctx, getRequest{Sequence: want}); err == nil {
		return fmt.Errorf("%w: got message %d instead of %d", errFeedLost, got, want)
	} else if !errors.Is(err, errNoMessage) {
		return fmt.Errorf("%w: %w", errFeedLost, err)
	}
	return fmt.Errorf("%w: message %d is missing, %d follows", ledger.ErrGap, want, got)
}

// How long a leader may take to apply what its followers have, and how often it is asked for it.
const (
	leaderPatience = 10 * time.Second
	leaderAsked    = 100 * time.Millisecond
)

// reachable fails with ErrGap when the log has lost messages, or when the next message lies more than one beyond its
// end: it was cut since it was read. A follower that was read may be a little ahead of what the leader has applied.
func (t *tail) reachable(ctx context.Context) error {
	var last uint64
	for range leaderPatience / leaderAsked {
		info, err := t.log.info(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", errFeedLost, err)
		}
		if err := checkWhole(&info.State); err != nil {
			return err
		}
		if last = info.State.LastSeq; t.next <= last+1 {
			t.end = max(t.end, last)
			return t.unchanged(ctx)
		}
		if t.log.options.Replicas == 1 {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errFeedLost, context.Cause(ctx))
		case <-time.After(leaderAsked):
		}
	}
	return fmt.Errorf("%w: it ends at %d, and %d was read before", ledger.ErrGap, last, t.next-1)
}

// unchanged fails with ErrGap when the log holds another message than the last one that was read: it has lost what it had
// acknowledged, and has taken others since.
func (t *tail) unchanged(ctx context.Context) error {
	if t.read == uuid.Nil {
		return nil
	}
	m, err := t.log.getLeader(ctx, getRequest{Sequence: t.next - 1})
	if err != nil {
		return fmt.Errorf("%w: %w", errFeedLost, err)
	}
	if m.ID != t.read {
		return fmt.Errorf("%w: message %d is %s, and %s was read before", ledger.ErrGap, m.Sequence, m.ID, t.read)
	}
	return nil
}
