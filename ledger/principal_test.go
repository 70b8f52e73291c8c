package ledger_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

func TestAllow(t *testing.T) {
	acme := ledger.Owner{Workspace: "acme"}
	narrow := ledger.Owner{Workspace: "acme", Org: "o", AgentID: "a", Peer: "p", Session: "s"}
	for _, c := range []struct {
		name   string
		bound  ledger.Owner
		scopes ledger.Scopes
		owner  ledger.Owner
		want   ledger.Code
	}{
		{"everything", ledger.Owner{}, ledger.ScopeAll, narrow, ""},
		{"the scope", ledger.Owner{}, ledger.ScopeRead, narrow, ""},
		{"another scope", ledger.Owner{}, ledger.ScopeUpdate, narrow, ledger.CodeForbidden},
		{"no scope of the ledger", ledger.Owner{}, "read write", acme, ledger.CodeForbidden},
		{"inside", acme, ledger.ScopeRead, narrow, ""},
		{"just inside", narrow, ledger.ScopeRead, narrow, ""},
		{"inside without the scope", acme, "", narrow, ledger.CodeForbidden},
		{"wider", acme, ledger.ScopeAll, ledger.Owner{}, ledger.CodeNotFound},
		{"foreign", acme, ledger.ScopeAll, ledger.Owner{Workspace: "other"}, ledger.CodeNotFound},
		{"foreign without the scope", acme, "", ledger.Owner{Workspace: "other"}, ledger.CodeNotFound},
		{"foreign in case", acme, ledger.ScopeAll, ledger.Owner{Workspace: "Acme"}, ledger.CodeNotFound},
		{"another org", ledger.Owner{Org: "o"}, ledger.ScopeAll, ledger.Owner{Org: "o2"}, ledger.CodeNotFound},
		{"another agent", ledger.Owner{AgentID: "a"}, ledger.ScopeAll, ledger.Owner{AgentID: "b"}, ledger.CodeNotFound},
		{"another peer", ledger.Owner{Peer: "p"}, ledger.ScopeAll, ledger.Owner{Peer: "q"}, ledger.CodeNotFound},
		{"another session", ledger.Owner{Session: "s"}, ledger.ScopeAll, ledger.Owner{Session: "t"}, ledger.CodeNotFound},
		{"the same agent elsewhere", ledger.Owner{Workspace: "acme", AgentID: "a"}, ledger.ScopeAll, ledger.Owner{Workspace: "other", AgentID: "a"}, ledger.CodeNotFound},
	} {
		p := ledger.Principal{Owner: c.bound, Scopes: c.scopes}
		if got := ledger.CodeOf(ledger.Allow(&p, ledger.ScopeRead, &c.owner)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	w := newWorld(t)
	later := w.clock.Now().Add(time.Hour)
	in := ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{"x", ledger.ScopeRead}, ExpiresAt: later}
	issued := w.create(in)
	p := w.principal(issued.Token)
	if p.KeyID != issued.Key.ID || p.Owner.Workspace != "acme" || p.Scopes != "x ledger:keys:read" || !p.ExpiresAt.Equal(later) {
		t.Fatalf("the principal is %+v", p)
	}
	scheduled := w.create(ledger.Create{NotBefore: later})
	disabled := w.create(ledger.Create{})
	w.changed(1, func() (ledger.Key, error) { return w.Disable(w.ctx(), &w.root, disabled.Key.ID) })
	revoked := w.create(ledger.Create{})
	w.changed(1, func() (ledger.Key, error) { return w.Revoke(w.ctx(), &w.root, revoked.Key.ID, "") })
	rotated := w.create(ledger.Create{})
	if _, err := w.Rotate(w.ctx(), &w.root, rotated.Key.ID, &ledger.Rotate{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	w.principal(rotated.Token) // within the grace
	w.clock.Advance(time.Minute)
	for name, token := range map[string]string{
		"nothing":              "",
		"garbage":              "garbage",
		"an unknown token":     mint(),
		"a mistyped token":     issued.Token.Reveal() + "x",
		"a scheduled key":      scheduled.Token.Reveal(),
		"a disabled key":       disabled.Token.Reveal(),
		"a revoked key":        revoked.Token.Reveal(),
		"a secret after grace": rotated.Token.Reveal(),
	} {
		w.unauthenticated(name, token)
	}
	w.clock.Advance(time.Hour)
	w.unauthenticated("an expired key", issued.Token.Reveal())
	w.principal(scheduled.Token)
}

func (w *world) unauthenticated(name, token string) {
	w.t.Helper()
	e := w.refused(ledger.CodeUnauthenticated, func() error {
		p, err := w.Authenticate(w.ctx(), token, origin)
		if p != (ledger.Principal{}) {
			w.t.Errorf("%s: a principal %+v", name, p)
		}
		return err
	})
	if token != "" && strings.Contains(e.Error(), token) {
		w.t.Errorf("%s: the error %q holds the token", name, e)
	}
}

// commands are all that act on a key, with the scope each needs.
func (w *world) commands() map[string]struct {
	scope string
	run   func(ctx context.Context, c *ledger.Call, id uuid.UUID) error
} {
	type command = struct {
		scope string
		run   func(ctx context.Context, c *ledger.Call, id uuid.UUID) error
	}
	return map[string]command{
		"update": {ledger.ScopeUpdate, func(ctx context.Context, c *ledger.Call, id uuid.UUID) error {
			_, err := w.Update(ctx, c, id, &ledger.Update{Name: ptr("another")})
			return err
		}},
		"rotate": {ledger.ScopeUpdate, func(ctx context.Context, c *ledger.Call, id uuid.UUID) error {
			_, err := w.Rotate(ctx, c, id, &ledger.Rotate{})
			return err
		}},
		"disable": {ledger.ScopeUpdate, func(ctx context.Context, c *ledger.Call, id uuid.UUID) error {
			_, err := w.Disable(ctx, c, id)
			return err
		}},
		"enable": {ledger.ScopeUpdate, func(ctx context.Context, c *ledger.Call, id uuid.UUID) error {
			_, err := w.Enable(ctx, c, id)
			return err
		}},
		"revoke": {ledger.ScopeRevoke, func(ctx context.Context, c *ledger.Call, id uuid.UUID) error {
			_, err := w.Revoke(ctx, c, id, "")
			return err
		}},
		"read": {ledger.ScopeRead, func(ctx context.Context, c *ledger.Call, id uuid.UUID) error {
			_, err := w.Key(ctx, &c.Principal, id)
			return err
		}},
		"last use": {ledger.ScopeRead, func(ctx context.Context, c *ledger.Call, id uuid.UUID) error {
			_, err := w.LastUse(ctx, &c.Principal, id)
			return err
		}},
		"key events": {ledger.ScopeEvents, func(ctx context.Context, c *ledger.Call, id uuid.UUID) error {
			_, err := w.KeyEvents(ctx, &c.Principal, id, 1, 10)
			return err
		}},
	}
}

func TestScopesOfCommands(t *testing.T) {
	w := newWorld(t)
	all := []string{ledger.ScopeCreate, ledger.ScopeRead, ledger.ScopeUpdate, ledger.ScopeRevoke, ledger.ScopeVerify, ledger.ScopeEvents, ledger.ScopeWebhooks, ledger.ScopeAudit, ledger.ScopeErase}
	acme, other := ledger.Owner{Workspace: "acme"}, ledger.Owner{Workspace: "other"}
	without := func(scope string) *ledger.Call {
		var scopes []string
		for _, s := range all {
			if s != scope {
				scopes = append(scopes, s)
			}
		}
		return w.caller(ledger.Create{Owner: acme, Scopes: append(scopes, "read")})
	}
	foreign := w.create(ledger.Create{Owner: other}).Key.ID
	wider := w.create(ledger.Create{}).Key.ID
	for name, command := range w.commands() {
		id := w.create(ledger.Create{Owner: acme}).Key.ID
		lacking := without(command.scope)
		w.refused(ledger.CodeForbidden, func() error { return command.run(w.ctx(), lacking, id) })
		for _, c := range []*ledger.Call{lacking, w.caller(ledger.Create{Owner: acme, Scopes: []string{ledger.ScopeAll}})} {
			for _, hidden := range []uuid.UUID{foreign, wider, nobody, uuid.Nil} {
				e := w.refused(ledger.CodeNotFound, func() error { return command.run(w.ctx(), c, hidden) })
				if e.Error() != "ledger: not_found: no such key" {
					t.Errorf("%s of a hidden key says %q: absent and foreign must look the same", name, e)
				}
			}
		}
		if err := command.run(w.ctx(), w.caller(ledger.Create{Owner: acme, Scopes: []string{command.scope}}), id); err != nil {
			t.Errorf("%s with its scope: %v", name, err)
		}
	}
}

func TestGrants(t *testing.T) {
	w := newWorld(t)
	soon, later := w.clock.Now().Add(time.Hour), w.clock.Now().Add(2*time.Hour)
	acme := ledger.Owner{Workspace: "acme"}
	c := w.caller(ledger.Create{Owner: acme, ExpiresAt: soon, Scopes: []string{ledger.ScopeCreate, ledger.ScopeUpdate, "mine"}})
	made := func(in ledger.Create) func() error {
		return func() error { _, err := w.Create(w.ctx(), c, &in); return err }
	}
	for name, refusal := range map[string]struct {
		code ledger.Code
		in   ledger.Create
	}{
		"another owner":                   {ledger.CodeNotFound, ledger.Create{Owner: ledger.Owner{Workspace: "other"}, ExpiresAt: soon}},
		"no owner":                        {ledger.CodeForbidden, ledger.Create{ExpiresAt: soon}},
		"a scope that it lacks":           {ledger.CodeForbidden, ledger.Create{Owner: acme, ExpiresAt: soon, Scopes: []string{ledger.ScopeRead}}},
		"all scopes":                      {ledger.CodeForbidden, ledger.Create{Owner: acme, ExpiresAt: soon, Scopes: []string{ledger.ScopeAll}}},
		"a later expiry":                  {ledger.CodeForbidden, ledger.Create{Owner: acme, ExpiresAt: later}},
		"no expiry":                       {ledger.CodeForbidden, ledger.Create{Owner: acme}},
		"an invalid name, elsewhere":      {ledger.CodeNotFound, ledger.Create{Owner: ledger.Owner{Workspace: "other"}, Name: "\n"}},
		"an invalid name":                 {ledger.CodeInvalid, ledger.Create{Owner: acme, Name: "\n", ExpiresAt: soon}},
		"a microsecond more than its own": {ledger.CodeForbidden, ledger.Create{Owner: acme, ExpiresAt: soon.Add(time.Microsecond)}},
	} {
		e := w.refused(refusal.code, made(refusal.in))
		if e.Detail == "" {
			t.Errorf("%s: refused without a word", name)
		}
		outlives := refusal.in.Owner == acme && (refusal.in.ExpiresAt.IsZero() || refusal.in.ExpiresAt.After(soon))
		if e.Code == ledger.CodeForbidden && (e.Field == "expires_at") != outlives {
			t.Errorf("%s: the field is %q", name, e.Field)
		}
	}
	before := w.log.Len()
	for _, in := range []ledger.Create{
		{Owner: acme, ExpiresAt: soon, Scopes: []string{ledger.ScopeCreate, "anything", "yours"}},
		{Owner: ledger.Owner{Workspace: "acme", Org: "o", AgentID: "a"}, ExpiresAt: soon.Add(-time.Second)},
	} {
		if err := made(in)(); err != nil {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if n := w.log.Len() - before; n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	lacking := w.caller(ledger.Create{Owner: acme, Scopes: []string{ledger.ScopeUpdate}})
	w.refused(ledger.CodeForbidden, func() error { _, err := w.Create(w.ctx(), lacking, &ledger.Create{Owner: acme}); return err })
	w.refused(ledger.CodeNotFound, func() error {
		_, err := w.Create(w.ctx(), lacking, &ledger.Create{Owner: ledger.Owner{Workspace: "other"}})
		return err
	})
}

func TestGrantsOfUpdateRotateEnable(t *testing.T) {
	w := newWorld(t)
	soon, later := w.clock.Now().Add(time.Hour), w.clock.Now().Add(2*time.Hour)
	c := w.caller(ledger.Create{ExpiresAt: soon, Scopes: []string{ledger.ScopeUpdate, ledger.ScopeRead}})
	plain := w.create(ledger.Create{Scopes: []string{"a"}}).Key.ID                                    // outlives the caller
	short := w.create(ledger.Create{Scopes: []string{"a", ledger.ScopeRead}, ExpiresAt: soon}).Key.ID // does not
	strong := w.create(ledger.Create{Scopes: []string{ledger.ScopeRevoke}, ExpiresAt: soon}).Key.ID   // may more
	w.changed(1, func() (ledger.Key, error) { return w.Disable(w.ctx(), c, strong) })

	updated := func(id uuid.UUID, in ledger.Update) func() error {
		return func() error { _, err := w.Update(w.ctx(), c, id, &in); return err }
	}
	rotated := func(id uuid.UUID, in ledger.Rotate) func() error {
		return func() error { _, err := w.Rotate(w.ctx(), c, id, &in); return err }
	}
	for _, refused := range []func() error{
		updated(plain, ledger.Update{ExpiresAt: &later}),
		updated(plain, ledger.Update{Scopes: ptr([]string{"a", ledger.ScopeRead})}), // on a key that outlives the caller
		updated(short, ledger.Update{ExpiresAt: &later}),
		updated(short, ledger.Update{ExpiresAt: ptr(time.Time{})}),
		updated(short, ledger.Update{Scopes: ptr([]string{ledger.ScopeRevoke})}),
		updated(short, ledger.Update{Scopes: ptr([]string{ledger.ScopeAll})}),
		updated(strong, ledger.Update{Name: ptr("x")}),
		updated(strong, ledger.Update{}),
		rotated(plain, ledger.Rotate{}),
		rotated(plain, ledger.Rotate{ExpiresAt: &later}),
		rotated(short, ledger.Rotate{ExpiresAt: &later}),
		rotated(short, ledger.Rotate{ExpiresAt: ptr(time.Time{})}),
		rotated(strong, ledger.Rotate{}),
		func() error { _, err := w.Enable(w.ctx(), c, strong); return err },
	} {
		w.refused(ledger.CodeForbidden, refused)
	}
	before := w.log.Len()
	for i, allowed := range []func() error{
		updated(plain, ledger.Update{Name: ptr("x"), Scopes: ptr([]string{"b"})}),
		updated(plain, ledger.Update{ExpiresAt: &soon}),
		updated(short, ledger.Update{Scopes: ptr([]string{ledger.ScopeRead, ledger.ScopeUpdate})}),
		rotated(short, ledger.Rotate{Grace: time.Hour}),
		rotated(plain, ledger.Rotate{}),
	} {
		if err := allowed(); err != nil {
			t.Errorf("allowed command %d: %v", i, err)
		}
	}
	if n := w.log.Len() - before; n != 5 {
		t.Errorf("%d events, want 5", n)
	}
}
