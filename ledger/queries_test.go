package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// list walks through all pages.
func (w *world) list(c *ledger.Call, q ledger.Query) (names []string) {
	w.t.Helper()
	for {
		page := must(w.Keys(w.ctx(), &c.Principal, &q))
		if len(page.Keys) > q.Limit {
			w.t.Fatalf("a page of %d holds %d", q.Limit, len(page.Keys))
		}
		for _, k := range page.Keys {
			names = append(names, k.Name)
		}
		if q.After = page.Next; page.Next == (ledger.Cursor{}) {
			return names
		}
	}
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	ids := make(map[string]uuid.UUID)
	add := func(in ledger.Create) {
		w.clock.Advance(time.Second)
		ids[in.Name] = w.create(in).Key.ID
	}
	soon := w.clock.Now().Add(time.Hour)
	add(ledger.Create{Name: "a1", Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{"x", "y"}})
	add(ledger.Create{Name: "a2", Owner: ledger.Owner{Workspace: "acme", Org: "o"}, Environment: ledger.Test, Type: ledger.TypeGitHub})
	add(ledger.Create{Name: "b1", Owner: ledger.Owner{Workspace: "other", Org: "o", AgentID: "a"}, NotBefore: soon})
	add(ledger.Create{Name: "b2", Owner: ledger.Owner{Workspace: "other", AgentID: "a", Peer: "p", Session: "s"}, ExpiresAt: soon})
	add(ledger.Create{Name: "c1", Scopes: []string{"xy"}})
	must(w.Disable(w.ctx(), &w.root, ids["a1"]))
	must(w.Revoke(w.ctx(), &w.root, ids["a2"], ""))

	caller := func(in ledger.Create) *ledger.Call {
		w.clock.Advance(time.Second)
		return w.caller(in)
	}
	bound := caller(ledger.Create{Name: "bound", Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeRead}})
	peer := caller(ledger.Create{Name: "peer", Owner: ledger.Owner{Workspace: "other", AgentID: "a", Peer: "p", Session: "s"}, Scopes: []string{ledger.ScopeRead}})
	lacking := caller(ledger.Create{Name: "lacking", Owner: ledger.Owner{Workspace: "acme"}})
	for name, c := range map[string]struct {
		call  *ledger.Call
		query ledger.Query
		want  []string
	}{
		"not revoked":            {&w.root, ledger.Query{Org: "o", NotRevoked: true}, []string{"b1"}},
		"oldest first":           {&w.root, ledger.Query{Org: "o", OldestFirst: true}, []string{"a2", "b1"}},
		"all, oldest first":      {&w.root, ledger.Query{OldestFirst: true, NamePrefix: "b"}, []string{"b1", "b2", "bound"}},
		"by part of the name":    {&w.root, ledger.Query{Name: "b"}, nil},
		"by all of the name":     {&w.root, ledger.Query{Name: "b1"}, []string{"b1"}},
		"of an org":              {&w.root, ledger.Query{Org: "o"}, []string{"b1", "a2"}},
		"of an agent":            {&w.root, ledger.Query{Agent: "a"}, []string{"peer", "b2", "b1"}},
		"of an agent's org":      {&w.root, ledger.Query{Agent: "a", Org: "o"}, []string{"b1"}},
		"of a peer":              {&w.root, ledger.Query{Peer: "p"}, []string{"peer", "b2"}},
		"by name":                {&w.root, ledger.Query{NamePrefix: "a"}, []string{"a2", "a1"}},
		"by environment":         {&w.root, ledger.Query{Environment: ledger.Test}, []string{"a2"}},
		"by type":                {&w.root, ledger.Query{Type: ledger.TypeGitHub}, []string{"a2"}},
		"by scope":               {&w.root, ledger.Query{Scope: "x"}, []string{"a1"}},
		"disabled":               {&w.root, ledger.Query{Status: ledger.Disabled}, []string{"a1"}},
		"revoked":                {&w.root, ledger.Query{Status: ledger.Revoked}, []string{"a2"}},
		"scheduled":              {&w.root, ledger.Query{Status: ledger.Scheduled}, []string{"b1"}},
		"expired":                {&w.root, ledger.Query{Status: ledger.Expired}, nil},
		"expired in an hour":     {&w.root, ledger.Query{Status: ledger.Expired, Now: soon}, []string{"b2"}},
		"used":                   {&w.root, ledger.Query{UsedBefore: soon}, nil},
		"unused, with a status":  {&w.root, ledger.Query{UnusedSince: soon, NamePrefix: "b", Status: ledger.Active}, []string{"bound", "b2"}},
		"what one is bound to":   {bound, ledger.Query{}, []string{"lacking", "bound", "a2", "a1"}},
		"and states":             {bound, ledger.Query{Workspace: "acme", Org: "o"}, []string{"a2"}},
		"bound to a session":     {peer, ledger.Query{}, []string{"peer", "b2"}},
		"everything, by 2 pages": {&w.root, ledger.Query{Limit: 5}, []string{"lacking", "peer", "bound", "c1", "b2", "b1", "a2", "a1", "root"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{1, 2, 1000} {
				q := c.query
				q.Limit = limit
				if got := w.list(c.call, q); !slices.Equal(got, c.want) {
					t.Fatalf("by %d: got %v, want %v", limit, got, c.want)
				}
			}
		})
	}
	keys := func(c *ledger.Call, q ledger.Query) func() error {
		return func() error { _, err := w.Keys(w.ctx(), &c.Principal, &q); return err }
	}
	for _, q := range []ledger.Query{{Workspace: "other"}, {Workspace: "acme2", Agent: "a"}} {
		q.Limit = 10
		w.refused(ledger.CodeNotFound, keys(bound, q))
		w.refused(ledger.CodeNotFound, keys(lacking, q))
	}
	w.refused(ledger.CodeNotFound, keys(peer, ledger.Query{Session: "t", Limit: 10}))
	w.refused(ledger.CodeForbidden, keys(lacking, ledger.Query{Limit: 10}))
	for _, limit := range []int{0, -1, 1001} {
		w.refused(ledger.CodeInvalid, keys(&w.root, ledger.Query{Limit: limit}))
	}
}

