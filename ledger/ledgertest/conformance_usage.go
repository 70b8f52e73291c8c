package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"keyledger/ledger"
)

// UsageConformance holds a ledger.UsageLog to its contract. open gives an empty one, and ends it with the test.
func UsageConformance(t *testing.T, open func(t *testing.T) ledger.UsageLog) {
	t.Run("a tail from any sequence, and live", func(t *testing.T) {
		log := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		store := func(from, to int) {
			for i := from; i <= to; i++ {
				if err := log.AppendUsage(ctx, fmt.Appendf(nil, "batch %d", i)); err != nil {
					t.Error(err)
				}
			}
		}
		expectLastUsage(ctx, t, log, 0)
		store(1, 10)
		expectLastUsage(ctx, t, log, 10)
		for _, from := range []uint64{0, 1, 4, 10} {
			next := max(from, 1)
			err := log.TailUsage(ctx, from, func(sequence uint64, data []byte) error {
				if want := fmt.Sprintf("batch %d", next); sequence != next || string(data) != want {
					return fmt.Errorf("got %d, %q, want %d, %q", sequence, data, next, want)
				}
				if next++; next > 10 {
					return errEnough
				}
				return nil
			})
			if !errors.Is(err, errEnough) {
				t.Fatalf("tail from %d: %v", from, err)
			}
		}
		var storing sync.WaitGroup
		defer storing.Wait() // a batch may be seen before its storing is acknowledged
		next := 1
		err := log.TailUsage(ctx, 1, func(_ uint64, data []byte) error {
			if want := fmt.Sprintf("batch %d", next); string(data) != want {
				return fmt.Errorf("got %q, want %q", data, want)
			}
			if next == 10 {
				storing.Go(func() { store(11, 20) })
			}
			if next++; next > 20 {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Fatalf("live tail: %v", err)
		}
	})
	t.Run("a tail ends with its context", func(t *testing.T) {
		log := open(t)
		if err := log.AppendUsage(t.Context(), []byte("one")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := log.TailUsage(ctx, 1, func(uint64, []byte) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("a tail whose context ended gives %v, want context.Canceled", err)
		}
		if err := log.AppendUsage(ctx, []byte("two")); err == nil {
			t.Fatal("an append with an ended context went well")
		}
	})
}

func expectLastUsage(ctx context.Context, t *testing.T, log ledger.UsageLog, want uint64) {
	t.Helper()
	if last, err := log.LastUsage(ctx); err != nil || last != want {
		t.Errorf("the last batch is %d, %v, want %d", last, err, want)
	}
}
