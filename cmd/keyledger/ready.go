package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyledger/ledger"
)

// frozenGrace is how long a node whose ledger is broken goes on, not ready, so that balancers can turn away from it.
const frozenGrace = 5 * time.Second

// watchServer ends the node when the store of the embedded server is broken. A full disk does not break it: writes are
// refused until there is room again, while everything else goes on.
func (n *node) watchServer(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.server.Failed():
		err = fmt.Errorf("%w: %w", errFrozen, err)
		n.broken.Store(&err)
		n.log.Error("the ledger is broken, this process ends", "in", frozenGrace, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(frozenGrace):
		}
		return err
	}
}

// ready tells why the node cannot serve. That nothing can be written now is no reason: tokens can be verified.
func (n *node) ready(ctx context.Context) error {
	if err := n.broken.Load(); err != nil {
		return *err
	}
	if n.draining.Load() {
		return errors.New("it is stopping")
	}
	if heard := n.views.Heard(); time.Since(heard) > n.config.maxStaleness {
		return fmt.Errorf("the ledger was last heard %v", heard)
	}
	if err := n.events.Healthy(ctx); errors.Is(err, ledger.ErrGap) {
		return err
	}
	return nil
}
