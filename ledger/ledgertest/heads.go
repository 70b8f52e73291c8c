package ledgertest

import (
	"bytes"
	"context"

	"keyledger/ledger"
)

// AppendHead implements ledger.HeadLog.
func (l *Log) AppendHead(ctx context.Context, note []byte, after uint64) (sequence uint64, err error) {
	err = l.call(ctx, OpAppendHead, func() error {
		if after != uint64(len(l.heads)) {
			return ledger.ErrConflict
		}
		l.heads = append(l.heads, bytes.Clone(note))
		sequence = after + 1
		return nil
	})
	if err != nil {
		return 0, err
	}
	return sequence, nil
}

// LastHead implements ledger.HeadLog.
func (l *Log) LastHead(ctx context.Context) (note []byte, sequence uint64, err error) {
	err = l.call(ctx, OpLastHead, func() error {
		if sequence = uint64(len(l.heads)); sequence > 0 {
			note = bytes.Clone(l.heads[sequence-1])
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return note, sequence, nil
}

var _ ledger.HeadLog = (*Log)(nil)
