package ledgertest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"keyledger/ledger"
)

// HeadConformance holds a ledger.HeadLog to its contract. open gives an empty one, and ends it with the test.
func HeadConformance(t *testing.T, open func(t *testing.T) ledger.HeadLog) {
	t.Run("heads follow each other", func(t *testing.T) { headsInOrder(t, open(t)) })
	t.Run("of many at once one is stored", func(t *testing.T) { headsRace(t, open(t)) })
}

func headsInOrder(t *testing.T, log ledger.HeadLog) {
	if note, sequence, err := log.LastHead(t.Context()); note != nil || sequence != 0 || err != nil {
		t.Fatalf("the last of none: %q %d %v", note, sequence, err)
	}
	var last uint64
	for i := range 5 {
		want := fmt.Sprint("head ", i)
		sequence, err := log.AppendHead(t.Context(), []byte(want), last)
		if err != nil || sequence <= last {
			t.Fatalf("%s: sequence %d after %d, %v", want, sequence, last, err)
		}
		for _, after := range []uint64{last, sequence + 1} {
			if _, err := log.AppendHead(t.Context(), []byte("another"), after); !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("after %d, when the last is %d: %v", after, sequence, err)
			}
		}
		last = sequence
		if note, got, err := log.LastHead(t.Context()); string(note) != want || got != last || err != nil {
			t.Fatalf("%s: %q %d %v", want, note, got, err)
		}
	}
}

func headsRace(t *testing.T, log ledger.HeadLog) {
	var last uint64
	for round := range 10 {
		var stored atomic.Uint64
		var running sync.WaitGroup
		for i := range 8 {
			running.Go(func() {
				sequence, err := log.AppendHead(t.Context(), fmt.Append(nil, round, i), last)
				if err == nil && !stored.CompareAndSwap(0, sequence) {
					t.Error("two were stored")
				} else if err != nil && !errors.Is(err, ledger.ErrConflict) {
					t.Error(err)
				}
			})
		}
		running.Wait()
		if last = stored.Load(); last == 0 {
			t.Fatal("none was stored")
		}
	}
}
