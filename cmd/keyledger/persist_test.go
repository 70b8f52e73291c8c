package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"keyledger/ledger"
)

// TestPersist: a step of the start is repeated while the ledger is not available, and for no other reason.
func TestPersist(t *testing.T) {
	unavailable := fmt.Errorf("no leader: %w", ledger.ErrUnavailable)
	other := errors.New("another error")
	for name, c := range map[string]struct {
		config config
		fails  []error // of the step, one after the other
		failed error   // of another part of the node, as the step fails for the second time
		want   error
		times  int
	}{
		"external":   {config{nats: "nats://a"}, []error{unavailable, unavailable, nil}, nil, nil, 3},
		"clustered":  {config{cluster: clusterConfig{name: "c"}}, []error{unavailable, other}, nil, other, 2},
		"standalone": {config{}, []error{unavailable}, nil, unavailable, 1},
		"broken":     {config{nats: "nats://a"}, []error{unavailable, unavailable}, other, other, 2},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(&c.config, io.Discard)
			times := 0
			err := n.persist(func(context.Context) error {
				times++
				if times == 2 && c.failed != nil {
					n.failed <- c.failed
				}
				return c.fails[times-1]
			})(t.Context())
			if !errors.Is(err, c.want) || times != c.times {
				t.Errorf("after %d times: %v, want %v after %d", times, err, c.want, c.times)
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	err := newNode(&config{nats: "nats://a"}, io.Discard).persist(func(context.Context) error { stop(); return unavailable })(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
