package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"keyledger/client"
)

// Of the rows about subscribers.
const (
	eventsEvery   = 2 * time.Millisecond // 500 events a second
	eventsWriters = 32                   // requests at a time
)

// subscribed gives the address of the server under test, which takes subscribers over NATS, and a client of a new key of
// a workspace that may read events and verify.
func (b *bench) subscribed(ctx context.Context, workspace string, overNATS bool) (root, subscriber *client.Client, token client.Token, err error) {
	if !b.open {
		b.open = true
		if err := b.stopServer(); err != nil {
			return nil, nil, token, err
		}
	}
	server, err := b.server(ctx)
	if err != nil {
		return nil, nil, token, err
	}
	address := "http://" + server.addr
	if root, err = client.New(address, client.NewToken(b.token)); err != nil {
		return nil, nil, token, err
	}
	key, err := root.CreateKey(ctx, client.CreateKey{
		Name: "subscriber", WorkspaceID: workspace, Scopes: []string{"ledger:events:read", "ledger:keys:verify"},
	})
	if err != nil {
		return nil, nil, token, err
	}
	var options []client.Option
	if overNATS {
		nats, err := b.natsURL()
		if err != nil {
			return nil, nil, token, err
		}
		options = append(options, client.WithNATS(nats))
	}
	subscriber, err = client.New(address, key.Token, options...)
	return root, subscriber, key.Token, err
}

// natsURL is where the server under test takes subscribers.
func (b *bench) natsURL() (string, error) {
	address, err := os.ReadFile(filepath.Join(b.dataDir(), "nats.addr"))
	return "nats://" + strings.TrimSpace(string(address)), err
}

// measureEvents creates keys at a steady pace and measures how long after the answer a subscriber has the event. The
// value is the 99th percentile in milliseconds.
func measureEvents(overNATS bool) func(context.Context, *bench) (figure, error) {
	return func(ctx context.Context, b *bench) (figure, error) {
		root, subscriber, _, err := b.subscribed(ctx, "bench-events", overNATS)
		if err != nil {
			return figure{}, err
		}
		f := figure{Unit: "ms"}
		for round := range b.options.rounds {
			b.step(round, b.options.rounds)
			late, err := lateness(ctx, root, subscriber, b.options.period)
			if err != nil {
				return figure{}, err
			}
			f.Values = append(f.Values, milliseconds(late[len(late)*99/100]))
			f.P50, f.P99 = milliseconds(late[len(late)/2]), median(f.Values)
		}
		return f, nil
	}
}

// lateness is how long after the answer to a create its event came, in ascending order; 0 for one that came before.
func lateness(ctx context.Context, root, subscriber *client.Client, period time.Duration) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var came sync.Map // when, by the id of the key
	group, ctx := errgroup.WithContext(ctx)
	seen := make(chan struct{}, 1)
	group.Go(func() error {
		for e, err := range subscriber.Subscribe(ctx, client.EventFilter{}, client.Now) {
			if err != nil {
				return err
			}
			came.Store(e.Subject, time.Now())
			select {
			case seen <- struct{}{}:
			default:
			}
		}
		return nil
	})
	if err := untilSeen(ctx, root, seen); err != nil {
		return nil, errors.Join(err, group.Wait())
	}
	answered, err := createPaced(ctx, root, period)
	for deadline := time.Now().Add(10 * time.Second); err == nil; {
		late, missing := latenesses(answered, &came)
		if missing == 0 {
			cancel()
			if err := group.Wait(); !errors.Is(err, context.Canceled) {
				return nil, err
			}
			return late, nil
		}
		select {
		case <-seen:
		case <-time.After(time.Until(deadline)):
			err = fmt.Errorf("%d of %d events did not come", missing, len(answered))
		}
	}
	cancel()
	return nil, err
}

// untilSeen creates keys until the subscriber hears of one: then its subscription is there.
func untilSeen(ctx context.Context, root *client.Client, seen <-chan struct{}) error {
	for {
		if _, err := root.CreateKey(ctx, client.CreateKey{Name: "hello", WorkspaceID: "bench-events"}); err != nil {
			return err
		}
		select {
		case <-seen:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// createPaced creates keys for a period and gives when each was answered.
func createPaced(ctx context.Context, root *client.Client, period time.Duration) (map[string]time.Time, error) {
	var mu sync.Mutex
	answered := make(map[string]time.Time)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(eventsWriters)
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	for end := time.Now().Add(period); time.Now().Before(end) && ctx.Err() == nil; {
		<-tick.C
		group.Go(func() error {
			key, err := root.CreateKey(ctx, client.CreateKey{Name: "event", WorkspaceID: "bench-events"})
			if err != nil {
				return err
			}
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			answered[key.ID] = now
			return nil
		})
	}
	return answered, group.Wait()
}

// latenesses gives how late the events were, and how many are missing.
func latenesses(answered map[string]time.Time, came *sync.Map) (late []time.Duration, missing int) {
	for id, when := range answered {
		at, ok := came.Load(id)
		if !ok {
			missing++
			continue
		}
		late = append(late, max(0, at.(time.Time).Sub(when)))
	}
	slices.Sort(late)
	return late, missing
}
