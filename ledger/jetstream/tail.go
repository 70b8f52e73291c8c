package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"keyledger/events"
	"keyledger/ledger"
)

// retryPause is how long a lost tail waits before it begins anew.
const retryPause = 50 * time.Millisecond

// Tail implements ledger.Log. It goes on by itself when the connection or the consumer is lost.
func (l *Log) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	t := &tail{log: l, next: max(from, 1), handle: handle}
	for {
		err := t.follow(ctx)
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

// tail is one reader of the ledger.
type tail struct {
	log    *Log
	next   uint64 // sequence of the next message to hand over
	handle func(ledger.Batch) error
	batch  []events.Message
}

// follow hands over messages from one feed until it ends.
func (t *tail) follow(ctx context.Context) error {
	if err := t.reachable(ctx); err != nil {
		return err
	}
	f, err := openFeed(ctx, t.log.nc, t.log.js, LedgerStream, t.next)
	if err != nil {
		return fmt.Errorf("%w: %w", errFeedLost, err)
	}
	defer f.close()
	for {
		messages, err := f.next(ctx)
		if err != nil {
			return err
		}
		if err := t.deliver(ctx, messages); err != nil {
			return err
		}
		f.delivered = t.next - 1
	}
}

// deliver hands over one burst after it has proved to continue what was handed over before.
func (t *tail) deliver(ctx context.Context, messages []*nats.Msg) error {
	t.batch = t.batch[:0]
	var pending uint64
	for _, m := range messages {
		var sequence uint64
		var err error
		if sequence, pending, err = delivery(m.Reply); err != nil {
			return err
		}
		if sequence != t.next+uint64(len(t.batch)) {
			return t.gap(ctx, t.next+uint64(len(t.batch)), sequence)
		}
		e, err := incoming(m.Subject, sequence, m.Header, m.Data)
		if err != nil {
			return err
		}
		t.batch = append(t.batch, e)
	}
	if err := t.handle(ledger.Batch{Messages: t.batch, Pending: pending}); err != nil {
		return err
	}
	t.next += uint64(len(t.batch))
	return nil
}

// gap is ErrGap if the stream's leader does not have the wanted message either: a replica may have lost what the
// others still hold.
func (t *tail) gap(ctx context.Context, want, got uint64) error {
	if _, err := t.log.readLeader(ctx, want); err == nil {
		return fmt.Errorf("%w: got message %d instead of %d", errFeedLost, got, want)
	} else if !errors.Is(err, errNotFound) {
		return fmt.Errorf("%w: %w", errFeedLost, err)
	}
	return fmt.Errorf("%w: message %d is missing, %d follows", ledger.ErrGap, want, got)
}

// reachable fails with ErrGap when the next message lies more than one beyond the end of the log: the log was cut
// since it was read. Followers may be a little ahead of what the leader has applied.
func (t *tail) reachable(ctx context.Context) error {
	var last uint64
	for range 20 {
		var err error
		if last, err = t.log.Last(ctx); err != nil {
			return fmt.Errorf("%w: %w", errFeedLost, err)
		}
		if t.next <= last+1 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("%w: it ends at %d, and %d was read before", ledger.ErrGap, last, t.next-1)
}
