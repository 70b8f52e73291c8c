package ledger_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"keyledger/ledger"
)

// Each decision goes before those after it: a key that gives cause for all is answered with the first, and so on.
func TestVerifyOrder(t *testing.T) {
	w := newWorld(t)
	later := w.clock.Now().Add(time.Hour)
	acme := ledger.Owner{Workspace: "acme"}
	issued := w.create(ledger.Create{Owner: acme, Scopes: []string{"read"}, NotBefore: later, ExpiresAt: later.Add(time.Hour)})
	token := issued.Token.Reveal()
	other := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "other"}, Scopes: []string{ledger.ScopeAll}})
	asks := ledger.VerifyRequest{Token: token, Workspace: "asked", Environment: ledger.Test, Scopes: []string{"write"}}
	expect := func(want ledger.Decision, r ledger.VerifyRequest) {
		t.Helper()
		v := w.verify(r)
		if v.Decision != want || v.Found != (v.Key.ID == issued.Key.ID) {
			t.Fatalf("%s for %+v, want %s", v.Decision, v.Key, want)
		}
	}
	expect(ledger.NotYetValid, asks)
	w.clock.Advance(time.Hour)
	expect(ledger.WrongOwner, asks)
	asks.Workspace = "acme"
	expect(ledger.WrongOwner, asks) // for the environment
	asks.Environment = ledger.Live
	expect(ledger.InsufficientScope, asks)
	asks.Scopes = []string{"read"}
	expect(ledger.Valid, asks)
	w.clock.Advance(time.Hour)
	expect(ledger.KeyExpired, asks)
	must(w.Disable(w.ctx(), &w.root, issued.Key.ID))
	expect(ledger.KeyDisabled, asks)
	must(w.Revoke(w.ctx(), &w.root, issued.Key.ID, ""))
	expect(ledger.KeyRevoked, asks)
	v := must(w.Verify(w.ctx(), &other.Principal, &asks))
	if !reflect.DeepEqual(v, ledger.Verification{Decision: ledger.NotFound}) {
		t.Fatalf("a foreign principal is told %+v", v)
	}
	for unknown, want := range map[string]ledger.Decision{
		mint():                          ledger.NotFound,
		token[:len(token)-1] + "~~":     ledger.NotFound, // not a native form: it might have been brought
		"":                              ledger.Malformed,
		"x":                             ledger.Malformed,
		token + " x":                    ledger.Malformed,
		"kl_test_" + token[len("kl_"):]: ledger.Malformed,
	} {
		asks.Token = unknown
		if v := w.verify(asks); !reflect.DeepEqual(v, ledger.Verification{Decision: want}) {
			t.Fatalf("%q: %+v, want %s", unknown, v, want)
		}
	}
}

