package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
)

// memoKey is where the value of a name is kept: names may hold any bytes and say something about who asked.
func memoKey(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// Claim implements ledger.Memo.
func (l *Log) Claim(ctx context.Context, name string, value []byte) ([]byte, uint64, error) {
	if err := l.writable(); err != nil {
		return nil, 0, err
	}
	key := memoKey(name)
	for {
		revision, err := l.memo.Create(ctx, key, value)
		if err == nil {
			return nil, revision, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return nil, 0, memoError(err)
		}
		entry, err := l.memo.Get(ctx, key)
		if err == nil {
			return entry.Value(), entry.Revision(), nil
		}
		if !errors.Is(err, jetstream.ErrKeyNotFound) { // else it ended in between
			return nil, 0, memoError(err)
		}
	}
}

// Replace implements ledger.Memo.
func (l *Log) Replace(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	if err := l.writable(); err != nil {
		return 0, err
	}
	next, err := l.memo.Update(ctx, memoKey(name), value, revision)
	if err != nil {
		return 0, memoError(err)
	}
	return next, nil
}

// Remove implements ledger.Memo.
func (l *Log) Remove(ctx context.Context, name string, revision uint64) error {
	if err := l.memo.Delete(ctx, memoKey(name), jetstream.LastRevision(revision)); err != nil {
		return memoError(err)
	}
	return nil
}

// memoError classes an error of the bucket.
func memoError(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == codeWrongSequence || api.ErrorCode == codeGuardInFlight) {
		return fmt.Errorf("%w: %w", ledger.ErrConflict, err)
	}
	return fmt.Errorf("%w: memo: %w", ledger.ErrUnavailable, err)
}
