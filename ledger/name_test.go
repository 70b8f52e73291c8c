package ledger_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"keyledger/ledger"
)

// named is a create of a key that is unique by name.
func named(agent, name string) ledger.Create {
	return ledger.Create{Name: name, Owner: ledger.Owner{AgentID: agent}, UniqueName: true}
}

// taken checks that a name is in use.
func (w *world) taken(do func() error) {
	w.t.Helper()
	if e := w.refused(ledger.CodeConflict, do); e.Field != "name" || e.Detail == "" {
		w.t.Fatalf("a taken name: field %q, %q", e.Field, e.Detail)
	}
}

func (w *world) creating(in ledger.Create) func() error {
	return func() error { _, err := w.Create(w.ctx(), &w.root, &in); return err }
}

func (w *world) renaming(k ledger.Key, name string) func() error {
	return func() error {
		_, err := w.Update(w.ctx(), &w.root, k.ID, &ledger.Update{Name: &name})
		return err
	}
}

func TestUniqueName(t *testing.T) {
	w := newWorld(t)
	before := w.log.Len()
	k := w.create(named("bot", "ci")).Key
	if n := w.log.Len() - before; n != 2 || !k.UniqueName {
		t.Fatalf("%d events, unique %v", n, k.UniqueName)
	}
	w.taken(w.creating(named("bot", "ci")))
	for what, in := range map[string]ledger.Create{
		"another agent":        named("bot 2", "ci"),
		"another name":         named("bot", "CI"),
		"no name":              named("bot", ""),
		"another type":         {Name: "ci", Owner: ledger.Owner{AgentID: "bot"}, Type: ledger.TypeGitHub, UniqueName: true},
		"a narrower owner":     {Name: "ci", Owner: ledger.Owner{AgentID: "bot", Peer: "p"}, UniqueName: true},
		"a wider owner":        {Name: "ci", UniqueName: true},
		"one that need not be": {Name: "ci", Owner: ledger.Owner{AgentID: "bot"}},
	} {
		if err := w.creating(in)(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.taken(w.creating(named("bot", "")))
	for what, change := range map[string]func() (ledger.Key, error){
		"disabled": func() (ledger.Key, error) { return w.Disable(w.ctx(), &w.root, k.ID) },
		"rotated": func() (ledger.Key, error) {
			issued, err := w.Rotate(w.ctx(), &w.root, k.ID, &ledger.Rotate{})
			return issued.Key, err
		},
		"given other scopes": func() (ledger.Key, error) {
			return w.Update(w.ctx(), &w.root, k.ID, &ledger.Update{Scopes: &[]string{"read"}})
		},
	} {
		w.changed(1, change)
		if err := w.creating(named("bot", "ci"))(); ledger.CodeOf(err) != ledger.CodeConflict {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.changed(2, func() (ledger.Key, error) { return w.Revoke(w.ctx(), &w.root, k.ID, "") })
	w.changed(0, func() (ledger.Key, error) { return w.Revoke(w.ctx(), &w.root, k.ID, "") })
	w.create(named("bot", "ci"))
	w.taken(w.creating(named("bot", "ci")))
}

func TestUniqueNameMoves(t *testing.T) {
	w := newWorld(t)
	a, b := w.create(named("bot", "a")).Key, w.create(named("bot", "b")).Key
	w.taken(w.renaming(a, "b"))
	w.changed(3, func() (ledger.Key, error) {
		return w.Update(w.ctx(), &w.root, a.ID, &ledger.Update{Name: ptr("c")})
	})
	w.taken(w.renaming(b, "c"))
	w.taken(w.creating(named("bot", "c")))
	again := w.create(named("bot", "a")).Key
	w.taken(w.renaming(a, "a"))
	w.changed(2, func() (ledger.Key, error) { return w.Revoke(w.ctx(), &w.root, again.ID, "") })
	w.changed(3, func() (ledger.Key, error) {
		return w.Update(w.ctx(), &w.root, a.ID, &ledger.Update{Name: ptr("a")})
	})
	w.changed(0, func() (ledger.Key, error) {
		return w.Update(w.ctx(), &w.root, a.ID, &ledger.Update{Name: ptr("a")})
	})
}

func TestKeyByName(t *testing.T) {
	w := newWorld(t)
	owner := ledger.Owner{Workspace: "acme", AgentID: "bot"}
	in := ledger.Create{Name: "ci", Owner: owner, Type: ledger.TypeSlack, UniqueName: true}
	k := w.create(in).Key
	w.create(ledger.Create{Name: "plain", Owner: owner})
	read := []string{ledger.ScopeRead}
	bound := w.caller(ledger.Create{Owner: owner, Scopes: read})
	foreign := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "other"}, Scopes: read})
	lacking := w.caller(ledger.Create{Owner: owner})
	find := func(c *ledger.Call, owner ledger.Owner, keyType, name string) (ledger.Key, error) {
		return w.KeyByName(w.ctx(), &c.Principal, owner, keyType, name)
	}
	for _, c := range []struct {
		call  *ledger.Call
		owner ledger.Owner
	}{{&w.root, owner}, {bound, owner}, {bound, ledger.Owner{}}, {bound, ledger.Owner{AgentID: "bot"}}} {
		if got := must(find(c.call, c.owner, ledger.TypeSlack, "ci")); got.ID != k.ID {
			t.Errorf("%+v: %+v", c.owner, got)
		}
	}
	for what, do := range map[string]func() error{
		"another name":        func() error { _, err := find(&w.root, owner, ledger.TypeSlack, "CI"); return err },
		"another type":        func() error { _, err := find(&w.root, owner, "", "ci"); return err },
		"a wider owner":       func() error { _, err := find(&w.root, ledger.Owner{}, ledger.TypeSlack, "ci"); return err },
		"one that is no name": func() error { _, err := find(&w.root, owner, "", "plain"); return err },
		"a foreign one":       func() error { _, err := find(foreign, owner, ledger.TypeSlack, "ci"); return err },
	} {
		t.Run(what, func(*testing.T) { w.refused(ledger.CodeNotFound, do) })
	}
	w.refused(ledger.CodeForbidden, func() error { _, err := find(lacking, owner, ledger.TypeSlack, "ci"); return err })
	must(w.Update(w.ctx(), &w.root, k.ID, &ledger.Update{Name: ptr("cd")}))
	w.refused(ledger.CodeNotFound, func() error { _, err := find(&w.root, owner, ledger.TypeSlack, "ci"); return err })
	if got := must(find(&w.root, owner, ledger.TypeSlack, "cd")); got.ID != k.ID {
		t.Errorf("renamed: %+v", got)
	}
	must(w.Revoke(w.ctx(), &w.root, k.ID, ""))
	w.refused(ledger.CodeNotFound, func() error { _, err := find(&w.root, owner, ledger.TypeSlack, "cd"); return err })
}

// A name that was released elsewhere is free, however little this node has heard of it.
func TestUniqueNameReleasedElsewhere(t *testing.T) {
	w := newWorld(t)
	nodes := w.nodes(2)
	k := w.create(named("bot", "ci")).Key
	w.level(nodes)
	w.ear.Lock()
	must(nodes[1].Revoke(w.ctx(), &w.root, k.ID, ""))
	created := make(chan error)
	go func() { created <- w.creating(named("bot", "ci"))() }()
	w.ear.Unlock() // before it is waited for, at any moment
	if err := <-created; err != nil {
		t.Fatal(err)
	}
}

func TestRaceForOneName(t *testing.T) {
	w := newWorld(t)
	nodes := w.nodes(2)
	for round := range 5 {
		in := named("bot", strconv.Itoa(round))
		before := w.log.Len()
		codes := together(50, func(i int) error {
			_, err := nodes[i%2].Create(w.ctx(), &w.root, &in)
			return err
		})
		if codes[""] != 1 || codes[ledger.CodeConflict] != 49 {
			t.Fatalf("50 creates of one name: %v", codes)
		}
		if n := w.log.Len() - before; n != 2 {
			t.Fatalf("they appended %d events, want the claim and the key", n)
		}
	}
}

// Creates, renames and revocations of a few names at once: at the end each name is held by the one key that has it.
func TestRaceOfNames(t *testing.T) {
	w := newWorld(t)
	nodes := w.nodes(2)
	names := []string{"a", "b", "c"}
	together(60, func(i int) error {
		node, name := nodes[i%2], names[i%3]
		issued, err := node.Create(w.ctx(), &w.root, ptr(named("bot", name)))
		if err == nil && i%2 == 0 {
			_, err = node.Update(w.ctx(), &w.root, issued.Key.ID, &ledger.Update{Name: ptr(names[(i+1)%3])})
		}
		if err == nil && i%4 < 2 {
			_, err = node.Revoke(w.ctx(), &w.root, issued.Key.ID, "")
		}
		return err
	})
	w.level(nodes)
	page := must(w.Keys(w.ctx(), &w.root.Principal, &ledger.Query{Agent: "bot", NotRevoked: true, Limit: 100}))
	seen := make(map[string]int)
	for _, k := range page.Keys {
		seen[k.Name]++
		if got := must(w.KeyByName(w.ctx(), &w.root.Principal, k.Owner, k.Type, k.Name)); got.ID != k.ID {
			t.Errorf("%s is held by %s, not %s", k.Name, got.ID, k.ID)
		}
	}
	for _, name := range names {
		if seen[name] > 1 {
			t.Errorf("%d keys are named %s", seen[name], name)
		}
		if seen[name] == 0 {
			w.create(named("bot", name))
		}
	}
}

// A repeat of a create finds its own key, not a taken name.
func TestUniqueNameRepeated(t *testing.T) {
	w := newWorld(t)
	in := named("bot", "ci")
	with := func(seed byte) *ledger.Call {
		c := w.root
		c.Entropy = rand.NewChaCha8([32]byte{seed})
		return &c
	}
	once := func() (ledger.Issued, error) { return w.Create(w.ctx(), with(1), &in) }
	first := must(once())
	before := w.log.Len()
	again := must(once())
	if again.Key.ID != first.Key.ID || again.Token.Reveal() != first.Token.Reveal() || w.log.Len() != before {
		t.Fatalf("the repeat made %s, not %s, and %d events", again.Key.ID, first.Key.ID, w.log.Len()-before)
	}
	w.taken(func() error { _, err := w.Create(w.ctx(), with(2), &in); return err })
}

func TestActor(t *testing.T) {
	w := newWorld(t)
	c := &ledger.Call{Principal: ledger.Principal{Actor: "honcho-admin", Scopes: ledger.ScopeAll}}
	k := must(w.Create(w.ctx(), c, &ledger.Create{})).Key
	if k.CreatedBy != "honcho-admin" {
		t.Errorf("created by %q", k.CreatedBy)
	}
	c.Principal.KeyID = w.first.Key.ID
	k = must(w.Create(w.ctx(), c, &ledger.Create{})).Key
	if k.CreatedBy != w.first.Key.ID.String() {
		t.Errorf("created by %q", k.CreatedBy)
	}
	c.Principal = ledger.Principal{Actor: "not visible", Scopes: ledger.ScopeAll}
	before := w.log.Len()
	if _, err := w.Create(w.ctx(), c, &ledger.Create{}); err == nil || w.log.Len() != before {
		t.Errorf("an actor with a space: %v", err)
	}
}
