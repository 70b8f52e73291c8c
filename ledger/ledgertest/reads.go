package ledgertest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"keyledger/ledger"
)

// AppendReads implements ledger.ReadLog.
func (l *Log) AppendReads(ctx context.Context, data []byte) error {
	return l.call(ctx, OpAppendReads, func() error {
		if n := len(l.reads); n > 0 && bytes.Equal(l.reads[n-1].Data, data) {
			return nil
		}
		l.reads = append(l.reads, ledger.ReadBatch{
			Sequence: uint64(len(l.reads) + 1), StoredAt: time.Now().UTC(), Data: bytes.Clone(data),
		})
		return nil
	})
}

// ReadBatches implements ledger.ReadLog.
func (l *Log) ReadBatches(ctx context.Context, from uint64, limit int) (list []ledger.ReadBatch, err error) {
	err = l.call(ctx, OpReadBatches, func() error {
		first := min(max(from, 1)-1, uint64(len(l.reads)))
		list = slices.Clone(l.reads[first:min(first+uint64(limit), uint64(len(l.reads)))])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// LastReads implements ledger.ReadLog.
func (l *Log) LastReads(ctx context.Context) (last uint64, err error) {
	err = l.call(ctx, OpLastReads, func() error {
		last = uint64(len(l.reads))
		return nil
	})
	return last, err
}

var _ ledger.ReadLog = (*Log)(nil)
