package ledger_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

var origin = events.Origin{IP: "192.0.2.7", UserAgent: "curl/8"}

func TestCreateVerifyRevoke(t *testing.T) {
	w := newWorld(t)
	issued := w.create(ledger.Create{Name: "ci", Scopes: []string{"read", "write"}, Owner: ledger.Owner{Workspace: "acme"}})
	v := w.verify(ledger.VerifyRequest{Token: issued.Token.Reveal(), Scopes: []string{"write"}, Workspace: "acme"})
	if v.Decision != ledger.Valid || !v.Found || v.Key.ID != issued.Key.ID || v.Key.Name != "ci" {
		t.Fatalf("a new key: %+v", v)
	}
	k := w.changed(1, func() (ledger.Key, error) { return w.Revoke(w.ctx(), &w.root, issued.Key.ID, "leaked") })
	if k.Status(w.clock.Now()) != ledger.Revoked || k.RevokeReason != "leaked" || k.RevokedBy != w.first.Key.ID.String() {
		t.Fatalf("a revoked key: %+v", k)
	}
	if d := w.decision(issued.Token); d != ledger.KeyRevoked {
		t.Fatalf("a revoked token: %s", d)
	}
}

// What is stored of a command says who asked, from where, and in which request; and nothing of the token.
func TestCommandsAreRecorded(t *testing.T) {
	w := newWorld(t)
	c := w.root
	c.RequestID, c.Origin = "req-1", origin
	brought := ledger.NewSecret("a-token-that-was-brought-by-the-caller-0001")
	issued := must(w.Create(w.ctx(), &c, &ledger.Create{Name: "ci", Metadata: json.RawMessage(`{"a":1}`), Token: brought}))
	rotated := must(w.Rotate(w.ctx(), &c, issued.Key.ID, &ledger.Rotate{}))
	w.clock.Advance(time.Minute)
	for _, do := range []func() (ledger.Key, error){
		func() (ledger.Key, error) {
			return w.Update(w.ctx(), &c, issued.Key.ID, &ledger.Update{Name: ptr("new")})
		},
		func() (ledger.Key, error) { return w.Disable(w.ctx(), &c, issued.Key.ID) },
		func() (ledger.Key, error) { return w.Enable(w.ctx(), &c, issued.Key.ID) },
		func() (ledger.Key, error) { return w.Revoke(w.ctx(), &c, issued.Key.ID, "leaked") },
	} {
		w.changed(1, do)
	}
	list := must(w.KeyEvents(w.ctx(), &w.root.Principal, issued.Key.ID, 1, 100))
	want := []events.Type{events.KeyCreated, events.KeyRotated, events.KeyUpdated, events.KeyDisabled, events.KeyEnabled, events.KeyRevoked}
	if len(list) != len(want) {
		t.Fatalf("%d events, want %d", len(list), len(want))
	}
	for i, e := range list {
		if e.Type != want[i] || e.Actor != w.first.Key.ID.String() || e.RequestID != "req-1" || e.Origin != origin {
			t.Errorf("event %d is %+v", i, e)
		}
	}
	if at := list[5].Time; !at.Equal(w.clock.Now()) || at.Location() != time.UTC {
		t.Errorf("the last event is of %v, want %v", at, w.clock.Now())
	}
	messages := must(w.log.Scan(w.ctx(), ">", 1, 100))
	for _, m := range messages {
		for _, secret := range []ledger.Secret{brought, rotated.Token, w.first.Token} {
			if strings.Contains(string(m.Data)+m.Subject+m.Actor, secret.Reveal()[8:24]) {
				t.Errorf("message %d holds a token", m.Sequence)
			}
		}
	}
}

func TestRequestID(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{strings.Repeat("x", 129), "a b", "a\nb", "é"} {
		c := w.root
		c.RequestID = id
		w.refused(ledger.CodeInvalid, func() error { _, err := w.Create(w.ctx(), &c, &ledger.Create{}); return err })
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t)
	for field, list := range beyondLimits() {
		for _, in := range list {
			e := w.refused(ledger.CodeInvalid, func() error {
				issued, err := w.Create(w.ctx(), &w.root, &in)
				if !issued.Token.IsZero() || issued.Key.ID != uuid.Nil {
					t.Errorf("a refused create gives %+v", issued)
				}
				return err
			})
			if e.Field != field {
				t.Errorf("%+v: refused for %s, want %s", in, e.Field, field)
			}
		}
	}
}

