package events

import (
	"time"

	"github.com/google/uuid"
)

// Rotated is the body of key.rotated: the old digest stays valid until PreviousExpiresAt.
type Rotated struct {
	KeyID             uuid.UUID
	Digest            Digest
	Hint              string
	PreviousExpiresAt time.Time  // not after the event's time: no grace
	ExpiresAt         *time.Time // nil: unchanged; zero time: never
}

// Type is KeyRotated.
func (*Rotated) Type() Type { return KeyRotated }

func (r *Rotated) encode(e *encoder) {
	e.bytes("digest", r.Digest[:])
	e.timeChange("exp", r.ExpiresAt)
	e.text("hint", r.Hint)
	e.bytes("key", r.KeyID[:])
	e.personal(personal{})
	e.time("prev_exp", r.PreviousExpiresAt)
}

func (r *Rotated) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "digest":
			r.Digest = d.digest()
		case "exp":
			r.ExpiresAt = new(d.time())
		case "hint":
			r.Hint = d.text()
		case "key":
			r.KeyID = d.uuid()
		case "p":
			d.personal()
		case "prev_exp":
			r.PreviousExpiresAt = d.time()
		default:
			d.skip()
		}
	}
}

func (r *Rotated) missing() string {
	switch {
	case r.Digest == Digest{}:
		return "digest"
	case r.KeyID == uuid.Nil:
		return "key"
	}
	return ""
}

func (r *Rotated) fits(s Subject) bool { return s.Key == r.KeyID }

func (r *Rotated) id() string { return r.KeyID.String() }

func (r *Rotated) appendJSON(o *jsonObject) {
	o.text("key_id", r.KeyID.String())
	o.textOrNull("hint", r.Hint)
	o.timeOrNull("previous_expires_at", r.PreviousExpiresAt)
	if r.ExpiresAt != nil {
		o.timeOrNull("expires_at", *r.ExpiresAt)
	}
}