func TestVerifyAsks(t *testing.T) {
	w := newWorld(t)
	owner := ledger.Owner{Workspace: "w", Org: "o", AgentID: "a", Peer: "p", Session: "s"}
	token := w.create(ledger.Create{Owner: owner, Scopes: []string{"x", "y"}, Environment: ledger.Test}).Token.Reveal()
	free := w.create(ledger.Create{}).Token.Reveal()
	all := ledger.VerifyRequest{Token: token, Scopes: []string{"y", "x"}, Environment: "test", Workspace: "w", Org: "o", Agent: "a", Peer: "p", Session: "s"}
	for name, c := range map[string]struct {
		change func(r *ledger.VerifyRequest)
		want   ledger.Decision
	}{
		"all":                             {func(*ledger.VerifyRequest) {}, ledger.Valid},
		"nothing":                         {func(r *ledger.VerifyRequest) { *r = ledger.VerifyRequest{Token: token} }, ledger.Valid},
		"another workspace":               {func(r *ledger.VerifyRequest) { r.Workspace = "W" }, ledger.WrongOwner},
		"another org":                     {func(r *ledger.VerifyRequest) { r.Org = "x" }, ledger.WrongOwner},
		"another agent":                   {func(r *ledger.VerifyRequest) { r.Agent = "x" }, ledger.WrongOwner},
		"another peer":                    {func(r *ledger.VerifyRequest) { r.Peer = "x" }, ledger.WrongOwner},
		"another session":                 {func(r *ledger.VerifyRequest) { r.Session = "x" }, ledger.WrongOwner},
		"another environment":             {func(r *ledger.VerifyRequest) { r.Environment = "live" }, ledger.WrongOwner},
		"one scope too many":              {func(r *ledger.VerifyRequest) { r.Scopes = []string{"x", "z"} }, ledger.InsufficientScope},
		"a scope of the ledger":           {func(r *ledger.VerifyRequest) { r.Scopes = []string{ledger.ScopeRead} }, ledger.InsufficientScope},
		"an empty scope":                  {func(r *ledger.VerifyRequest) { r.Scopes = []string{""} }, ledger.InsufficientScope},
		"two scopes in one":               {func(r *ledger.VerifyRequest) { r.Scopes = []string{"x y"} }, ledger.InsufficientScope},
		"an owner of a key that has none": {func(r *ledger.VerifyRequest) { *r = ledger.VerifyRequest{Token: free, Workspace: "w"} }, ledger.WrongOwner},
		"a scope of a key that has none":  {func(r *ledger.VerifyRequest) { *r = ledger.VerifyRequest{Token: free, Scopes: []string{"x"}} }, ledger.InsufficientScope},
	} {
		r := all
		c.change(&r)
		if v := w.verify(r); v.Decision != c.want || !v.Found {
			t.Errorf("%s: %s, want %s", name, v.Decision, c.want)
		}
		if v := must(w.Authorize(w.ctx(), &r)); v.Decision != c.want {
			t.Errorf("%s: authorize says %s, want %s", name, v.Decision, c.want)
		}
	}
}

// The rules of Honcho's scoped keys: a session goes before a peer, and neither stands for the workspace.
func TestVerifyConfined(t *testing.T) {
	w := newWorld(t)
	tokens := make(map[string]string)
	for name, owner := range map[string]ledger.Owner{
		"w":   {Workspace: "w"},
		"wp":  {Workspace: "w", Peer: "p"},
		"ws":  {Workspace: "w", Session: "s"},
		"wps": {Workspace: "w", Peer: "p", Session: "s"},
		"oa":  {Org: "o", AgentID: "a"},
	} {
		issued := w.create(ledger.Create{Owner: owner, Confined: true})
		if tokens[name] = issued.Token.Reveal(); !issued.Key.Confined {
			t.Fatalf("%s is not confined", name)
		}
	}
	for _, c := range []struct {
		asked ledger.VerifyRequest
		valid string // for these tokens
	}{
		{ledger.VerifyRequest{}, "w wp ws wps oa"},
		{ledger.VerifyRequest{Workspace: "w"}, "w"},
		{ledger.VerifyRequest{Workspace: "w", Peer: "p"}, "w wp"},
		{ledger.VerifyRequest{Workspace: "w", Peer: "q"}, "w"},
		{ledger.VerifyRequest{Workspace: "w", Session: "s"}, "w ws wps"},
		{ledger.VerifyRequest{Workspace: "w", Session: "t"}, "w"},
		{ledger.VerifyRequest{Workspace: "w", Peer: "p", Session: "s"}, "w ws wps"},
		{ledger.VerifyRequest{Workspace: "w", Peer: "p", Session: "t"}, "w"},
		{ledger.VerifyRequest{Workspace: "v"}, ""},
		{ledger.VerifyRequest{Workspace: "v", Peer: "p"}, ""},
		{ledger.VerifyRequest{Workspace: "v", Session: "s"}, ""},
		{ledger.VerifyRequest{Peer: "p"}, "w wp oa"},
		{ledger.VerifyRequest{Session: "s"}, "w ws wps oa"},
		{ledger.VerifyRequest{Org: "o"}, "oa"},
		{ledger.VerifyRequest{Agent: "a"}, "oa"},
		{ledger.VerifyRequest{Workspace: "w", Org: "o"}, ""},
		{ledger.VerifyRequest{Environment: ledger.Test}, ""},
	} {
		for name, token := range tokens {
			want := ledger.WrongOwner
			if slices.Contains(strings.Fields(c.valid), name) {
				want = ledger.Valid
			}
			r := c.asked
			r.Token = token
			if d := w.verify(r).Decision; d != want {
				t.Errorf("%s is %s for %+v, want %s", name, d, c.asked, want)
			}
		}
	}
}

