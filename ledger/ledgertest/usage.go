package ledgertest

import (
	"bytes"
	"context"
)

// AppendUsage implements ledger.UsageLog.
func (l *Log) AppendUsage(ctx context.Context, data []byte) error {
	return l.call(ctx, OpAppendUsage, func() error {
		l.usage = append(l.usage, bytes.Clone(data))
		l.wake()
		return nil
	})
}

// LastUsage implements ledger.UsageLog.
func (l *Log) LastUsage(ctx context.Context) (last uint64, err error) {
	err = l.call(ctx, OpLastUsage, func() error {
		last = uint64(len(l.usage))
		return nil
	})
	return last, err
}

// TailUsage implements ledger.UsageLog.
func (l *Log) TailUsage(ctx context.Context, from uint64, handle func(sequence uint64, data []byte) error) error {
	for next := max(from, 1); ; {
		var list [][]byte
		var moved chan struct{}
		err := l.call(ctx, OpTailUsage, func() error {
			moved = l.moved
			list = l.usage[min(next-1, uint64(len(l.usage))):]
			return nil
		})
		if err != nil {
			return err
		}
		for _, data := range list {
			if err := handle(next, data); err != nil {
				return err
			}
			next++
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}
