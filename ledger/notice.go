package ledger

import (
	"bytes"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Notices are events that say of a key what nobody asked for: that its expiry is near, that it has come, that the key is
// used. They change nothing that a caller sees of the key; the key notes which were given, so that each is given once.
//
// A mark is a moment at which an expiry is to be announced: a horizon before it, or the expiry itself, which is a horizon
// of 0. A horizon counts for a key when its mark was still to come at the time that the expiry was set: a key made
// for an hour is not announced a week before.

// Expiry is an expiry that has not been announced in full, of a key that is not revoked.
type Expiry struct {
	Place
	SetAt     time.Time
	Announced time.Time // the last mark that was announced; zero: none
}

// Place is a place in the order of expiries: by time, those of one time by id.
type Place struct {
	At time.Time
	ID uuid.UUID
}

// Compare orders places.
func (p Place) Compare(other Place) int {
	if order := p.At.Compare(other.At); order != 0 {
		return order
	}
	return bytes.Compare(p.ID[:], other.ID[:])
}

// Expiry is the expiry of a key, ok false when there is none left to announce.
func (k *Key) Expiry() (x Expiry, ok bool) {
	if k.ExpiresAt.IsZero() || !k.RevokedAt.IsZero() || k.Announced.Equal(k.ExpiresAt) {
		return Expiry{}, false
	}
	return Expiry{Place: Place{At: k.ExpiresAt, ID: k.ID}, SetAt: k.ExpirySetAt, Announced: k.Announced}, true
}

// Due tells whether the expiry is to be announced for a horizon now.
func (x *Expiry) Due(horizon time.Duration, now time.Time) bool {
	mark := x.At.Add(-horizon)
	return !now.Before(mark) && mark.After(x.Announced) && (horizon == 0 || mark.After(x.SetAt))
}

// DecideExpiry decides on the announcement of a key's expiry for a horizon, in whole seconds; 0 is the expiry itself.
// What is not due, or was announced, gives nil. A disabled key is announced like any other: it expires all the same.
func DecideExpiry(k *Key, horizon time.Duration, now time.Time) events.Payload {
	x, ok := k.Expiry()
	switch {
	case !ok || !x.Due(horizon, now):
		return nil
	case horizon == 0:
		return &events.Expired{KeyID: k.ID, ExpiresAt: k.ExpiresAt}
	}
	return &events.Expiring{KeyID: k.ID, ExpiresAt: k.ExpiresAt, Horizon: horizon}
}

// DecideFirstUse decides on the announcement of a use. A key of which one was announced, or that is revoked, gives nil.
func DecideFirstUse(k *Key, at time.Time) events.Payload {
	if k.FirstUsed || !k.RevokedAt.IsZero() || k.CreatedAt.IsZero() {
		return nil
	}
	return &events.FirstUsed{KeyID: k.ID, At: moment(at)}
}

// announce notes a mark of an expiry, unless the key has another expiry by now, or a later mark was noted.
func (k *Key) announce(expiry time.Time, horizon time.Duration) {
	mark := expiry.Add(-horizon)
	if k.ExpiresAt.Equal(expiry) && mark.After(k.Announced) {
		k.Announced = mark
	}
}
