package jetstream

import (
	"context"
	"fmt"
	"time"

	"keyledger/events"
)

// usageAsked is how often the leader is asked how many uses there are, where a feed of them may be from another server.
const usageAsked = 3 * time.Second

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
	var behind lag
	return l.follow(ctx, func(ctx context.Context) error {
		f, err := openFeed(ctx, l.nc, l.js, UsageStream, next, behind.server)
		if err != nil {
			return fmt.Errorf("%w: %w", errFeedLost, err)
		}
		defer f.close()
		var known moment
		for {
			messages, err := f.next(ctx)
			if err != nil {
				return err
			}
			if len(messages) == 0 && l.pulse != nil {
				known = l.knownUses(ctx, known)
				if behind.seen(next, known); behind.over(time.Now(), f.server) {
					return fmt.Errorf("%w: server %s is behind the leader", errFeedLost, f.server)
				}
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

// knownUses tells how many uses the leader has, which it is asked for from time to time.
func (l *Log) knownUses(ctx context.Context, known moment) moment {
	if now := time.Now(); now.Sub(known.at) > usageAsked {
		if last, err := l.LastUsage(ctx); err == nil {
			return moment{at: now, last: last}
		}
	}
	return known
}
