package events

import "github.com/google/uuid"

// Revoked is the body of key.revoked. It is final.
type Revoked struct {
	KeyID  uuid.UUID
	Reason string // personal data
}

// Type is KeyRevoked.
func (*Revoked) Type() Type { return KeyRevoked }

func (r *Revoked) encode(e *encoder) {
	e.bytes("key", r.KeyID[:])
	e.personal(personal{reason: r.Reason})
}

func (r *Revoked) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "key":
			r.KeyID = d.uuid()
		case "p":
			r.Reason = d.personal().reason
		default:
			d.skip()
		}
	}
}

func (r *Revoked) missing() string { return missingKeyID(&r.KeyID) }

func (r *Revoked) fits(s Subject) bool { return s.Key == r.KeyID }

func (r *Revoked) id() string { return r.KeyID.String() }

func (r *Revoked) appendJSON(o *jsonObject) {
	o.text("key_id", r.KeyID.String())
	o.textOrNull("reason", r.Reason)
}
