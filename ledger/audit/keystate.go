package audit

import (
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// keyState is what the rules need to remember of a key: 64 bytes. The ledger's own rules are asked with the ledger.Key that
// it stands for. Times are in microseconds since 1970; 0 is none.
type keyState struct {
	Subject   uint64 // hash of its subject, and so of its owner
	Created   int64
	NotBefore int64
	Expires   int64
	ExpirySet int64
	Announced int64
	Previous  int64 // until when the digest before is valid
	Flags     keyFlags
}

type keyFlags uint8

const (
	disabled keyFlags = 1 << iota
	revoked
	firstUsed
	erased
	unknown // its creation is before the first event that was read
)

// key is the key as far as the rules look at it.
func (s *keyState) key(id uuid.UUID) ledger.Key {
	k := ledger.Key{
		ID:                id,
		CreatedAt:         fromMicros(s.Created),
		NotBefore:         fromMicros(s.NotBefore),
		ExpiresAt:         fromMicros(s.Expires),
		ExpirySetAt:       fromMicros(s.ExpirySet),
		Announced:         fromMicros(s.Announced),
		PreviousExpiresAt: fromMicros(s.Previous),
		FirstUsed:         s.Flags&firstUsed != 0,
	}
	if s.Flags&disabled != 0 {
		k.DisabledAt = k.CreatedAt
	}
	if s.Flags&revoked != 0 {
		k.RevokedAt = k.CreatedAt
	}
	if s.Flags&erased != 0 {
		k.ErasedAt = k.CreatedAt
	}
	return k
}

// remember takes over what the rules need of a key.
func (s *keyState) remember(k *ledger.Key) {
	s.Created, s.NotBefore = toMicros(k.CreatedAt), toMicros(k.NotBefore)
	s.Expires, s.ExpirySet = toMicros(k.ExpiresAt), toMicros(k.ExpirySetAt)
	s.Announced, s.Previous = toMicros(k.Announced), toMicros(k.PreviousExpiresAt)
	s.Flags &= unknown
	if !k.DisabledAt.IsZero() {
		s.Flags |= disabled
	}
	if !k.RevokedAt.IsZero() {
		s.Flags |= revoked
	}
	if !k.ErasedAt.IsZero() {
		s.Flags |= erased
	}
	if k.FirstUsed {
		s.Flags |= firstUsed
	}
}

func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
