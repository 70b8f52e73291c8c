package ledgertest

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"keyledger/ledger"
)

// VaultConformance holds a ledger.Vault to its contract. open gives an empty one, and ends it with the test.
func VaultConformance(t *testing.T, open func(t *testing.T) ledger.Vault) {
	t.Run("what is kept is found", func(t *testing.T) { vaultKeep(t, open(t)) })
	t.Run("only the last revision is replaced", func(t *testing.T) { vaultRevisions(t, open(t)) })
	t.Run("all that is kept is listed", func(t *testing.T) { vaultList(t, open(t)) })
	t.Run("of many at once one keeps", func(t *testing.T) { vaultRace(t, open(t)) })
}

// holds fails unless a vault holds a value under a name, and returns its revision.
func holds(t *testing.T, vault ledger.Vault, name, want string) uint64 {
	t.Helper()
	value, revision, err := vault.Secret(t.Context(), name)
	if err != nil || string(value) != want || (revision > 0) != (want != "") {
		t.Fatalf("%q: got %q at %d, %v, want %q", name, value, revision, err, want)
	}
	return revision
}

func vaultKeep(t *testing.T, vault ledger.Vault) {
	names := []string{".", "~", "acme", "acme 1 00", "a.>", "*", fmt.Sprintf("%0255d", 1)}
	for i, name := range names {
		holds(t, vault, name, "")
		if err := vault.Scrub(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		revision, err := vault.Keep(t.Context(), name, fmt.Append(nil, "value ", i), 0)
		if err != nil {
			t.Fatal(err)
		}
		if was := holds(t, vault, name, fmt.Sprint("value ", i)); was != revision {
			t.Fatalf("the revision of %q is %d, and %d when it was kept", name, was, revision)
		}
	}
	for i, name := range names {
		holds(t, vault, name, fmt.Sprint("value ", i))
	}
}

func vaultRevisions(t *testing.T, vault ledger.Vault) {
	ctx := t.Context()
	conflicts := func(after uint64) {
		t.Helper()
		if _, err := vault.Keep(ctx, "name", []byte("no"), after); !errors.Is(err, ledger.ErrConflict) {
			t.Fatalf("keep after revision %d: %v, want ErrConflict", after, err)
		}
	}
	conflicts(7)
	var before, last uint64
	for i := range 5 {
		next, err := vault.Keep(ctx, "name", fmt.Append(nil, i), last)
		if err != nil || next <= last {
			t.Fatalf("revision %d after %d, %v", next, last, err)
		}
		before, last = last, next
		conflicts(before)
		conflicts(last + 1)
		holds(t, vault, "name", fmt.Sprint(i))
	}
	if err := vault.Scrub(ctx, "name"); err != nil {
		t.Fatal(err)
	}
	if revision := holds(t, vault, "name", "4"); revision != last {
		t.Fatalf("the revision is %d, want %d", revision, last)
	}
}

// vaultList holds the list to what is kept, page by page: a name comes once, with what it has now.
func vaultList(t *testing.T, vault ledger.Vault) {
	ctx := t.Context()
	want := map[string]string{}
	keep := func(name, value string, after uint64) uint64 {
		t.Helper()
		revision, err := vault.Keep(ctx, name, []byte(value), after)
		if err != nil {
			t.Fatal(err)
		}
		want[ledger.SecretPlace(name)] = value
		return revision
	}
	for _, limit := range []int{1, 2, 100} {
		first := keep(fmt.Sprint("a ", limit), "1", 0)
		keep(fmt.Sprint("b ", limit), "2", 0)
		keep(fmt.Sprint("a ", limit), "3", first)
		got := map[string]string{}
		for after := uint64(0); ; {
			page, err := vault.Secrets(ctx, after, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("%d of %d, %v", len(page), limit, err)
			}
			if len(page) == 0 {
				break
			}
			for _, s := range page {
				if _, twice := got[s.Place]; twice || s.Revision <= after {
					t.Fatalf("limit %d: %s comes at %d after %d, before: %v", limit, s.Place, s.Revision, after, twice)
				}
				got[s.Place], after = string(s.Value), s.Revision
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("limit %d: got %v, want %v", limit, got, want)
		}
	}
}

func vaultRace(t *testing.T, vault ledger.Vault) {
	var last uint64
	for range 10 {
		var won atomic.Int32
		var revision atomic.Uint64
		var running sync.WaitGroup
		for i := range 16 {
			running.Go(func() {
				next, err := vault.Keep(t.Context(), "name", fmt.Append(nil, i), last)
				if err == nil {
					won.Add(1)
					revision.Store(next)
				} else if !errors.Is(err, ledger.ErrConflict) {
					t.Error(err)
				}
			})
		}
		running.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 16 won", won.Load())
		}
		last = revision.Load()
	}
}