func TestVerifyNeedsItsScope(t *testing.T) {
	w := newWorld(t)
	token := w.create(ledger.Create{}).Token.Reveal()
	for _, scopes := range [][]string{{}, {"read"}, {ledger.ScopeRead, ledger.ScopeCreate, ledger.ScopeUpdate}} {
		c := w.caller(ledger.Create{Scopes: scopes})
		w.refused(ledger.CodeForbidden, func() error {
			_, err := w.Verify(w.ctx(), &c.Principal, &ledger.VerifyRequest{Token: token})
			return err
		})
	}
	c := w.caller(ledger.Create{Scopes: []string{ledger.ScopeVerify}})
	if v := must(w.Verify(w.ctx(), &c.Principal, &ledger.VerifyRequest{Token: token})); v.Decision != ledger.Valid {
		t.Errorf("with the scope: %s", v.Decision)
	}
}

// A node that does not hear the log says so rather than that a key is valid.
func TestStale(t *testing.T) {
	w := newWorld(t)
	service := ledger.New(ledger.Config{Log: w.log, State: w.state, Now: w.clock.Now, MaxStaleness: 3 * time.Second})
	token := w.create(ledger.Create{}).Token.Reveal()
	w.ear.Lock()
	heard := w.state.Heard()
	w.clock.Advance(heard.Add(3 * time.Second).Sub(w.clock.Now()))
	if v := must(service.Authorize(w.ctx(), &ledger.VerifyRequest{Token: token})); v.Decision != ledger.Valid {
		t.Fatalf("just in time: %s", v.Decision)
	}
	w.clock.Advance(time.Microsecond)
	for _, do := range []func() error{
		func() error { _, err := service.Authenticate(w.ctx(), token, origin); return err },
		func() error { _, err := service.Authorize(w.ctx(), &ledger.VerifyRequest{Token: token}); return err },
		func() error { _, err := service.Authorize(w.ctx(), &ledger.VerifyRequest{Token: mint()}); return err },
		func() error {
			_, err := service.Verify(w.ctx(), &w.root.Principal, &ledger.VerifyRequest{Token: token})
			return err
		},
	} {
		if e := w.refused(ledger.CodeStale, do); e.RetryAfter == 0 {
			t.Error("stale without a time to try again")
		}
	}
	if v := must(service.Authorize(w.ctx(), &ledger.VerifyRequest{Token: "x"})); v.Decision != ledger.Malformed {
		t.Fatalf("what cannot be a token needs no log: %s", v.Decision)
	}
	w.ear.Unlock()
	must(w.Create(w.ctx(), &w.root, &ledger.Create{})) // waits until the log is heard again
	if v := must(service.Authorize(w.ctx(), &ledger.VerifyRequest{Token: token})); v.Decision != ledger.Valid {
		t.Fatalf("heard again: %s", v.Decision)
	}
}

// A token that was replaced without grace is good for no node, though its clock is behind that of the node that replaced it.
func TestNoGraceWhateverTheClock(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		grace time.Duration
		want  ledger.Decision
	}{{0, ledger.KeyExpired}, {time.Minute, ledger.Valid}} {
		k := w.create(ledger.Create{Scopes: []string{ledger.ScopeAll}})
		must(w.Rotate(w.ctx(), &w.root, k.Key.ID, &ledger.Rotate{Grace: c.grace}))
		for _, d := range []time.Duration{0, -time.Hour} {
			w.clock.Advance(d)
			if v := w.verify(ledger.VerifyRequest{Token: k.Token.Reveal()}); v.Decision != c.want {
				t.Errorf("grace %v, %v later: %s, want %s", c.grace, d, v.Decision, c.want)
			}
		}
	}
}