func TestBroughtToken(t *testing.T) {
	w := newWorld(t)
	bring := func(token string) error {
		_, err := w.Create(w.ctx(), &w.root, &ledger.Create{Token: ledger.NewSecret(token)})
		return err
	}
	for _, token := range []string{
		strings.Repeat("x", 31), strings.Repeat("x", 513), strings.Repeat("x", 31) + " ", strings.Repeat("x", 32) + "\n",
		strings.Repeat("é", 32), "kl_" + strings.Repeat("x", 49), // a native one mistyped
	} {
		if e := w.refused(ledger.CodeInvalid, func() error { return bring(token) }); e.Field != "token" {
			t.Errorf("%q: refused for %q", token, e.Field)
		}
	}
	for _, token := range []string{strings.Repeat("x", 32), strings.Repeat("~", 512), mint()} {
		before := w.log.Len()
		if err := bring(token); err != nil {
			t.Fatalf("%q: %v", token, err)
		}
		if n := w.log.Len() - before; n != 2 {
			t.Fatalf("%d events, want the claim and the key", n)
		}
		if d := w.decision(ledger.NewSecret(token)); d != ledger.Valid {
			t.Fatalf("%q: %s", token, d)
		}
	}
}

// A token that was ever brought, or is that of a key, never becomes that of another key.
func TestUsedToken(t *testing.T) {
	w := newWorld(t)
	one, two := ledger.NewSecret(strings.Repeat("1", 40)), ledger.NewSecret(strings.Repeat("2", 40))
	minted, key := w.create(ledger.Create{}), w.create(ledger.Create{Token: one}).Key.ID
	another := w.create(ledger.Create{}).Key.ID
	refused := func(used ...ledger.Secret) {
		t.Helper()
		for _, token := range used {
			for _, do := range []func() error{
				func() error { _, err := w.Create(w.ctx(), &w.root, &ledger.Create{Token: token}); return err },
				func() error { _, err := w.Rotate(w.ctx(), &w.root, key, &ledger.Rotate{Token: token}); return err },
				func() error { _, err := w.Rotate(w.ctx(), &w.root, another, &ledger.Rotate{Token: token}); return err },
			} {
				if e := w.refused(ledger.CodeConflict, do); strings.Contains(e.Error(), token.Reveal()) {
					t.Errorf("the error %q holds the token", e)
				}
			}
		}
	}
	refused(one, minted.Token, w.first.Token)
	for _, next := range []ledger.Secret{two, {}, {}} { // then no view knows the two
		must(w.Rotate(w.ctx(), &w.root, key, &ledger.Rotate{Token: next}))
	}
	if d := w.decision(two); d != ledger.NotFound {
		t.Fatalf("a secret that was rotated away twice: %s", d)
	}
	refused(one, two)
	must(w.Revoke(w.ctx(), &w.root, minted.Key.ID, ""))
	for _, token := range []ledger.Secret{one, two, minted.Token} {
		w.refused(ledger.CodeConflict, func() error {
			_, err := w.Create(w.ctx(), &w.root, &ledger.Create{Token: token})
			return err
		})
	}
}

