package ledgertest

import (
	"fmt"
	"testing"
	"time"

	"keyledger/ledger"
)

// ReadConformance holds a ledger.ReadLog to its contract. open gives an empty one, and ends it with the test.
func ReadConformance(t *testing.T, open func(t *testing.T) ledger.ReadLog) {
	t.Run("batches in order, from any sequence", func(t *testing.T) { readsInOrder(t, open(t)) })
	t.Run("a repeated batch is stored once", func(t *testing.T) { readsRepeated(t, open(t)) })
}

func readsInOrder(t *testing.T, log ledger.ReadLog) {
	expectReads(t, log, 1, 10)
	began := time.Now().Add(-time.Second)
	const n = 300
	for i := range n {
		if err := log.AppendReads(t.Context(), fmt.Appendf(nil, "batch %d", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if last, err := log.LastReads(t.Context()); err != nil || last != n {
		t.Errorf("the last batch is %d, %v, want %d", last, err, n)
	}
	for _, page := range []struct {
		from  uint64
		limit int
		want  int
	}{{0, 10, 10}, {1, 1, 1}, {1, n, n}, {1, 2 * n, n}, {100, 128, 128}, {n, 5, 1}, {n + 1, 5, 0}, {2 * n, 5, 0}} {
		got := expectReads(t, log, page.from, page.limit)
		if len(got) != page.want {
			t.Errorf("%d batches from %d, at most %d: want %d", len(got), page.from, page.limit, page.want)
		}
		last := began
		for i, b := range got {
			sequence := max(page.from, 1) + uint64(i)
			if b.Sequence != sequence || string(b.Data) != fmt.Sprintf("batch %d", sequence) {
				t.Errorf("got %d, %q, want batch %d", b.Sequence, b.Data, sequence)
			}
			if b.StoredAt.Before(last) || time.Until(b.StoredAt) > time.Second {
				t.Errorf("batch %d was stored at %v, the one before it at %v", sequence, b.StoredAt, last)
			}
			last = b.StoredAt
		}
	}
}

func readsRepeated(t *testing.T, log ledger.ReadLog) {
	for _, batch := range []string{"one", "one", "two", "two"} {
		if err := log.AppendReads(t.Context(), []byte(batch)); err != nil {
			t.Fatal(err)
		}
	}
	got := expectReads(t, log, 1, 10)
	if len(got) != 2 || string(got[0].Data) != "one" || string(got[1].Data) != "two" {
		t.Errorf("got %d batches: %v", len(got), got)
	}
}

func expectReads(t *testing.T, log ledger.ReadLog, from uint64, limit int) []ledger.ReadBatch {
	t.Helper()
	got, err := log.ReadBatches(t.Context(), from, limit)
	if err != nil {
		t.Fatalf("batches from %d: %v", from, err)
	}
	return got
}
