package events

import "github.com/google/uuid"

// Erasure is the body of owner.erased: the personal data that was stored before of a workspace, or of one key, is
// destroyed. It has no personal data itself: its origin is left out.
type Erasure struct {
	Workspace  string    // may be empty for a key
	KeyID      uuid.UUID // of the one key; zero: all of the workspace
	Generation uint64    // of a workspace: that of its last key, which is destroyed; 0: nothing was sealed yet
}

// Type is OwnerErased.
func (*Erasure) Type() Type { return OwnerErased }

func (x *Erasure) encode(e *encoder) {
	e.number("gen", x.Generation)
	if x.KeyID != uuid.Nil {
		e.bytes("key", x.KeyID[:])
	}
	e.personal(personal{})
	e.text("ws", x.Workspace)
}

func (x *Erasure) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "gen":
			x.Generation = d.uint()
		case "key":
			x.KeyID = d.uuid()
		case "p":
			d.personal()
		case "ws":
			x.Workspace = d.text()
		default:
			d.skip()
		}
	}
}

func (x *Erasure) missing() string {
	if x.KeyID == uuid.Nil && x.Workspace == "" {
		return "ws"
	}
	return ""
}

func (x *Erasure) fits(s Subject) bool {
	if x.KeyID == uuid.Nil {
		return s == Subject{Workspace: x.Workspace}
	}
	return s.Key == x.KeyID && s.Workspace == x.Workspace
}

func (x *Erasure) id() string {
	if x.KeyID == uuid.Nil {
		return x.Workspace
	}
	return x.KeyID.String()
}

func (x *Erasure) appendJSON(o *jsonObject) {
	if x.KeyID != uuid.Nil {
		o.text("key_id", x.KeyID.String())
	}
	o.textOrNull("workspace_id", x.Workspace)
}