func TestKey(t *testing.T) {
	w := newWorld(t)
	issued := w.create(ledger.Create{Name: "ci"})
	if k := must(w.Key(w.ctx(), &w.root.Principal, issued.Key.ID)); k.Name != "ci" || k.Sequence != issued.Key.Sequence {
		t.Fatalf("got %+v", k)
	}
}

func TestKeyEvents(t *testing.T) {
	w := newWorld(t)
	id := w.create(ledger.Create{Token: ledger.NewSecret(fmt.Sprintf("%040d", 1))}).Key.ID
	for i := range 5 {
		w.create(ledger.Create{})
		must(w.Update(w.ctx(), &w.root, id, &ledger.Update{Name: ptr(fmt.Sprint(i))}))
	}
	all := must(w.KeyEvents(w.ctx(), &w.root.Principal, id, 0, 1000))
	if len(all) != 6 || all[0].Type != events.KeyCreated {
		t.Fatalf("got %d events", len(all))
	}
	var k ledger.Key
	for i := range all {
		k = ledger.Evolve(k, &all[i])
	}
	w.visible(k)
	for _, c := range []struct {
		from  uint64
		limit int
		want  []events.Event
	}{
		{1, 2, all[:2]},
		{all[2].Sequence, 10, all[2:]},
		{all[2].Sequence + 1, 2, all[3:5]},
		{all[5].Sequence + 1, 10, nil},
	} {
		got := must(w.KeyEvents(w.ctx(), &w.root.Principal, id, c.from, c.limit))
		if len(got) != len(c.want) || len(got) > 0 && got[0].Sequence != c.want[0].Sequence {
			t.Errorf("from %d, at most %d: %d events, want %d", c.from, c.limit, len(got), len(c.want))
		}
	}
	for _, limit := range []int{0, -1, 1001} {
		w.refused(ledger.CodeInvalid, func() error { _, err := w.KeyEvents(w.ctx(), &w.root.Principal, id, 1, limit); return err })
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	acme, other := ledger.Owner{Workspace: "acme"}, ledger.Owner{Workspace: "other", AgentID: "a"}
	one := w.create(ledger.Create{Owner: acme}).Key.ID
	two := w.create(ledger.Create{Owner: other, Token: ledger.NewSecret(fmt.Sprintf("%040d", 1))}).Key.ID
	must(w.Revoke(w.ctx(), &w.root, one, ""))
	must(w.Disable(w.ctx(), &w.root, two))
	see := []string{ledger.ScopeEvents}
	bound := w.caller(ledger.Create{Owner: acme, Scopes: see})
	peer := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme", Peer: "p"}, Scopes: see})
	lacking := w.caller(ledger.Create{Owner: acme})

	types := func(c *ledger.Call, owner ledger.Owner, from uint64, limit int) (list []events.Type) {
		t.Helper()
		for _, e := range must(w.Events(w.ctx(), &c.Principal, owner, from, limit)) {
			if e.Payload == nil || e.Subject == "" {
				t.Errorf("an event without its body: %+v", e)
			}
			list = append(list, e.Type)
		}
		return list
	}
	created, revoked, disabled := events.KeyCreated, events.KeyRevoked, events.KeyDisabled
	for name, c := range map[string]struct {
		call  *ledger.Call
		owner ledger.Owner
		limit int
		want  []events.Type
	}{
		"of everyone":          {&w.root, ledger.Owner{}, 100, []events.Type{created, created, created, revoked, disabled, created, created, created}},
		"of a workspace":       {&w.root, ledger.Owner{Workspace: "other"}, 100, []events.Type{created, disabled}},
		"of an agent":          {&w.root, ledger.Owner{AgentID: "a"}, 1, []events.Type{created}},
		"what one is bound to": {bound, ledger.Owner{}, 3, []events.Type{created, revoked, created}},
		"and states":           {bound, acme, 2, []events.Type{created, revoked}},
	} {
		if got := types(c.call, c.owner, 1, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := types(&w.root, other, must(w.Key(w.ctx(), &w.root.Principal, two)).Sequence, 10); !slices.Equal(got, []events.Type{disabled}) {
		t.Errorf("from a sequence: %v", got)
	}
	get := func(c *ledger.Call, owner ledger.Owner, limit int) func() error {
		return func() error { _, err := w.Events(w.ctx(), &c.Principal, owner, 1, limit); return err }
	}
	w.refused(ledger.CodeNotFound, get(bound, other, 10))
	w.refused(ledger.CodeNotFound, get(lacking, other, 10))
	w.refused(ledger.CodeForbidden, get(lacking, acme, 10))
	w.refused(ledger.CodeForbidden, get(peer, ledger.Owner{}, 10))
	w.refused(ledger.CodeInvalid, get(bound, ledger.Owner{Peer: "p"}, 10))
	w.refused(ledger.CodeInvalid, get(bound, ledger.Owner{Session: "s"}, 10))
	w.refused(ledger.CodeInvalid, get(&w.root, ledger.Owner{Workspace: "\xff"}, 10))
	w.refused(ledger.CodeInvalid, get(&w.root, ledger.Owner{}, 0))
}
