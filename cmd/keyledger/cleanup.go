package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// cleanups are what must be undone when the node stops or fails to start: last in, first out.
type cleanups struct {
	log  *slog.Logger
	mu   sync.Mutex // what is independent is started in parallel
	list []cleanup
}

type cleanup struct {
	name string
	do   func(ctx context.Context) error
}

// add is called right after a thing exists.
func (c *cleanups) add(name string, do func(ctx context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, cleanup{name, do})
}

// run does all of them, once, and joins their errors. Each may take until ctx ends.
func (c *cleanups) run(ctx context.Context) error {
	c.mu.Lock()
	list := c.list
	c.list = nil
	c.mu.Unlock()
	var errs []error
	for _, one := range slices.Backward(list) {
		begin := time.Now()
		err := one.do(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", one.name, err))
		}
		c.log.Debug("stopped", "step", one.name, "took", time.Since(begin), "error", err)
	}
	return errors.Join(errs...)
}
