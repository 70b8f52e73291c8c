package events

import "github.com/google/uuid"

// Disabled is the body of key.disabled.
type Disabled struct{ KeyID uuid.UUID }

// Type is KeyDisabled.
func (*Disabled) Type() Type { return KeyDisabled }

func (b *Disabled) encode(e *encoder)        { encodeKeyID(e, &b.KeyID) }
func (b *Disabled) decode(d *decoder)        { decodeKeyID(d, &b.KeyID) }
func (b *Disabled) missing() string          { return missingKeyID(&b.KeyID) }
func (b *Disabled) fits(s Subject) bool      { return s.Key == b.KeyID }
func (b *Disabled) id() string               { return b.KeyID.String() }
func (b *Disabled) appendJSON(o *jsonObject) { o.text("key_id", b.KeyID.String()) }

// Enabled is the body of key.enabled.
type Enabled struct{ KeyID uuid.UUID }

// Type is KeyEnabled.
func (*Enabled) Type() Type { return KeyEnabled }

func (b *Enabled) encode(e *encoder)        { encodeKeyID(e, &b.KeyID) }
func (b *Enabled) decode(d *decoder)        { decodeKeyID(d, &b.KeyID) }
func (b *Enabled) missing() string          { return missingKeyID(&b.KeyID) }
func (b *Enabled) fits(s Subject) bool      { return s.Key == b.KeyID }
func (b *Enabled) id() string               { return b.KeyID.String() }
func (b *Enabled) appendJSON(o *jsonObject) { o.text("key_id", b.KeyID.String()) }

// The layout of a body that holds nothing but the key.

func encodeKeyID(e *encoder, id *uuid.UUID) {
	e.bytes("key", id[:])
	e.personal(personal{})
}

func decodeKeyID(d *decoder, id *uuid.UUID) {
	for d.next() {
		switch d.field {
		case "key":
			*id = d.uuid()
		case "p":
			d.personal()
		default:
			d.skip()
		}
	}
}

func missingKeyID(id *uuid.UUID) string {
	if *id == uuid.Nil {
		return "key"
	}
	return ""
}
