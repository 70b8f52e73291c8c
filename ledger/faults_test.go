package ledger_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// outcome is what a command gave.
type outcome struct {
	key   ledger.Key
	token string
	agent ledger.Agent
	made  bool
}

// drill is a world with a key for each command to work on, and the command.
type drill struct {
	*world
	run func(ctx context.Context, s *ledger.Service, c *ledger.Call) (outcome, error)
}

func issuedOutcome(issued ledger.Issued, err error) (outcome, error) {
	return outcome{key: issued.Key, token: issued.Token.Reveal()}, err
}

func keyOutcome(k ledger.Key, err error) (outcome, error) { return outcome{key: k}, err }

// drills are the commands, each in a new world.
func drills(t *testing.T, each func(t *testing.T, d *drill)) {
	brought := ledger.NewSecret(strings.Repeat("b", 40))
	soon := newClock().Now().Add(time.Minute)
	for name, run := range map[string]func(ctx context.Context, s *ledger.Service, c *ledger.Call, id uuid.UUID) (outcome, error){
		"create": func(ctx context.Context, s *ledger.Service, c *ledger.Call, _ uuid.UUID) (outcome, error) {
			return issuedOutcome(s.Create(ctx, c, &ledger.Create{Name: "ci", ExpiresAt: soon}))
		},
		"create with a brought token": func(ctx context.Context, s *ledger.Service, c *ledger.Call, _ uuid.UUID) (outcome, error) {
			return issuedOutcome(s.Create(ctx, c, &ledger.Create{Name: "ci", Token: brought}))
		},
		"create with a unique name and another form": func(ctx context.Context, s *ledger.Service, c *ledger.Call, _ uuid.UUID) (outcome, error) {
			return issuedOutcome(s.Create(ctx, c, &ledger.Create{Name: "ci", UniqueName: true, Mint: inHex}))
		},
		"rotate": func(ctx context.Context, s *ledger.Service, c *ledger.Call, id uuid.UUID) (outcome, error) {
			return issuedOutcome(s.Rotate(ctx, c, id, &ledger.Rotate{Grace: time.Hour, ExpiresAt: &soon}))
		},
		"rotate to another form": func(ctx context.Context, s *ledger.Service, c *ledger.Call, id uuid.UUID) (outcome, error) {
			return issuedOutcome(s.Rotate(ctx, c, id, &ledger.Rotate{Mint: inHex}))
		},
		"rotate with a brought token": func(ctx context.Context, s *ledger.Service, c *ledger.Call, id uuid.UUID) (outcome, error) {
			return issuedOutcome(s.Rotate(ctx, c, id, &ledger.Rotate{Token: brought}))
		},
		"update": func(ctx context.Context, s *ledger.Service, c *ledger.Call, id uuid.UUID) (outcome, error) {
			return keyOutcome(s.Update(ctx, c, id, &ledger.Update{Name: ptr("new"), ExpiresAt: &soon}))
		},
		"disable": func(ctx context.Context, s *ledger.Service, c *ledger.Call, id uuid.UUID) (outcome, error) {
			return keyOutcome(s.Disable(ctx, c, id))
		},
		"revoke": func(ctx context.Context, s *ledger.Service, c *ledger.Call, id uuid.UUID) (outcome, error) {
			return keyOutcome(s.Revoke(ctx, c, id, "leaked"))
		},
		"erase": func(ctx context.Context, s *ledger.Service, c *ledger.Call, id uuid.UUID) (outcome, error) {
			return keyOutcome(s.EraseKey(ctx, c, id))
		},
		"register an agent": func(ctx context.Context, s *ledger.Service, c *ledger.Call, _ uuid.UUID) (outcome, error) {
			a, made, err := s.RegisterAgent(ctx, c, &ledger.RegisterAgent{Name: "bot", Workspace: "acme"})
			return outcome{agent: a, made: made}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.create(ledger.Create{Name: "old", UniqueName: true, Scopes: []string{ledger.ScopeAll}}).Key.ID // a root: its end needs claims
			each(t, &drill{world: w, run: func(ctx context.Context, s *ledger.Service, c *ledger.Call) (outcome, error) {
				return run(ctx, s, c, id)
			}})
		})
	}
}

// call is a call of root with entropy: each is the same command.
func (d *drill) call() *ledger.Call {
	c := d.root
	c.Entropy = rand.NewChaCha8([32]byte{1})
	return &c
}

// agrees checks that an outcome is what the log holds.
func (d *drill) agrees(got outcome) {
	d.t.Helper()
	if got.key.ID != uuid.Nil {
		d.visible(got.key)
	}
	if got.token != "" && d.decision(ledger.NewSecret(got.token)) != ledger.Valid {
		d.t.Fatalf("its token is %s", d.decision(ledger.NewSecret(got.token)))
	}
}

