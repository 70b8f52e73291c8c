package audit

import (
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// keyState is what the rules need to remember of a key: 72 bytes. The ledger's own rules are asked with the ledger.Key that
// it stands for. Times are in microseconds since 1970; 0 is none.
type keyState struct {
	subject   uint64 // hash of its subject, and so of its owner
	created   int64
	notBefore int64
	expires   int64
	expirySet int64
	announced int64
	previous  int64 // until when the digest before is valid
	flags     keyFlags
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
		CreatedAt:         fromMicros(s.created),
		NotBefore:         fromMicros(s.notBefore),
		ExpiresAt:         fromMicros(s.expires),
		ExpirySetAt:       fromMicros(s.expirySet),
		Announced:         fromMicros(s.announced),
		PreviousExpiresAt: fromMicros(s.previous),
		FirstUsed:         s.flags&firstUsed != 0,
	}
	if s.flags&disabled != 0 {
		k.DisabledAt = k.CreatedAt
	}
	if s.flags&revoked != 0 {
		k.RevokedAt = k.CreatedAt
	}
	if s.flags&erased != 0 {
		k.ErasedAt = k.CreatedAt
	}
	return k
}

// remember takes over what the rules need of a key.
func (s *keyState) remember(k *ledger.Key) {
	s.created, s.notBefore = toMicros(k.CreatedAt), toMicros(k.NotBefore)
	s.expires, s.expirySet = toMicros(k.ExpiresAt), toMicros(k.ExpirySetAt)
	s.announced, s.previous = toMicros(k.Announced), toMicros(k.PreviousExpiresAt)
	s.flags &= unknown
	if !k.DisabledAt.IsZero() {
		s.flags |= disabled
	}
	if !k.RevokedAt.IsZero() {
		s.flags |= revoked
	}
	if !k.ErasedAt.IsZero() {
		s.flags |= erased
	}
	if k.FirstUsed {
		s.flags |= firstUsed
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

// keyStates are all keys, in chunks, so that growing copies nothing.
type keyStates struct {
	index  map[uuid.UUID]uint32
	chunks [][]keyState
}

const chunkKeys = 1 << 12

func (s *keyStates) at(n uint32) *keyState { return &s.chunks[n/chunkKeys][n%chunkKeys] }

func (s *keyStates) get(id uuid.UUID) *keyState {
	n, ok := s.index[id]
	if !ok {
		return nil
	}
	return s.at(n)
}

func (s *keyStates) add(id uuid.UUID) *keyState {
	n := uint32(len(s.index))
	if n%chunkKeys == 0 {
		s.chunks = append(s.chunks, make([]keyState, chunkKeys))
	}
	s.index[id] = n
	return s.at(n)
}
