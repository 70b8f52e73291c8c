package ledger

import (
	"context"

	"github.com/google/uuid"

	"keyledger/events"
)

// nameHash is the hash under which the name of a key is claimed within its owner and type.
func nameHash(o *Owner, keyType, name string) string {
	return claimHash(o.Workspace, o.Org, o.AgentID, o.Peer, o.Session, keyType, name)
}

// holdsName tells whether the key has its name to itself.
func (k *Key) holdsName() bool { return k.UniqueName && k.RevokedAt.IsZero() && k.ErasedAt.IsZero() }

// NameClaim is the hash of the claim that lets the key have its name to itself, empty when it needs none.
func (k *Key) NameClaim() string {
	if !k.holdsName() {
		return ""
	}
	return nameHash(&k.Owner, k.Type, k.Name)
}

// nameClaims are the claims of names that go with the event e, which turns k into next: the old name is released, the
// new one taken.
func (s *Service) nameClaims(ctx context.Context, k, next *Key, e *events.Event) (list []Entry, err error) {
	if k.holdsName() == next.holdsName() && k.Name == next.Name {
		return nil, nil
	}
	if k.holdsName() {
		if list, err = s.releaseName(ctx, k, e); err != nil {
			return nil, err
		}
	}
	if next.holdsName() {
		taken, err := s.takeName(ctx, next, e)
		if err != nil {
			return nil, err
		}
		list = append(list, taken)
	}
	return list, nil
}

// releaseName gives up the name of k. When another key has it, k has changed since it was read: the guard of e tells.
func (s *Service) releaseName(ctx context.Context, k *Key, e *events.Event) ([]Entry, error) {
	hash := nameHash(&k.Owner, k.Type, k.Name)
	claim, err := s.state.Claim(ctx, claimName, hash)
	if err != nil {
		return nil, failed(err)
	}
	if claim.Holder != k.ID.String() {
		return nil, nil
	}
	entry, err := s.release(e, claimName, hash, claim.Sequence)
	return []Entry{entry}, err
}

// takeName takes the name of k, unless another key holds it: CodeConflict with Field "name".
func (s *Service) takeName(ctx context.Context, k *Key, e *events.Event) (Entry, error) {
	hash := nameHash(&k.Owner, k.Type, k.Name)
	claim, err := s.state.Claim(ctx, claimName, hash)
	if err == nil && claim.Held { // as this node knows: it may have been released elsewhere
		if err := s.catchUp(ctx); err != nil {
			return Entry{}, err
		}
		claim, err = s.state.Claim(ctx, claimName, hash)
	}
	switch {
	case err != nil:
		return Entry{}, failed(err)
	case claim.Holder == k.ID.String(): // by an event that came after k was read
		return Entry{}, ErrConflict
	case claim.Held:
		return Entry{}, &Error{Code: CodeConflict, Field: "name", Detail: "the name is in use already"}
	}
	return s.take(e, claimName, hash, k.ID.String(), claim.Sequence)
}

// KeyByName returns the key with UniqueName that has this name in this owner and of this type: scope ledger:keys:read.
// What is left out of the owner is what the principal is bound to. A revoked key has no name any more (CodeNotFound).
func (s *Service) KeyByName(ctx context.Context, p *Principal, owner Owner, keyType, name string) (Key, error) {
	owner, err := p.narrow(owner)
	if err != nil {
		return Key{}, notFound("key")
	}
	claim, err := s.state.Claim(ctx, claimName, nameHash(&owner, orDefault(keyType, TypeExternal), name))
	if err != nil {
		return Key{}, failed(err)
	}
	id, err := uuid.Parse(claim.Holder)
	if !claim.Held || err != nil {
		return Key{}, notFound("key")
	}
	return s.find(ctx, p, ScopeRead, id)
}
