package ledger

import (
	"time"

	"keyledger/events"
)

// Evolve is the key after e. It is total: an event that happened cannot be refused. An event that is not of a key
// changes nothing; after a revocation nothing but the sequence moves, and an erased key stays
// erased.
func Evolve(k Key, e *events.Event) Key {
	next := k
	switch {
	case next.change(e):
		next.UpdatedAt, next.Revision = e.Time, e.Sequence
	case !next.notice(e):
		return k
	}
	if !k.RevokedAt.IsZero() {
		next = k
	}
	if _, ok := e.Payload.(*events.Erasure); ok && next.ErasedAt.IsZero() {
		next.ErasedAt = e.Time
	}
	if !next.ErasedAt.IsZero() {
		next.Scrub()
	}
	next.Sequence, next.LastEvent = e.Sequence, e.ID
	return next
}

// change makes the change that e is, and tells whether it is one.
func (k *Key) change(e *events.Event) bool {
	switch p := e.Payload.(type) {
	case *events.Created:
		if k.CreatedAt.IsZero() {
			*k = created(e, p)
		}
	case *events.Updated:
		k.update(e, p)
	case *events.Rotated:
		k.rotate(e, p)
	case *events.Disabled:
		k.DisabledAt = e.Time
	case *events.Enabled:
		k.DisabledAt = time.Time{}
	case *events.Revoked:
		k.RevokedAt, k.RevokedBy, k.RevokeReason = e.Time, e.Actor, p.Reason
	case *events.Erasure:
	default:
		return false
	}
	return true
}

// notice notes what a notice says, and tells whether e is one.
func (k *Key) notice(e *events.Event) bool {
	switch p := e.Payload.(type) {
	case *events.Expiring:
		k.announce(p.ExpiresAt, p.Horizon)
	case *events.Expired:
		k.announce(p.ExpiresAt, 0)
	case *events.FirstUsed:
		k.FirstUsed = true
	default:
		return false
	}
	return true
}

func created(e *events.Event, p *events.Created) Key {
	k := Key{
		ID:          p.KeyID,
		Owner:       p.Owner,
		Name:        p.Name,
		Hint:        p.Hint,
		Scopes:      Scopes(p.Scopes),
		Environment: p.Environment,
		Type:        p.KeyType,
		Metadata:    p.Metadata,
		UniqueName:  p.UniqueName,
		Confined:    p.Confined,
		Digest:      p.Digest,
		CreatedAt:   e.Time,
		CreatedBy:   e.Actor,
		NotBefore:   p.NotBefore,
	}
	k.expire(e, p.ExpiresAt)
	return k
}

func (k *Key) update(e *events.Event, p *events.Updated) {
	if p.Name != nil {
		k.Name = *p.Name
	}
	if p.Scopes != nil {
		k.Scopes = Scopes(*p.Scopes)
	}
	if p.Metadata != nil {
		k.Metadata = *p.Metadata
	}
	if p.ExpiresAt != nil {
		k.expire(e, *p.ExpiresAt)
	}
}

func (k *Key) rotate(e *events.Event, p *events.Rotated) {
	k.PreviousDigest, k.PreviousExpiresAt = k.Digest, p.PreviousExpiresAt
	k.Digest, k.Hint = p.Digest, p.Hint
	k.RotatedAt = e.Time
	if p.ExpiresAt != nil {
		k.expire(e, *p.ExpiresAt)
	}
}

// expire moves the expiry, and its announcement begins anew. An earlier one ends the previous secret too, for good: a
// later one does not bring it back.
func (k *Key) expire(e *events.Event, at time.Time) {
	k.ExpiresAt, k.ExpirySetAt, k.Announced = at, time.Time{}, time.Time{}
	if !at.IsZero() {
		k.ExpirySetAt = e.Time
	}
	if !at.IsZero() && k.PreviousExpiresAt.After(at) {
		k.PreviousExpiresAt = at
	}
}
