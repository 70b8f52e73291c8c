package ledger_test

import (
	"reflect"
	"testing"
	"time"

	"keyledger/events"
	"keyledger/ledger"
)

// TestRenew: it gives what Authenticate gives, by the digest of a token, as long as that would.
func TestRenew(t *testing.T) {
	w := newWorld(t)
	issued := w.create(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeEvents}})
	want := must(w.Authenticate(w.ctx(), issued.Token.Reveal(), events.Origin{}))
	if got := must(w.Renew(w.ctx(), issued.Token.Digest())); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, not %+v", got, want)
	}
	rotated := must(w.Rotate(w.ctx(), &w.root, issued.Key.ID, &ledger.Rotate{Grace: time.Minute}))
	must(w.Renew(w.ctx(), issued.Token.Digest()))
	w.clock.Advance(time.Minute)
	refused := func(d ledger.Digest) {
		t.Helper()
		if p, err := w.Renew(w.ctx(), d); ledger.CodeOf(err) != ledger.CodeUnauthenticated {
			t.Errorf("%+v, %v", p, err)
		}
	}
	refused(issued.Token.Digest())
	refused(ledger.Digest{1})
	must(w.Renew(w.ctx(), rotated.Token.Digest()))
	must(w.Revoke(w.ctx(), &w.root, issued.Key.ID, ""))
	refused(rotated.Token.Digest())
}
