package ledger_test

import (
	"testing"

	"keyledger/ledger"
)

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
