package projections_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// TestPagesWhileKeysAreAdded follows pages while others create: no key that was there at the beginning is missing or
// comes twice.
func TestPagesWhileKeysAreAdded(t *testing.T) {
	modes(t, func(t *testing.T, diskIndex bool) {
		log := ledgertest.NewLog()
		v := run(t, open(t, projections.Options{FS: vfs.NewMem(), DiskIndex: diskIndex}), log)
		s, call := rooted(t, v, log, time.Now)
		first := create(t, s, call, "acme", 300)
		ctx, cancel := context.WithCancel(t.Context())
		var adding sync.WaitGroup
		adding.Go(func() {
			for ctx.Err() == nil {
				create(t, s, call, "acme", 1)
			}
		})
		for _, limit := range []int{1, 7, 50} {
			seen := map[uuid.UUID]int{}
			last := ledger.Cursor{}
			for _, k := range allKeys(t, v, ledger.Query{Workspace: "acme", Limit: limit}) {
				seen[k.ID]++
				place := ledger.Cursor{CreatedAt: k.CreatedAt, ID: k.ID}
				if last != (ledger.Cursor{}) && last.Compare(place) >= 0 {
					t.Errorf("limit %d: %v follows %v", limit, place, last)
				}
				last = place
			}
			for _, k := range first {
				if seen[k.Key.ID] != 1 {
					t.Errorf("limit %d: a key is there %d times", limit, seen[k.Key.ID])
				}
			}
		}
		cancel()
		adding.Wait()
	})
}

// TestAFilteredPageIsBounded asks for what few keys have: a page looks at a bounded number of keys, and all pages
// together find all.
func TestAFilteredPageIsBounded(t *testing.T) {
	const n = projections.MaxExamined + 100
	log := newBulk(t, n)
	v := open(t, projections.Options{FS: vfs.NewMem()})
	build(t, v, log)
	q := ledger.Query{NamePrefix: "deploy key 1234", Limit: 50} // the oldest keys, so the last ones
	page, err := v.Keys(t.Context(), &q)
	if err != nil || len(page.Keys) != 11 && len(page.Keys) != 0 || page.Next == (ledger.Cursor{}) {
		t.Errorf("the first page has %d keys, next %v, %v", len(page.Keys), page.Next, err)
	}
	if keys := allKeys(t, v, q); len(keys) != 11 {
		t.Errorf("there are %d keys, not 11", len(keys))
	}
	if keys := allKeys(t, v, ledger.Query{NamePrefix: "none", Limit: 1}); len(keys) != 0 {
		t.Errorf("there are %d keys", len(keys))
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Keys(cancelled, &q); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled query ends with %v", err)
	}
}

func TestAForeignCursorIsRefused(t *testing.T) {
	v := open(t, projections.Options{FS: vfs.NewMem()})
	for _, cursor := range []string{"x", "00", "0102030405060708090a"} {
		if _, err := v.Agents(t.Context(), &ledger.AgentQuery{Limit: 1, After: cursor}); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("%q: %v", cursor, err)
		}
	}
}
