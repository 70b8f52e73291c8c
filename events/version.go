package events

import "strings"

// body is the body of an event in one version of its layout.
type body interface {
	// decode reads the fields. It skips those it does not know.
	decode(*decoder)
}

// superseded is a body in a layout that is no longer written.
type superseded interface {
	body
	// upcast gives the same facts in the next version, which may be superseded itself.
	upcast() body
}

// layout names a version of a type.
type layout struct {
	t       Type
	version int
}

// The versions of a layout: at first, personal data was in the clear; it is sealed in all that are written now. A program
// that does not know how stops there, as it would show keys without names.
const (
	clearVersion  = 1
	sealedVersion = 2
)

// Shown tells whether t is a type of the history of keys and agents: one that this program knows, and not of claims.
func (t Type) Shown() bool {
	return Known(t) && !strings.HasPrefix(string(t), claimPrefix)
}

// newBody gives an empty body for a layout, nil when this program does not know it. It has one line for every layout
// that was ever written, and none is ever removed.
func newBody(l layout) body {
	if l.version != clearVersion && l.version != sealedVersion {
		return nil
	}
	switch l.t {
	case KeyCreated:
		return new(Created)
	case KeyUpdated:
		return new(Updated)
	case KeyRotated:
		return new(Rotated)
	case KeyDisabled:
		return new(Disabled)
	case KeyEnabled:
		return new(Enabled)
	case KeyRevoked:
		return new(Revoked)
	case KeyExpiring:
		return new(Expiring)
	case KeyExpired:
		return new(Expired)
	case KeyFirstUsed:
		return new(FirstUsed)
	case AgentRegistered:
		return new(Agent)
	case WebhookCreated:
		return new(Webhook)
	case WebhookUpdated:
		return new(WebhookUpdate)
	case WebhookDeleted:
		return new(WebhookDelete)
	case OwnerErased:
		return new(Erasure)
	case ClaimTaken:
		return new(Claim)
	case ClaimReleased:
		return new(Release)
	}
	return nil
}

// Known tells whether this program knows a type.
func Known(t Type) bool { return newBody(layout{t, 1}) != nil }
