package ledger_test

import (
	"strings"
	"testing"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

func TestBootstrap(t *testing.T) {
	w := newBareWorld(t)
	token := ledger.NewSecret("the-token-that-the-operator-has-chosen")
	issued, made, err := w.Bootstrap(w.ctx(), token)
	if err != nil || !made || issued.Token.Reveal() != token.Reveal() {
		t.Fatalf("bootstrap: made %v, %v", made, err)
	}
	k := issued.Key
	w.visible(k)
	if !k.IsRoot() || k.CreatedBy != "system" || k.Name != "root" || k.Type != ledger.TypeInternal {
		t.Fatalf("the root key is %+v", k)
	}
	if p := w.principal(token); p.Scopes != ledger.ScopeAll || p.KeyID != k.ID {
		t.Fatalf("the root is %+v", p)
	}
	root := ledger.Call{Principal: w.principal(token)}
	for _, again := range []ledger.Secret{token, {}, ledger.NewSecret(strings.Repeat("x", 40))} {
		before := w.log.Len()
		issued, made, err := w.Bootstrap(w.ctx(), again)
		if err != nil || made || !issued.Token.IsZero() || w.log.Len() != before {
			t.Fatalf("bootstrap again: %+v, made %v, %v", issued, made, err)
		}
	}
	// Also when that first root key is gone.
	must(w.Create(w.ctx(), &root, &ledger.Create{Scopes: []string{ledger.ScopeAll}}))
	must(w.Revoke(w.ctx(), &root, k.ID, ""))
	if _, made, err := w.Bootstrap(w.ctx(), ledger.Secret{}); err != nil || made {
		t.Fatalf("bootstrap after the first root key was revoked: made %v, %v", made, err)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	w := newBareWorld(t)
	for _, token := range []string{strings.Repeat("x", 31), strings.Repeat("x", 513), "kl_" + strings.Repeat("x", 49)} {
		w.refused(ledger.CodeInvalid, func() error { _, _, err := w.Bootstrap(w.ctx(), ledger.NewSecret(token)); return err })
	}
}

func TestBootstrapFails(t *testing.T) {
	for name, applied := range map[string]bool{"unavailable": false, "unavailable, but stored": true} {
		t.Run(name, func(t *testing.T) {
			w := newBareWorld(t)
			token := ledger.NewSecret(mint())
			w.log.FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: applied})
			if issued, made, err := w.Bootstrap(w.ctx(), token); ledger.CodeOf(err) != ledger.CodeUnavailable || made || !issued.Token.IsZero() {
				t.Fatalf("got %+v, made %v, %v", issued, made, err)
			}
			if _, made, err := w.Bootstrap(w.ctx(), token); err != nil || made == applied {
				t.Fatalf("the second time: made %v, %v", made, err)
			}
			if p, err := w.Authenticate(w.ctx(), token.Reveal(), events.Origin{}); err != nil || p.Scopes != ledger.ScopeAll {
				t.Fatalf("the token that was kept gives %+v, %v", p, err)
			}
			if n := w.log.Len(); n != 3 {
				t.Fatalf("%d events, want two claims and a key", n)
			}
		})
	}
}
