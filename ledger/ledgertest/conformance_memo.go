package ledgertest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"keyledger/ledger"
)

// MemoConformance holds a ledger.Memo to its contract. open gives an empty one, and ends it with the test.
func MemoConformance(t *testing.T, open func(t *testing.T) ledger.Memo) {
	t.Run("the first to claim a name wins", func(t *testing.T) { memoClaim(t, open(t)) })
	t.Run("of many at once one wins", func(t *testing.T) { memoRace(t, open(t)) })
	t.Run("only the last revision is replaced or removed", func(t *testing.T) { memoRevisions(t, open(t)) })
}

// claimed claims a name, which must give a value (empty: the claim was won), and returns the revision.
func claimed(t *testing.T, memo ledger.Memo, name, value, want string) uint64 {
	t.Helper()
	existing, revision, err := memo.Claim(t.Context(), name, []byte(value))
	if err != nil || string(existing) != want {
		t.Fatalf("claim %q: got %q, %v, want %q", name, existing, err, want)
	}
	return revision
}

func memoClaim(t *testing.T, memo ledger.Memo) {
	names := []string{"a", "A", "a b", "a.b", "a.>", "*", "ä/\x00", fmt.Sprintf("%0255d", 1)}
	for i, name := range names {
		first := claimed(t, memo, name, fmt.Sprint("value ", i), "")
		if again := claimed(t, memo, name, "another", fmt.Sprint("value ", i)); again != first {
			t.Fatalf("the revision of %q is %d, and %d when it was claimed", name, again, first)
		}
	}
}

func memoRace(t *testing.T, memo ledger.Memo) {
	for round := range 10 {
		var won atomic.Int32
		var running sync.WaitGroup
		for i := range 16 {
			running.Go(func() {
				existing, _, err := memo.Claim(t.Context(), fmt.Sprint("round ", round), fmt.Append(nil, i))
				if err != nil {
					t.Error(err)
				} else if existing == nil {
					won.Add(1)
				}
			})
		}
		running.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 16 won", won.Load())
		}
	}
}

func memoRevisions(t *testing.T, memo ledger.Memo) {
	ctx := t.Context()
	first := claimed(t, memo, "name", "one", "")
	second, err := memo.Replace(ctx, "name", []byte("two"), first)
	if err != nil {
		t.Fatal(err)
	}
	conflicts := func(revision uint64) {
		t.Helper()
		if _, err := memo.Replace(ctx, "name", []byte("three"), revision); !errors.Is(err, ledger.ErrConflict) {
			t.Fatalf("replace of revision %d: %v, want ErrConflict", revision, err)
		}
		if err := memo.Remove(ctx, "name", revision); !errors.Is(err, ledger.ErrConflict) {
			t.Fatalf("remove of revision %d: %v, want ErrConflict", revision, err)
		}
	}
	conflicts(first)
	if revision := claimed(t, memo, "name", "four", "two"); revision != second {
		t.Fatalf("the revision is %d, want %d", revision, second)
	}
	if err := memo.Remove(ctx, "name", second); err != nil {
		t.Fatal(err)
	}
	conflicts(second)
	claimed(t, memo, "name", "five", "")
}
