package ledger

import (
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Principal is an authenticated caller: a key of the ledger, or Actor.
type Principal struct {
	KeyID     uuid.UUID
	Actor     string // who acts when it is no key: 1 to 128 visible ASCII characters; "system" when empty
	Owner     Owner
	Scopes    Scopes
	ExpiresAt time.Time

	digest Digest // of the token that it came with; zero: it came without
}

// Name names the principal: the id of its key, or Actor. Empty: it is nobody.
func (p *Principal) Name() string {
	if p.KeyID != uuid.Nil {
		return p.KeyID.String()
	}
	return p.Actor
}

// presents tells whether the token that p came with is still one of k, its key.
func (p *Principal) presents(k *Key, now time.Time) bool {
	return p.digest == Digest{} || p.digest == k.Digest || p.digest == k.PreviousDigest && k.InGrace(now)
}

// Allow tells whether p may do what scope names to what belongs to owner. What lies outside the owner p is bound to is
// CodeNotFound, as if it were absent, whatever the scopes of p; a missing scope is CodeForbidden.
func Allow(p *Principal, scope string, owner *Owner) error {
	if !p.covers(owner) {
		return notFound("key")
	}
	return p.may(scope)
}

// may tells whether p holds scope.
func (p *Principal) may(scope string) error {
	if !p.Scopes.Has(scope) {
		return forbidden("this needs the scope %s", scope)
	}
	return nil
}

// covers tells whether owner lies inside the owner p is bound to.
func (p *Principal) covers(owner *Owner) bool {
	b := &p.Owner
	return (b.Workspace == "" || b.Workspace == owner.Workspace) &&
		(b.Org == "" || b.Org == owner.Org) &&
		(b.AgentID == "" || b.AgentID == owner.AgentID) &&
		(b.Peer == "" || b.Peer == owner.Peer) &&
		(b.Session == "" || b.Session == owner.Session)
}

// allowOwner is Allow for an owner that p states for something new. It must be as narrow as the owner p is bound to:
// another one is CodeNotFound, as if it were absent; one that is left out where p is bound is wider, CodeForbidden.
func allowOwner(p *Principal, scope string, owner *Owner) error {
	wider := ""
	for _, part := range [...]struct{ field, bound, stated string }{
		{"workspace_id", p.Owner.Workspace, owner.Workspace},
		{"org_id", p.Owner.Org, owner.Org},
		{"agent_id", p.Owner.AgentID, owner.AgentID},
		{"peer_id", p.Owner.Peer, owner.Peer},
		{"session_id", p.Owner.Session, owner.Session},
	} {
		switch {
		case part.bound == "" || part.bound == part.stated:
		case part.stated == "":
			wider = part.field
		default:
			return notFound("owner")
		}
	}
	if err := p.may(scope); err != nil {
		return err
	}
	if wider != "" {
		return forbidden("your key is bound to one %s: state it", wider)
	}
	return nil
}

// narrow fills in, where the caller left a part of an owner open, what p is bound to. Another one is CodeNotFound.
func (p *Principal) narrow(owner Owner) (Owner, error) {
	for _, part := range [...]struct {
		bound string
		asked *string
	}{
		{p.Owner.Workspace, &owner.Workspace},
		{p.Owner.Org, &owner.Org},
		{p.Owner.AgentID, &owner.AgentID},
		{p.Owner.Peer, &owner.Peer},
		{p.Owner.Session, &owner.Session},
	} {
		if *part.asked == "" {
			*part.asked = part.bound
		}
	}
	if !p.covers(&owner) {
		return Owner{}, notFound("owner")
	}
	return owner, nil
}

// grantScopes refuses scopes of the ledger that p does not hold: nobody can grant more than their own.
func (p *Principal) grantScopes(scopes Scopes) error {
	for scope := range scopes.All() {
		if isLedgerScope(scope) && !p.Scopes.Has(scope) {
			return forbidden("your key does not hold the scope %s", scope)
		}
	}
	return nil
}

// grantExpiry refuses an expiry after that of p: nobody can grant what outlives their own.
func (p *Principal) grantExpiry(expiry time.Time) error {
	if p.ExpiresAt.IsZero() || !expiry.IsZero() && !expiry.After(p.ExpiresAt) {
		return nil
	}
	e := forbidden("your key expires at %s: what it gives must expire no later than that", p.ExpiresAt.Format(time.RFC3339))
	e.Field = "expires_at"
	return e
}

// grantCreate applies the rules of granting to a new key.
func (p *Principal) grantCreate(out *events.Created) error {
	if err := p.grantScopes(Scopes(out.Scopes)); err != nil {
		return err
	}
	return p.grantExpiry(out.ExpiresAt)
}

// grantUpdate applies them to a change of k. A key that is only renamed may outlive p; one that p extends, or gives
// rights here, may not.
func (p *Principal) grantUpdate(k *Key, out *events.Updated) error {
	expiry, extended := k.ExpiresAt, out.ExpiresAt != nil
	if extended {
		expiry = *out.ExpiresAt
	}
	if out.Scopes != nil {
		if err := p.grantScopes(Scopes(*out.Scopes)); err != nil {
			return err
		}
		for scope := range Scopes(*out.Scopes).All() {
			extended = extended || isLedgerScope(scope) && !k.Scopes.Has(scope)
		}
	}
	if !extended {
		return nil
	}
	return p.grantExpiry(expiry)
}

// grantRotate applies them to a new secret of k, which p gets to know.
func (p *Principal) grantRotate(k *Key, out *events.Rotated) error {
	if err := p.grantScopes(k.Scopes); err != nil {
		return err
	}
	if out.ExpiresAt != nil {
		return p.grantExpiry(*out.ExpiresAt)
	}
	return p.grantExpiry(k.ExpiresAt)
}

// isUnbound tells that nothing of an owner is set.
func isUnbound(o *Owner) bool {
	return o.Workspace == "" && o.Org == "" && o.AgentID == "" && o.Peer == "" && o.Session == ""
}
