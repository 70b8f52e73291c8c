package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"keyledger/ledger"
)

// Past builds views in memory as of the event with a sequence, by the code that builds those of the present. Uses of keys
// are not in the log, so there are none. It tells progress now and then how much is done, and fails when ctx ends. The
// views answer until Close.
func Past(ctx context.Context, log ledger.Log, until uint64, progress func(done, total uint64)) (*Views, error) {
	v, err := Open(Options{Dir: "past", FS: vfs.NewMem(), DiskIndex: true})
	if err != nil {
		return nil, err
	}
	if until == 0 {
		return v, nil
	}
	err = v.Run(ctx, &beginning{Log: log, until: until, progress: progress}, nil)
	if !errors.Is(err, errReached) {
		return nil, errors.Join(fmt.Errorf("projections: replay up to %d: %w", until, err), v.Close())
	}
	return v, nil
}

var errReached = errors.New("projections: all that is wanted was read")

// beginning is the beginning of a log.
type beginning struct {
	ledger.Log
	until    uint64 // its last sequence
	progress func(done, total uint64)
	told     time.Time
}

// progressEvery is how often progress is told.
const progressEvery = time.Second / 4

func (b *beginning) Last(context.Context) (uint64, error) { return b.until, nil }

// Tail hands over what there is, and fails with errReached then.
func (b *beginning) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	return b.Log.Tail(ctx, from, func(batch ledger.Batch) error {
		batch.Messages = batch.Until(b.until)
		done := uint64(0)
		if n := len(batch.Messages); n > 0 {
			done = batch.Messages[n-1].Sequence
			batch.Pending = b.until - done
		}
		if err := handle(batch); err != nil {
			return err
		}
		if now := time.Now(); done > 0 && now.Sub(b.told) >= progressEvery {
			b.told = now
			b.progress(done, b.until)
		}
		if done == b.until {
			return errReached
		}
		return nil
	})
}
