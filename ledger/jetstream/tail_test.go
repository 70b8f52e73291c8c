package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// ordered tails a log from the start until the message to has come, and fails unless every one comes once, in order.
func ordered(ctx context.Context, l *jetstream.Log, to uint64) error {
	done := errors.New("done")
	next := uint64(1)
	err := l.Tail(ctx, 1, func(b ledger.Batch) error {
		for _, m := range b.Messages {
			if m.Sequence != next {
				return fmt.Errorf("message %d comes after %d", m.Sequence, next-1)
			}
			next++
		}
		if next > to {
			return done
		}
		return nil
	})
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// write appends n events from each of several writers.
func write(t *testing.T, l *jetstream.Log, writers, n int, running *sync.WaitGroup) {
	for range writers {
		running.Go(func() {
			for range n {
				if _, err := l.Append(t.Context(), entry()); err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
}

// TestTwoNodes appends through two logs on one stream: the tails of both see every event of both, once and in order.
func TestTwoNodes(t *testing.T) {
	s, _ := external(t)
	a, b := openURL(t, s.ClientURL(), jetstream.Options{}), openURL(t, s.ClientURL(), jetstream.Options{})
	const writers, n = 24, 50
	var running sync.WaitGroup
	for _, l := range []*jetstream.Log{a, b} {
		for range 2 {
			running.Go(func() {
				if err := ordered(t.Context(), l, 2*writers*n); err != nil {
					t.Errorf("tail: %v", err)
				}
			})
		}
		write(t, l, writers, n, &running)
	}
	running.Wait()
}

// TestTailReconnects cuts the connection of a tail again and again: it goes on where it was, and misses nothing.
func TestTailReconnects(t *testing.T) {
	s, p := external(t)
	writer, reader := openURL(t, s.ClientURL(), jetstream.Options{}), openURL(t, p.Addr().String(), jetstream.Options{})
	const writers, n = 8, 100
	var running sync.WaitGroup
	tailed := make(chan error, 1)
	go func() { tailed <- ordered(t.Context(), reader, writers*n) }()
	write(t, writer, writers, n, &running)
	for range 5 {
		before, err := writer.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		until(t, "more events", func() bool {
			last, err := writer.Last(t.Context())
			return err == nil && (last > before || last == writers*n)
		})
		p.cut()
	}
	running.Wait()
	if err := <-tailed; err != nil {
		t.Fatalf("tail: %v", err)
	}
}

// TestTailOfARewrittenLog: a log that lost what was read, and holds as many other events now, is not gone on with.
func TestTailOfARewrittenLog(t *testing.T) {
	s, _ := external(t)
	l := openURL(t, s.ClientURL(), jetstream.Options{})
	const n = 3
	fill := func(l *jetstream.Log) {
		for range n {
			if _, err := l.Append(t.Context(), entry()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(l)
	err := l.Tail(t.Context(), 1, func(b ledger.Batch) error {
		if len(b.Messages) > 0 && b.Messages[len(b.Messages)-1].Sequence == n {
			wipe(t, s)
			fill(openURL(t, s.ClientURL(), jetstream.Options{}))
		}
		return nil
	})
	if !errors.Is(err, ledger.ErrGap) {
		t.Errorf("the tail ends with %v", err)
	}
}
