package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyledger/events"
	"keyledger/ledger"
)

// AppendUsage implements ledger.UsageLog.
func (l *Log) AppendUsage(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := l.nc.RequestWithContext(ctx, events.UsageSubject, data)
	if err != nil {
		return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	if _, err := parseAck(m); err != nil {
		return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	return nil
}

// TailUsage implements ledger.UsageLog. It goes on by itself when the connection or the consumer is lost.
func (l *Log) TailUsage(ctx context.Context, from uint64, handle func(sequence uint64, data []byte) error) error {
	next := max(from, 1)
	for {
		err := l.followUsage(ctx, &next, handle)
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

// followUsage hands over batches from one feed until it ends.
func (l *Log) followUsage(ctx context.Context, next *uint64, handle func(sequence uint64, data []byte) error) error {
	f, err := openFeed(ctx, l.nc, l.js, UsageStream, *next)
	if err != nil {
		return fmt.Errorf("%w: %w", errFeedLost, err)
	}
	defer f.close()
	for {
		messages, err := f.next(ctx)
		if err != nil {
			return err
		}
		for _, m := range messages {
			sequence, _, err := delivery(m.Reply)
			if err != nil {
				return err
			}
			if err := handle(sequence, m.Data); err != nil {
				return err
			}
			*next = sequence + 1
		}
		f.delivered = *next - 1
	}
}
