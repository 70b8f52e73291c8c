package ledger_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// together runs n functions at once and counts the codes of their errors.
func together(n int, do func(i int) error) map[ledger.Code]int {
	var mu sync.Mutex
	codes := make(map[ledger.Code]int)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-start
			code := ledger.CodeOf(do(i))
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	close(start)
	running.Wait()
	return codes
}

func TestRaceForOneToken(t *testing.T) {
	w := newWorld(t)
	nodes := w.nodes(2)
	for round := range 5 {
		token := ledger.NewSecret(strings.Repeat("x", 40+round))
		before := w.log.Len()
		codes := together(50, func(i int) error {
			_, err := nodes[i%2].Create(w.ctx(), &w.root, &ledger.Create{Token: token})
			return err
		})
		if codes[""] != 1 || codes[ledger.CodeConflict] != 49 {
			t.Fatalf("50 creates with one token: %v", codes)
		}
		if n := w.log.Len() - before; n != 2 {
			t.Fatalf("they appended %d events, want the claim and the key", n)
		}
		if d := w.decision(token); d != ledger.Valid {
			t.Fatalf("the token is %s", d)
		}
	}
}

// Two nodes race to take away the last two roots, each the one that the other counts on.
func TestRaceForTheLastRoot(t *testing.T) {
	w := newWorld(t)
	nodes := w.nodes(2)
	c := w.caller(ledger.Create{Scopes: []string{ledger.ScopeCreate, ledger.ScopeRevoke, ledger.ScopeUpdate}})
	root := w.first.Key.ID
	for range 30 {
		other := w.rootBesides(root)
		roots := []uuid.UUID{root, other}
		w.level(nodes)
		codes := together(2, func(i int) error {
			_, err := nodes[i].Revoke(w.ctx(), c, roots[i], "")
			return err
		})
		if codes[""] != 1 || codes[ledger.CodeConflict] != 1 {
			t.Fatalf("two revocations of two roots: %v", codes)
		}
		left := must(w.state.Roots(w.ctx()))
		if len(left) != 1 {
			t.Fatalf("%d roots are left", len(left))
		}
		root = left[0]
	}
}

// rootBesides makes another root key by means of the one that is left.
func (w *world) rootBesides(root uuid.UUID) uuid.UUID {
	w.t.Helper()
	p := ledger.Principal{KeyID: root, Scopes: ledger.ScopeAll}
	issued := must(w.Create(w.ctx(), &ledger.Call{Principal: p}, &ledger.Create{Scopes: []string{ledger.ScopeAll}}))
	return issued.Key.ID
}

// Of many commands on one key each is built upon the one before, or refused; none is lost, none happens twice.
func TestRaceOnOneKey(t *testing.T) {
	w := newWorld(t)
	nodes := w.nodes(3)
	id := w.create(ledger.Create{}).Key.ID
	w.level(nodes)
	before := w.log.Len()
	codes := together(30, func(i int) error {
		name := uuid.NewString()
		k, err := nodes[i%3].Update(w.ctx(), &w.root, id, &ledger.Update{Name: &name})
		if err == nil && k.Name != name {
			t.Errorf("an update to %s gives %s", name, k.Name)
		}
		return err
	})
	if codes[""]+codes[ledger.CodeConflict] != 30 || codes[""] == 0 {
		t.Fatalf("30 updates: %v", codes)
	}
	if n := w.log.Len() - before; n != codes[""] {
		t.Fatalf("%d updates appended %d events", codes[""], n)
	}
	w.level(nodes)
	c := w.root
	c.IfSequence = must(w.Key(w.ctx(), &w.root.Principal, id)).Sequence
	codes = together(30, func(i int) error {
		_, err := nodes[i%3].Update(w.ctx(), &c, id, &ledger.Update{Name: ptr(uuid.NewString())})
		return err
	})
	if codes[""] != 1 || codes[ledger.CodePrecondition] != 29 {
		t.Fatalf("30 updates with one If-Match: %v", codes)
	}
}

func TestRaceToRevoke(t *testing.T) {
	w := newWorld(t)
	nodes := w.nodes(2)
	id := w.create(ledger.Create{}).Key.ID
	w.level(nodes)
	before := w.log.Len()
	codes := together(30, func(i int) error { _, err := nodes[i%2].Revoke(w.ctx(), &w.root, id, "leaked"); return err })
	if codes[""] != 30 {
		t.Fatalf("30 equal revocations: %v", codes)
	}
	if n := w.log.Len() - before; n != 1 {
		t.Fatalf("they appended %d events", n)
	}
}

func TestRaceToRegister(t *testing.T) {
	w := newWorld(t)
	nodes := w.nodes(2)
	var mu sync.Mutex
	made, ids := 0, make(map[string]bool)
	codes := together(30, func(i int) error {
		a, created, err := nodes[i%2].RegisterAgent(w.ctx(), &w.root, &ledger.RegisterAgent{Name: "bot", Workspace: "acme"})
		mu.Lock()
		defer mu.Unlock()
		ids[a.ID] = true
		if created {
			made++
		}
		return err
	})
	if codes[""] != 30 || made != 1 || len(ids) != 1 {
		t.Fatalf("30 registrations of one name: %v, %d made, ids %v", codes, made, ids)
	}
}

// A revoke that is acknowledged is seen by every verification that begins after it.
func TestRevokeIsSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		issued := w.create(ledger.Create{})
		must(w.Revoke(w.ctx(), &w.root, issued.Key.ID, ""))
		if d := w.decision(issued.Token); d != ledger.KeyRevoked {
			t.Fatalf("after its revocation a token is %s", d)
		}
		w.unauthenticated("a revoked key", issued.Token.Reveal())
	}
}

func TestRaceToBootstrap(t *testing.T) {
	for range 20 {
		w := newBareWorld(t)
		nodes := w.nodes(3)
		var mu sync.Mutex
		var tokens []ledger.Secret
		codes := together(3, func(i int) error {
			issued, made, err := nodes[i].Bootstrap(w.ctx(), ledger.Secret{})
			mu.Lock()
			defer mu.Unlock()
			if made {
				tokens = append(tokens, issued.Token)
			}
			return err
		})
		if codes[""] != 3 || len(tokens) != 1 || w.log.Len() != 2 {
			t.Fatalf("3 nodes that start: %v, %d made it, %d events", codes, len(tokens), w.log.Len())
		}
		if _, err := w.Authenticate(w.ctx(), tokens[0].Reveal(), events.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
}
