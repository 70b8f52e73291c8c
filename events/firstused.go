package events

import (
	"time"

	"github.com/google/uuid"
)

// FirstUsed is the body of key.first_used: the key was used, which had not been told before. By whom and from where is
// no part of it.
type FirstUsed struct {
	KeyID uuid.UUID
	At    time.Time // of the use
}

// Type is KeyFirstUsed.
func (*FirstUsed) Type() Type { return KeyFirstUsed }

func (u *FirstUsed) encode(e *encoder) {
	e.time("at", u.At)
	e.bytes("key", u.KeyID[:])
	e.personal(personal{})
}

func (u *FirstUsed) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "at":
			u.At = d.time()
		case "key":
			u.KeyID = d.uuid()
		case "p":
			d.personal()
		default:
			d.skip()
		}
	}
}

func (u *FirstUsed) missing() string {
	if u.At.IsZero() {
		return "at"
	}
	return missingKeyID(&u.KeyID)
}

func (u *FirstUsed) fits(s Subject) bool { return s.Key == u.KeyID }

func (u *FirstUsed) id() string { return u.KeyID.String() }

func (u *FirstUsed) appendJSON(o *jsonObject) {
	o.text("key_id", u.KeyID.String())
	o.timeOrNull("used_at", u.At)
}