func TestRotate(t *testing.T) {
	w := newWorld(t)
	first := w.create(ledger.Create{Environment: ledger.Test})
	turn := func(in ledger.Rotate) ledger.Issued {
		t.Helper()
		var issued ledger.Issued
		w.changed(1, func() (k ledger.Key, err error) {
			issued, err = w.Rotate(w.ctx(), &w.root, first.Key.ID, &in)
			return issued.Key, err
		})
		if issued.Key.ID != first.Key.ID || !strings.HasPrefix(issued.Token.Reveal(), "kl_test_") {
			t.Fatalf("a rotated key: %+v", issued.Key)
		}
		return issued
	}
	decisions := func(want ...ledger.Decision) func(...ledger.Issued) {
		return func(list ...ledger.Issued) {
			t.Helper()
			for i, issued := range list {
				if d := w.decision(issued.Token); d != want[i] {
					t.Fatalf("secret %d: %s, want %s", i+1, d, want[i])
				}
			}
		}
	}
	second := turn(ledger.Rotate{Grace: time.Hour})
	decisions(ledger.Valid, ledger.Valid)(first, second)
	third := turn(ledger.Rotate{Grace: time.Hour})
	decisions(ledger.NotFound, ledger.Valid, ledger.Valid)(first, second, third)
	w.clock.Advance(time.Hour - time.Microsecond)
	decisions(ledger.NotFound, ledger.Valid, ledger.Valid)(first, second, third)
	w.clock.Advance(time.Microsecond)
	decisions(ledger.NotFound, ledger.KeyExpired, ledger.Valid)(first, second, third)
	fourth := turn(ledger.Rotate{})
	decisions(ledger.NotFound, ledger.NotFound, ledger.KeyExpired, ledger.Valid)(first, second, third, fourth)

	// The old secret ends with the key, however long its grace.
	end := w.clock.Now().Add(time.Minute)
	fifth := turn(ledger.Rotate{Grace: ledger.MaxGrace, ExpiresAt: &end})
	decisions(ledger.Valid, ledger.Valid)(fourth, fifth)
	w.clock.Advance(time.Minute)
	decisions(ledger.KeyExpired, ledger.KeyExpired)(fourth, fifth)
	w.refused(ledger.CodeConflict, func() error {
		_, err := w.Rotate(w.ctx(), &w.root, first.Key.ID, &ledger.Rotate{})
		return err
	})
	// A later expiry revives the key, not the old secret.
	w.changed(1, func() (ledger.Key, error) {
		return w.Update(w.ctx(), &w.root, first.Key.ID, &ledger.Update{ExpiresAt: ptr(time.Time{})})
	})
	decisions(ledger.KeyExpired, ledger.Valid)(fourth, fifth)
}

func TestRevokedKeyRefusesEverything(t *testing.T) {
	w := newWorld(t)
	id := w.create(ledger.Create{}).Key.ID
	w.changed(1, func() (ledger.Key, error) { return w.Revoke(w.ctx(), &w.root, id, "leaked") })
	for name, command := range w.commands() {
		switch name {
		case "update", "rotate", "disable", "enable":
			w.refused(ledger.CodeConflict, func() error { return command.run(w.ctx(), &w.root, id) })
		}
	}
	w.refused(ledger.CodeConflict, func() error { _, err := w.Revoke(w.ctx(), &w.root, id, "lost"); return err })
	for _, reason := range []string{"", "leaked"} {
		k := w.changed(0, func() (ledger.Key, error) { return w.Revoke(w.ctx(), &w.root, id, reason) })
		if k.RevokeReason != "leaked" {
			t.Fatalf("the repeat of a revocation gives %+v", k)
		}
	}
}

func TestCommandsThatChangeNothing(t *testing.T) {
	w := newWorld(t)
	id := w.create(ledger.Create{Name: "ci"}).Key.ID
	w.changed(0, func() (ledger.Key, error) { return w.Enable(w.ctx(), &w.root, id) })
	w.changed(0, func() (ledger.Key, error) { return w.Update(w.ctx(), &w.root, id, &ledger.Update{Name: ptr("ci")}) })
	w.changed(1, func() (ledger.Key, error) { return w.Disable(w.ctx(), &w.root, id) })
	w.changed(0, func() (ledger.Key, error) { return w.Disable(w.ctx(), &w.root, id) })
	w.changed(1, func() (ledger.Key, error) { return w.Enable(w.ctx(), &w.root, id) })
}

