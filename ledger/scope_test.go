package ledger_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keyledger/ledger"
)

func TestScopesHas(t *testing.T) {
	for _, c := range []struct {
		set   ledger.Scopes
		scope string
		want  bool
	}{
		{"", "", false},
		{"", "a", false},
		{"a", "", false},
		{"a b c", "a", true},
		{"a b c", "b", true},
		{"a b c", "c", true},
		{"a b c", "b c", false},
		{"ab bc", "b", false},
		{"ab bc", "a", false},
		{"a", "A", false},
		{"ledger:*", "ledger:keys:create", true},
		{"ledger:*", "ledger:*", true},
		{"ledger:*", "ledger:", true},
		{"ledger:*", "read", false},
		{"ledger:*", "ledger", false},
		{"x ledger:* y", "ledger:audit", true},
		{"ledger:keys:create", "ledger:*", false},
		{"ledger:keys:create", "ledger:keys", false},
		{"ledger:keys:*", "ledger:keys:create", false},
		{"*", "read", false},
	} {
		if got := c.set.Has(c.scope); got != c.want {
			t.Errorf("%q has %q: %v", c.set, c.scope, got)
		}
	}
}

func TestScopes(t *testing.T) {
	scope := rapid.SampledFrom([]string{"a", "b", "ab", "read:x", "ledger:*", "ledger:audit", "~!#"})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(scope).Draw(t, "scopes")
		set, err := ledger.NewScopes(list)
		if err != nil {
			t.Fatal(err)
		}
		var want []string // in order, without repeats
		for _, s := range list {
			if !slices.Contains(want, s) {
				want = append(want, s)
			}
		}
		if got := slices.Collect(set.All()); !slices.Equal(got, want) || string(set) != strings.Join(want, " ") {
			t.Fatalf("%q is %q, want %q", list, set, want)
		}
		for _, s := range want {
			if !set.Has(s) {
				t.Fatalf("%q does not have %q", set, s)
			}
		}
		for range set.All() { // ends early
			break
		}
	})
}

func TestScopesHasDoesNotAllocate(t *testing.T) {
	set := ledger.Scopes("read write admin")
	if n := testing.AllocsPerRun(100, func() { set.Has("admin"); set.Has("none"); set.Has(ledger.ScopeRead) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
