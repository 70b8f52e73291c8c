package events

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Updated is the body of key.updated: nil means unchanged.
type Updated struct {
	KeyID     uuid.UUID
	Name      *string // personal data
	Scopes    *string
	Metadata  *json.RawMessage // personal data; a nil message empties it
	ExpiresAt *time.Time       // zero time: never
}

// Type is KeyUpdated.
func (*Updated) Type() Type { return KeyUpdated }

func (u *Updated) encode(e *encoder) {
	e.timeChange("exp", u.ExpiresAt)
	e.bytes("key", u.KeyID[:])
	e.personal(u.personal())
	e.textChange("scopes", u.Scopes)
}

func (u *Updated) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "exp":
			u.ExpiresAt = new(d.time())
		case "key":
			u.KeyID = d.uuid()
		case "p":
			u.setPersonal(d.personal())
		case "scopes":
			u.Scopes = new(d.text())
		default:
			d.skip()
		}
	}
}

func (u *Updated) personal() (p personal) {
	if u.Metadata != nil {
		p.metadata, p.metadataSet = *u.Metadata, true
	}
	if u.Name != nil {
		p.name, p.nameSet = *u.Name, true
	}
	return p
}

func (u *Updated) setPersonal(p personal) {
	if p.metadataSet {
		u.Metadata = &p.metadata
	}
	if p.nameSet {
		u.Name = &p.name
	}
}

func (u *Updated) missing() string { return missingKeyID(&u.KeyID) }

func (u *Updated) fits(s Subject) bool { return s.Key == u.KeyID }

func (u *Updated) id() string { return u.KeyID.String() }

func (u *Updated) appendJSON(o *jsonObject) {
	o.text("key_id", u.KeyID.String())
	if u.Name != nil {
		o.textOrNull("name", *u.Name)
	}
	if u.Scopes != nil {
		o.scopes("scopes", *u.Scopes)
	}
	if u.Metadata != nil {
		o.metadata("metadata", *u.Metadata)
	}
	if u.ExpiresAt != nil {
		o.timeOrNull("expires_at", *u.ExpiresAt)
	}
}