// same checks that a repeat gives what the first call gave, and appends nothing.
func (d *drill) same(want outcome, s *ledger.Service) {
	d.t.Helper()
	before := d.log.Len()
	got, err := d.run(d.ctx(), s, d.call())
	got.key.Use, want.key.Use = ledger.Use{}, ledger.Use{}
	if err != nil || !reflect.DeepEqual(got, want) {
		d.t.Fatalf("the repeat gives\n%+v, %v\nthe first call gave\n%+v", got, err, want)
	}
	if n := d.log.Len() - before; n != 0 {
		d.t.Fatalf("the repeat appended %d events", n)
	}
}

// A repeat with the same entropy gives the first result, on this node and another, later, and after other changes.
func TestRepeat(t *testing.T) {
	drills(t, func(t *testing.T, d *drill) {
		want := must(d.run(d.ctx(), d.Service, d.call()))
		d.agrees(want)
		d.same(want, d.Service)
		d.clock.Advance(50 * time.Hour) // when a create or an update could not be decided like this any more
		d.same(want, d.Service)
		d.same(want, d.node().Service)
		d.clock.Advance(-49 * time.Hour) // and within the day for which a key that has changed since is searched
		if id := want.key.ID; id != uuid.Nil && want.key.RevokedAt.IsZero() {
			for range 40 {
				in := ledger.Update{Name: ptr(uuid.NewString())}
				if !want.key.ErasedAt.IsZero() {
					in = ledger.Update{Scopes: &[]string{uuid.NewString()}}
				}
				must(d.Update(d.ctx(), &d.root, id, &in))
			}
			d.same(want, d.Service)
			must(d.Revoke(d.ctx(), &d.root, id, "another"))
			d.same(want, d.node().Service)
		}
	})
}

// watched is a State that tells when it is waited for.
type watched struct {
	ledger.State
	waits func()
}

func (s *watched) WaitFor(ctx context.Context, sequence uint64) error {
	if sequence > s.Position() {
		s.waits()
	}
	return s.State.WaitFor(ctx, sequence)
}

// On a node that has not heard of the first call, a repeat appends nothing and gives its result as well.
func TestRepeatOnANodeThatIsBehind(t *testing.T) {
	drills(t, func(t *testing.T, d *drill) {
		d.ear.Lock()
		want := must(d.run(d.ctx(), d.node().Service, d.call()))
		before := d.log.Len()
		d.clock.Advance(time.Second)
		hear := sync.OnceFunc(d.ear.Unlock)
		state := &watched{d.state, hear}
		got, err := d.run(d.ctx(), ledger.New(ledger.Config{Log: d.log, State: state, Now: d.clock.Now, Personal: d.personal}), d.call())
		hear()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("the repeat gives\n%+v, %v\nthe first call gave\n%+v", got, err, want)
		}
		if n := d.log.Len() - before; n != 0 {
			t.Fatalf("the repeat appended %d events", n)
		}
	})
}

// Entropy decides everything that is drawn, and another entropy makes another command.
func TestEntropy(t *testing.T) {
	drills(t, func(t *testing.T, d *drill) {
		one := must(d.run(d.ctx(), d.Service, d.call()))
		c := d.root
		c.Entropy = rand.NewChaCha8([32]byte{2})
		two, err := d.run(d.ctx(), d.Service, &c)
		if err == nil && one.token != "" && (one.token == two.token || one.key.LastEvent == two.key.LastEvent) {
			t.Fatalf("two entropies gave the same: %+v", two.key)
		}
		c.Entropy = strings.NewReader("too short")
		if _, err := d.run(d.ctx(), d.Service, &c); ledger.CodeOf(err) != ledger.CodeInternal {
			t.Fatalf("entropy that ends: %v", err)
		}
	})
}

// An append that fails says so, and its repeat stores it; one whose answer is lost says the same, and its repeat finds
// what was stored.
func TestAppendFails(t *testing.T) {
	other := errors.New("disk on fire")
	for _, c := range []struct {
		name    string
		fault   ledgertest.Fault
		code    ledger.Code
		retried bool
	}{
		{"overloaded", ledgertest.Fault{Err: ledger.ErrOverloaded}, ledger.CodeOverloaded, true},
		{"unavailable", ledgertest.Fault{Err: ledger.ErrUnavailable}, ledger.CodeUnavailable, true},
		{"unavailable, but stored", ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: true}, ledger.CodeUnavailable, true},
		{"out of time", ledgertest.Fault{Err: context.DeadlineExceeded}, ledger.CodeUnavailable, true},
		{"out of time, but stored", ledgertest.Fault{Err: context.DeadlineExceeded, Applied: true}, ledger.CodeUnavailable, true},
		{"something else", ledgertest.Fault{Err: other}, ledger.CodeInternal, false},
		{"something else, but stored", ledgertest.Fault{Err: other, Applied: true}, ledger.CodeInternal, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			drills(t, func(t *testing.T, d *drill) {
				before := d.log.Len()
				d.log.FailNext(ledgertest.OpAppend, c.fault)
				got, err := d.run(d.ctx(), d.Service, d.call())
				var e *ledger.Error
				if !errors.As(err, &e) || e.Code != c.code || !errors.Is(err, c.fault.Err) || (e.RetryAfter > 0) != c.retried {
					t.Fatalf("got %v, want %s", err, c.code)
				}
				if !reflect.DeepEqual(got, outcome{}) {
					t.Fatalf("a failed command gives %+v", got)
				}
				stored := d.log.Len() - before
				if (stored > 0) != c.fault.Applied {
					t.Fatalf("%d events are stored", stored)
				}
				d.clock.Advance(time.Second)
				want := must(d.run(d.ctx(), d.Service, d.call()))
				d.agrees(want)
				d.same(want, d.Service)
				if n := d.log.Len() - before; stored > 0 && n != stored {
					t.Fatalf("the repeat made %d events of %d", n, stored)
				}
			})
		})
	}
}

