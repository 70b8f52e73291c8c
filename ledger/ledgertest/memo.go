package ledgertest

import (
	"bytes"
	"context"

	"keyledger/ledger"
)

type memoValue struct {
	data     []byte
	revision uint64
}

// Claim implements ledger.Memo.
func (l *Log) Claim(ctx context.Context, name string, value []byte) (existing []byte, revision uint64, err error) {
	err = l.call(ctx, OpClaim, func() error {
		if v, ok := l.memo[name]; ok {
			existing, revision = bytes.Clone(v.data), v.revision
			return nil
		}
		revision = l.note(name, value)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return existing, revision, nil
}

// Replace implements ledger.Memo.
func (l *Log) Replace(ctx context.Context, name string, value []byte, revision uint64) (next uint64, err error) {
	err = l.call(ctx, OpReplace, func() error {
		if v, ok := l.memo[name]; !ok || v.revision != revision {
			return ledger.ErrConflict
		}
		next = l.note(name, value)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return next, nil
}

// Remove implements ledger.Memo.
func (l *Log) Remove(ctx context.Context, name string, revision uint64) error {
	return l.call(ctx, OpRemove, func() error {
		if v, ok := l.memo[name]; !ok || v.revision != revision {
			return ledger.ErrConflict
		}
		delete(l.memo, name)
		return nil
	})
}

// note stores a value. The lock is held.
func (l *Log) note(name string, value []byte) uint64 {
	l.revision++
	l.memo[name] = memoValue{data: bytes.Clone(value), revision: l.revision}
	return l.revision
}
