package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

func TestAnnounceFirstUse(t *testing.T) {
	w := newUsedWorld(t)
	nodes := []*ledger.Service{w.Service, w.another()}
	a, b := announcer(nodes[0]), announcer(nodes[1])
	used, unused, revoked := w.create(ledger.Create{}), w.create(ledger.Create{}), w.create(ledger.Create{})
	w.look(a, b)
	w.noticed(w.first.Key.ID, "used")
	w.noticed(used.Key.ID)
	for range 3 {
		for _, n := range nodes {
			w.use(n, used.Token, revoked.Token)
			w.clock.Advance(time.Second)
		}
	}
	must(w.Revoke(w.ctx(), &w.root, revoked.Key.ID, ""))
	w.look(a, b)
	w.use(w.Service, used.Token)
	w.look(a, b)
	w.look(announcer(w.another())) // after a restart
	w.noticed(used.Key.ID, "used")
	w.noticed(unused.Key.ID)
	w.noticed(revoked.Key.ID)
	k := must(w.Key(w.ctx(), &w.root.Principal, used.Key.ID))
	if !k.FirstUsed || k.Revision != used.Key.Revision || !k.UpdatedAt.Equal(used.Key.UpdatedAt) {
		t.Errorf("got %+v", k)
	}
}

// No more first uses are announced in a look than are asked for, and the others later; those that a node did not come to
// are found by another one.
func TestAnnounceFirstUsesSlowly(t *testing.T) {
	w := newUsedWorld(t)
	few := ledger.AnnouncerConfig{FirstUses: 10}
	a := ledger.NewAnnouncer(w.Service, few)
	w.look(a) // of the root key
	var ids []uuid.UUID
	for range 35 {
		issued := w.create(ledger.Create{})
		w.use(w.Service, issued.Token)
		ids = append(ids, issued.Key.ID)
	}
	announced := func() (n int) {
		for _, id := range ids {
			if len(w.notices(id)) > 0 {
				w.noticed(id, "used")
				n++
			}
		}
		return n
	}
	w.look(a)
	if got := announced(); got != 10 {
		t.Errorf("%d were announced, want 10", got)
	}
	w.log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: true})
	if err := a.Look(w.ctx()); ledger.CodeOf(err) != ledger.CodeUnavailable {
		t.Errorf("a look without the log gives %v", err)
	}
	w.flush(ids...)
	follower := ledgertest.Follow(t, w.log, w.clock.Now)
	w.await(follower, ids...)
	other := ledger.NewAnnouncer(w.recording(follower), few)
	for range 10 {
		w.look(other)
	}
	if got := announced(); got != len(ids) {
		t.Errorf("%d were announced, want all %d", got, len(ids))
	}
}

// Without a rate for them, no first use is announced.
func TestAnnounceNoFirstUse(t *testing.T) {
	w := newUsedWorld(t)
	w.look(ledger.NewAnnouncer(w.Service, ledger.AnnouncerConfig{}))
	w.noticed(w.first.Key.ID)
}

// usedWorld is a world that records uses.
type usedWorld struct {
	*world
	usage *ledger.Usage
}

func newUsedWorld(t *testing.T) *usedWorld {
	t.Helper()
	w := &usedWorld{world: newWorld(t)}
	w.usage = ledger.NewUsage(w.log, time.Hour)
	w.Service = w.recording(w.state)
	w.root.Principal = w.principal(w.first.Token)
	return w
}

// another is another node that records uses.
func (w *usedWorld) another() *ledger.Service {
	return w.recording(ledgertest.Follow(w.t, w.log, w.clock.Now))
}

func (w *usedWorld) recording(state *ledgertest.State) *ledger.Service {
	return ledger.New(ledger.Config{
		Log: w.log, State: state, Now: w.clock.Now, MaxStaleness: ages, Usage: w.usage, FirstUses: true,
	})
}

// use verifies tokens.
func (w *usedWorld) use(s *ledger.Service, tokens ...ledger.Secret) {
	w.t.Helper()
	for _, token := range tokens {
		v := must(s.Verify(w.ctx(), &w.root.Principal, &ledger.VerifyRequest{Token: token.Reveal()}))
		if v.Decision != ledger.Valid {
			w.t.Fatalf("the decision is %s", v.Decision)
		}
	}
}

// flush stores uses of keys and waits until they are seen.
func (w *usedWorld) flush(keys ...uuid.UUID) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx())
	cancel()
	if err := w.usage.Run(ctx); err != nil { // it flushes when it ends
		w.t.Fatal(err)
	}
	w.await(w.state, keys...)
}

// await waits until a node has seen uses of keys.
func (w *usedWorld) await(state *ledgertest.State, keys ...uuid.UUID) {
	w.t.Helper()
	for _, id := range keys {
		if err := state.WaitForUses(w.ctx(), id, 1); err != nil {
			w.t.Fatal(err)
		}
	}
}
