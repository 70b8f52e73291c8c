package ledger

import (
	"time"

	"keyledger/events"
)

// Evolve is the key after e. It is total: an event that happened cannot be refused. An event that is not of a key
// changes nothing; after a revocation nothing but the sequence moves.
func Evolve(k Key, e *events.Event) Key {
	next := k
	switch p := e.Payload.(type) {
	case *events.Created:
		if k.CreatedAt.IsZero() {
			next = created(e, p)
		}
	case *events.Updated:
		next.update(p)
	case *events.Rotated:
		next.rotate(e, p)
	case *events.Disabled:
		next.DisabledAt = e.Time
	case *events.Enabled:
		next.DisabledAt = time.Time{}
	case *events.Revoked:
		next.RevokedAt, next.RevokedBy, next.RevokeReason = e.Time, e.Actor, p.Reason
	default:
		return k
	}
	next.UpdatedAt = e.Time
	if !k.RevokedAt.IsZero() {
		next = k
	}
	next.Sequence, next.LastEvent = e.Sequence, e.ID
	return next
}

func created(e *events.Event, p *events.Created) Key {
	return Key{
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
		ExpiresAt:   p.ExpiresAt,
	}
}

func (k *Key) update(p *events.Updated) {
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
		k.expire(*p.ExpiresAt)
	}
}

func (k *Key) rotate(e *events.Event, p *events.Rotated) {
	k.PreviousDigest, k.PreviousExpiresAt = k.Digest, p.PreviousExpiresAt
	k.Digest, k.Hint = p.Digest, p.Hint
	k.RotatedAt = e.Time
	if p.ExpiresAt != nil {
		k.expire(*p.ExpiresAt)
	}
}

// expire moves the expiry. An earlier one ends the previous secret too, for good: a later one does not bring it back.
func (k *Key) expire(at time.Time) {
	k.ExpiresAt = at
	if !at.IsZero() && k.PreviousExpiresAt.After(at) {
		k.PreviousExpiresAt = at
	}
}
