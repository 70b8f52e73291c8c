package jetstream

import (
	"context"
	"fmt"

	"keyledger/events"
)

// AppendUsage implements ledger.UsageLog.
func (l *Log) AppendUsage(ctx context.Context, data []byte) error {
	if err := l.writable(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := l.nc.RequestWithContext(limited, events.UsageSubject, data)
	if err != nil {
		return requestError(ctx, err)
	}
	if _, err := parseAck(m); err != nil {
		return unavailable(err)
	}
	return nil
}

// LastUsage implements ledger.UsageLog.
func (l *Log) LastUsage(ctx context.Context) (uint64, error) {
	stream, err := l.js.Stream(ctx, UsageStream)
	if err != nil {
		return 0, requestError(ctx, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// TailUsage implements ledger.UsageLog. It goes on by itself when the connection or the consumer is lost.
func (l *Log) TailUsage(ctx context.Context, from uint64, handle func(sequence uint64, data []byte) error) error {
	next := max(from, 1)
	return l.follow(ctx, func(ctx context.Context) error {
		f, err := openFeed(ctx, l.nc, l.js, UsageStream, next, "")
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
				f.received, next = sequence, sequence+1
			}
		}
	})
}
