package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// TestReached: a log that has no leader yet is waited for, and one that ends early for as long as there is patience.
func TestReached(t *testing.T) {
	w := newWorld(t)
	end := must(w.log.Last(t.Context()))
	for range 3 {
		w.log.FailNext(ledgertest.OpLast, ledgertest.Fault{Err: ledger.ErrUnavailable})
	}
	if last, err := ledger.Reached(t.Context(), w.log, end, time.Minute); err != nil || last != end {
		t.Errorf("it ends at %d, %v; want %d", last, err, end)
	}
	if last, err := ledger.Reached(t.Context(), w.log, end+1, 200*time.Millisecond); err != nil || last != end {
		t.Errorf("one that stays behind ends at %d, %v; want %d", last, err, end)
	}
	w.log.FailNext(ledgertest.OpLast, ledgertest.Fault{Err: ledger.ErrUnavailable})
	if _, err := ledger.Reached(t.Context(), w.log, end, 0); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("without patience: %v", err)
	}
	w.log.FailNext(ledgertest.OpLast, ledgertest.Fault{Err: ledger.ErrGap})
	if _, err := ledger.Reached(t.Context(), w.log, end, time.Minute); !errors.Is(err, ledger.ErrGap) {
		t.Errorf("a log with a gap: %v", err)
	}
}

func TestReachedEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.log.Inject(func(context.Context, ledgertest.Op) ledgertest.Fault {
		cancel()
		return ledgertest.Fault{Err: ledger.ErrUnavailable}
	})
	if _, err := ledger.Reached(ctx, w.log, 1, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