// behind is a State that knows how far the log is ahead of it, and tells when a digest is not there.
type behind struct {
	ledger.State
	log    ledger.Log
	missed chan struct{}
}

func (s *behind) Lag() uint64 {
	return must(s.log.Last(context.Background())) - s.Position()
}

func (s *behind) KeyByDigest(d ledger.Digest) (ledger.Key, bool, bool, error) {
	k, previous, ok, err := s.State.KeyByDigest(d)
	if !ok {
		s.missed <- struct{}{}
	}
	return k, previous, ok, err
}

// A token that another node just made is waited for, but not for long.
func TestVerifyOnANodeThatIsBehind(t *testing.T) {
	w := newWorld(t)
	elsewhere := w.node()
	verify := func() (chan struct{}, chan ledger.Decision) {
		state := &behind{State: w.state, log: w.log, missed: make(chan struct{}, 2)}
		here := ledger.New(ledger.Config{Log: w.log, State: state, Now: w.clock.Now, MaxStaleness: ages})
		r := ledger.VerifyRequest{Token: must(elsewhere.Create(w.ctx(), &w.root, &ledger.Create{})).Token.Reveal()}
		answer := make(chan ledger.Decision, 1)
		go func() {
			v, err := here.Authorize(w.ctx(), &r)
			if err != nil {
				t.Error(err)
			}
			answer <- v.Decision
		}()
		return state.missed, answer
	}
	w.ear.Lock()
	missed, answer := verify()
	if d := <-answer; d != ledger.NotFound {
		t.Fatalf("while it hears nothing: %s", d)
	}
	if n := len(missed); n != 2 {
		t.Fatalf("it looked %d times, want 2", n)
	}
	w.ear.Unlock()
	for range 20 { // one that hears in time is enough: this machine may be slower than the wait is long
		w.ear.Lock()
		missed, answer := verify()
		<-missed
		w.ear.Unlock()
		if <-answer == ledger.Valid {
			return
		}
	}
	t.Fatal("it never waited for what it was about to hear")
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	usage := ledger.NewUsage(w.log, never)
	s := ledger.New(ledger.Config{Log: w.log, State: w.state, Now: w.clock.Now, MaxStaleness: ages, Usage: usage})
	issued := w.create(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{"read", "write"}})
	r := ledger.VerifyRequest{Token: issued.Token.Reveal(), Scopes: []string{"write"}, Workspace: "acme", Origin: origin}
	b.ReportAllocs()
	for b.Loop() {
		if v, err := s.Verify(w.ctx(), &w.root.Principal, &r); err != nil || v.Decision != ledger.Valid {
			b.Fatal(v.Decision, err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	w := newWorld(b)
	in := ledger.Create{Name: "ci", Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{"read", "write"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Create(w.ctx(), &w.root, &in); err != nil {
			b.Fatal(err)
		}
	}
}

func TestVerifyDoesNotAllocate(t *testing.T) {
	for _, confined := range []bool{false, true} {
		verifyDoesNotAllocate(t, confined)
	}
}

func verifyDoesNotAllocate(t *testing.T, confined bool) {
	w := newWorld(t)
	usage := ledger.NewUsage(w.log, never)
	s := ledger.New(ledger.Config{Log: w.log, State: w.state, Now: w.clock.Now, MaxStaleness: ages, Usage: usage})
	in := ledger.Create{Scopes: []string{"read"}, Owner: ledger.Owner{Workspace: "acme", Peer: "p"}, Confined: confined}
	r := ledger.VerifyRequest{
		Token: w.create(in).Token.Reveal(), Scopes: []string{"read"}, Workspace: "acme", Peer: "p", Origin: origin,
	}
	verify := func() {
		if v, err := s.Verify(w.ctx(), &w.root.Principal, &r); err != nil || v.Decision != ledger.Valid {
			t.Fatal(v.Decision, err)
		}
	}
	if n := testing.AllocsPerRun(1000, verify); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