func TestIfSequence(t *testing.T) {
	w := newWorld(t)
	issued := w.create(ledger.Create{})
	c := w.root
	c.IfSequence = issued.Key.Sequence
	k := w.changed(1, func() (ledger.Key, error) {
		return w.Update(w.ctx(), &c, issued.Key.ID, &ledger.Update{Name: ptr("one")})
	})
	for name, command := range w.commands() {
		if command.scope == ledger.ScopeUpdate || command.scope == ledger.ScopeRevoke {
			for _, sequence := range []uint64{issued.Key.Sequence, 1, k.Sequence + 100} {
				c.IfSequence = sequence
				e := w.refused(ledger.CodePrecondition, func() error { return command.run(w.ctx(), &c, issued.Key.ID) })
				if e.Detail == "" {
					t.Errorf("%s: refused without a word", name)
				}
			}
		}
	}
	c.IfSequence = k.Sequence
	w.changed(1, func() (ledger.Key, error) { return w.Revoke(w.ctx(), &c, issued.Key.ID, "") })
}

// An If-Match with what another node has shown is waited for.
func TestIfSequenceOfAnotherNode(t *testing.T) {
	w := newWorld(t)
	elsewhere := w.node()
	c := w.root
	for range 20 { // one that hears in time is enough: this machine may be slower than the wait is long
		id := w.create(ledger.Create{}).Key.ID
		w.level([]node{elsewhere})
		w.ear.Lock()
		c.IfSequence = must(elsewhere.Disable(w.ctx(), &w.root, id)).Sequence
		hear := sync.OnceFunc(w.ear.Unlock)
		here := ledger.New(ledger.Config{Log: w.log, State: &watched{w.state, hear}, Now: w.clock.Now})
		_, err := here.Enable(w.ctx(), &c, id)
		hear()
		if err == nil {
			return
		}
		if ledger.CodeOf(err) != ledger.CodePrecondition {
			t.Fatal(err)
		}
	}
	t.Fatal("it never waited for what the caller has seen")
}

func TestLastRoot(t *testing.T) {
	w := newWorld(t)
	id := w.first.Key.ID
	soon := w.clock.Now().Add(time.Hour)
	removals := map[string]func(c *ledger.Call, id uuid.UUID) error{
		"revoke":  func(c *ledger.Call, id uuid.UUID) error { _, err := w.Revoke(w.ctx(), c, id, ""); return err },
		"disable": func(c *ledger.Call, id uuid.UUID) error { _, err := w.Disable(w.ctx(), c, id); return err },
		"expire": func(c *ledger.Call, id uuid.UUID) error {
			_, err := w.Update(w.ctx(), c, id, &ledger.Update{ExpiresAt: &soon})
			return err
		},
		"demote": func(c *ledger.Call, id uuid.UUID) error {
			_, err := w.Update(w.ctx(), c, id, &ledger.Update{Scopes: ptr([]string{"a"})})
			return err
		},
		"rotate": func(c *ledger.Call, id uuid.UUID) error {
			_, err := w.Rotate(w.ctx(), c, id, &ledger.Rotate{ExpiresAt: &soon})
			return err
		},
	}
	stays := func() {
		t.Helper()
		for name, remove := range removals {
			if e := w.refused(ledger.CodeConflict, func() error { return remove(&w.root, id) }); e.Detail == "" {
				t.Errorf("%s: refused without a word", name)
			}
		}
	}
	stays()
	// None of these is a root that could take its place now.
	all := []string{ledger.ScopeAll}
	w.create(ledger.Create{Scopes: all, Owner: ledger.Owner{Workspace: "acme"}})
	w.create(ledger.Create{Scopes: all, ExpiresAt: soon})
	w.create(ledger.Create{Scopes: all, NotBefore: soon})
	w.create(ledger.Create{Scopes: []string{"a"}})
	stays()
	for name, remove := range removals {
		other := w.create(ledger.Create{Scopes: all}).Key.ID
		before := w.log.Len()
		if err := remove(&w.root, other); err != nil {
			t.Fatalf("%s one of two roots: %v", name, err)
		}
		if n := w.log.Len() - before; n != 2 {
			t.Fatalf("%s one of two roots appended %d events, want the claim and the change", name, n)
		}
		stays()
	}
	// A root may be rotated and renamed like any key.
	w.changed(1, func() (ledger.Key, error) { return w.Update(w.ctx(), &w.root, id, &ledger.Update{Name: ptr("x")}) })
	w.changed(1, func() (ledger.Key, error) {
		issued, err := w.Rotate(w.ctx(), &w.root, id, &ledger.Rotate{})
		return issued.Key, err
	})
}