// A conflict that another command caused is decided anew; one that has no end is given up.
func TestConflict(t *testing.T) {
	drills(t, func(t *testing.T, d *drill) {
		d.log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: ledger.ErrConflict})
		d.agrees(must(d.run(d.ctx(), d.Service, d.call())))
	})
	w := newWorld(t)
	var attempts atomic.Int32
	w.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op != ledgertest.OpAppend {
			return ledgertest.Fault{}
		}
		attempts.Add(1)
		return ledgertest.Fault{Err: ledger.ErrConflict}
	})
	w.refused(ledger.CodeConflict, func() error { _, err := w.Disable(w.ctx(), &w.root, w.first.Key.ID); return err })
	w.refused(ledger.CodeConflict, func() error {
		_, err := w.Update(w.ctx(), &w.root, w.first.Key.ID, &ledger.Update{Name: ptr("x")})
		return err
	})
	if n := attempts.Load(); n < 2 || n > 100 {
		t.Fatalf("%d attempts", n)
	}
}

// between runs other once, just before the next append.
func (w *world) between(other func()) {
	var done atomic.Bool
	w.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpAppend && done.CompareAndSwap(false, true) {
			other()
		}
		return ledgertest.Fault{}
	})
}

func TestAnotherCommandInBetween(t *testing.T) {
	w := newWorld(t)
	rename := func(c *ledger.Call, id uuid.UUID, name string) (ledger.Key, error) {
		return w.Update(w.ctx(), c, id, &ledger.Update{Name: &name})
	}
	t.Run("is built upon", func(t *testing.T) {
		id := w.create(ledger.Create{}).Key.ID
		w.between(func() { must(w.Update(w.ctx(), &w.root, id, &ledger.Update{Scopes: ptr([]string{"x"})})) })
		k := w.changed(2, func() (ledger.Key, error) { return rename(&w.root, id, "mine") })
		if k.Name != "mine" || k.Scopes != "x" {
			t.Fatalf("got %+v", k)
		}
	})
	t.Run("is a lost If-Match", func(t *testing.T) {
		k := w.create(ledger.Create{}).Key
		c := w.root
		c.IfSequence = k.Sequence
		w.between(func() { must(rename(&w.root, k.ID, "theirs")) })
		if _, err := rename(&c, k.ID, "mine"); ledger.CodeOf(err) != ledger.CodePrecondition {
			t.Fatalf("got %v", err)
		}
		if k := must(w.Key(w.ctx(), &w.root.Principal, k.ID)); k.Name != "theirs" {
			t.Fatalf("got %+v", k)
		}
	})
	t.Run("may end the key", func(t *testing.T) {
		id := w.create(ledger.Create{}).Key.ID
		w.between(func() { must(w.Revoke(w.ctx(), &w.root, id, "")) })
		if _, err := rename(&w.root, id, "mine"); ledger.CodeOf(err) != ledger.CodeConflict {
			t.Fatalf("got %v", err)
		}
	})
}

// A command that is stored, but does not become visible in time, says just that.
func TestStoredButNotVisible(t *testing.T) {
	drills(t, func(t *testing.T, d *drill) {
		before := d.log.Len()
		ctx, cancel := context.WithCancel(d.ctx())
		d.ear.Lock()
		state := &watched{d.state, cancel}
		_, err := d.run(ctx, ledger.New(ledger.Config{Log: d.log, State: state, Now: d.clock.Now, Personal: d.personal}), d.call())
		d.ear.Unlock()
		var e *ledger.Error
		if !errors.As(err, &e) || e.Code != ledger.CodeUnavailable || !strings.Contains(e.Detail, "stored, but not yet visible") || !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		stored := d.log.Len() - before
		if stored == 0 {
			t.Fatal("nothing is stored")
		}
		d.agrees(must(d.run(d.ctx(), d.Service, d.call())))
		if n := d.log.Len() - before; n != stored {
			t.Fatalf("the repeat made %d events of %d", n, stored)
		}
	})
}
