package main

import (
	"context"
	"errors"
	"time"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// persistPause is how long persist waits before it repeats a step.
const persistPause = 100 * time.Millisecond

// persist repeats a step of the start for as long as it fails since the ledger is not available: other servers may be lost in
// the middle of a start, and come back. What a step has begun before it failed, it must bear to begin again. A ledger of this
// process alone has nobody to wait for.
func (n *node) persist(step func(context.Context) error) func(context.Context) error {
	if n.config.use().Mode == jetstream.Standalone {
		return step
	}
	return func(ctx context.Context) error {
		for told := false; ; {
			err := step(ctx)
			if !errors.Is(err, ledger.ErrUnavailable) {
				return err
			}
			if !told {
				n.log.Warn("the start waits for the ledger", "error", err)
				told = true
			}
			if err := n.pause(ctx, persistPause); err != nil {
				return err
			}
		}
	}
}

// pause lets some time pass before the start looks again. It fails when ctx ends or a part of the node has failed.
func (n *node) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-n.failed:
		return err
	case <-time.After(d):
		return nil
	}
}
