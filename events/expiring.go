package events

import (
	"time"

	"github.com/google/uuid"
)

// Expiring is the body of key.expiring: the key expires at ExpiresAt, and from a Horizon before that on it is said so.
type Expiring struct {
	KeyID     uuid.UUID
	ExpiresAt time.Time
	Horizon   time.Duration // whole seconds, at least 1
}

// Type is KeyExpiring.
func (*Expiring) Type() Type { return KeyExpiring }

func (x *Expiring) encode(e *encoder) {
	e.time("exp", x.ExpiresAt)
	e.seconds("horizon", x.Horizon)
	e.bytes("key", x.KeyID[:])
	e.personal(personal{})
}

func (x *Expiring) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "exp":
			x.ExpiresAt = d.time()
		case "horizon":
			x.Horizon = d.seconds()
		case "key":
			x.KeyID = d.uuid()
		case "p":
			d.personal()
		default:
			d.skip()
		}
	}
}

func (x *Expiring) missing() string {
	switch {
	case x.ExpiresAt.IsZero():
		return "exp"
	case x.Horizon <= 0:
		return "horizon"
	}
	return missingKeyID(&x.KeyID)
}

func (x *Expiring) fits(s Subject) bool { return s.Key == x.KeyID }

func (x *Expiring) id() string { return x.KeyID.String() }

func (x *Expiring) appendJSON(o *jsonObject) {
	o.text("key_id", x.KeyID.String())
	o.timeOrNull("expires_at", x.ExpiresAt)
	o.seconds("horizon_seconds", x.Horizon)
}

// Expired is the body of key.expired: the expiry of the key has come.
type Expired struct {
	KeyID     uuid.UUID
	ExpiresAt time.Time
}

// Type is KeyExpired.
func (*Expired) Type() Type { return KeyExpired }

func (x *Expired) encode(e *encoder) {
	e.time("exp", x.ExpiresAt)
	e.bytes("key", x.KeyID[:])
	e.personal(personal{})
}

func (x *Expired) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "exp":
			x.ExpiresAt = d.time()
		case "key":
			x.KeyID = d.uuid()
		case "p":
			d.personal()
		default:
			d.skip()
		}
	}
}

func (x *Expired) missing() string {
	if x.ExpiresAt.IsZero() {
		return "exp"
	}
	return missingKeyID(&x.KeyID)
}

func (x *Expired) fits(s Subject) bool { return s.Key == x.KeyID }

func (x *Expired) id() string { return x.KeyID.String() }

func (x *Expired) appendJSON(o *jsonObject) {
	o.text("key_id", x.KeyID.String())
	o.timeOrNull("expires_at", x.ExpiresAt)
}
