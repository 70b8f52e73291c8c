package ledger_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// ofID is a token that follows from the id.
func ofID(id uuid.UUID, _ [32]byte) (string, error) { return hex.EncodeToString(id[:]), nil }

func TestReveal(t *testing.T) {
	w := newWorld(t)
	owner := ledger.Owner{Workspace: "acme"}
	issued := w.create(ledger.Create{Mint: ofID, Owner: owner, Scopes: []string{ledger.ScopeRead}})
	equal := w.caller(ledger.Create{Owner: owner, Scopes: []string{ledger.ScopeRead, ledger.ScopeCreate}})
	before := w.log.Len()
	for _, p := range []*ledger.Principal{&w.root.Principal, &equal.Principal} {
		again, err := w.Reveal(w.ctx(), p, issued.Key.ID, ofID)
		if err != nil || again.Token.Reveal() != issued.Token.Reveal() || again.Key.ID != issued.Key.ID {
			t.Errorf("%v, %v", again.Key, err)
		}
	}
	if w.log.Len() != before {
		t.Error("something was appended")
	}
}

// The token is told to none but those who could have created the key.
func TestRevealRefuses(t *testing.T) {
	w := newWorld(t)
	owner := ledger.Owner{Workspace: "acme"}
	key := w.create(ledger.Create{Mint: ofID, Owner: owner, Scopes: []string{ledger.ScopeRead}}).Key.ID
	reveal := func(p ledger.Principal, id uuid.UUID, mint ledger.Mint) func() error {
		return func() error {
			issued, err := w.Reveal(w.ctx(), &p, id, mint)
			if !issued.Token.IsZero() {
				t.Error("a token is told")
			}
			return err
		}
	}
	both := []string{ledger.ScopeCreate, ledger.ScopeRead}
	for what, c := range map[string]struct {
		caller ledger.Create
		code   ledger.Code
	}{
		"another owner":  {ledger.Create{Owner: ledger.Owner{Workspace: "other"}, Scopes: both}, ledger.CodeNotFound},
		"no scope":       {ledger.Create{Owner: owner, Scopes: []string{ledger.ScopeRead}}, ledger.CodeForbidden},
		"fewer scopes":   {ledger.Create{Owner: owner, Scopes: []string{ledger.ScopeCreate}}, ledger.CodeForbidden},
		"an earlier end": {ledger.Create{Owner: owner, Scopes: both, ExpiresAt: w.clock.Now().Add(time.Hour)}, ledger.CodeForbidden},
	} {
		t.Run(what, func(*testing.T) { w.refused(c.code, reveal(w.caller(c.caller).Principal, key, ofID)) })
	}
	root := w.root.Principal
	w.refused(ledger.CodeNotFound, reveal(root, uuid.New(), ofID))
	w.refused(ledger.CodeConflict, reveal(root, key, inHex))
	w.refused(ledger.CodeInternal, reveal(root, key, func(uuid.UUID, [32]byte) (string, error) { return "", errors.New("broken") }))
	w.refused(ledger.CodeConflict, reveal(root, w.create(ledger.Create{Mint: inHex}).Key.ID, ofID))
	must(w.Revoke(w.ctx(), &w.root, key, ""))
	w.refused(ledger.CodeConflict, reveal(root, key, ofID))
}
