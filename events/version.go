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

// Shown tells whether t is a type of the history of keys and agents: one that this program knows, and not of claims.
func (t Type) Shown() bool {
	return newBody(layout{t, 1}) != nil && !strings.HasPrefix(string(t), claimPrefix)
}

// newBody gives an empty body for a layout, nil when this program does not know it. It has one line for every layout
// that was ever written, and none is ever removed.
func newBody(l layout) body {
	switch l {
	case layout{KeyCreated, 1}:
		return new(Created)
	case layout{KeyUpdated, 1}:
		return new(Updated)
	case layout{KeyRotated, 1}:
		return new(Rotated)
	case layout{KeyDisabled, 1}:
		return new(Disabled)
	case layout{KeyEnabled, 1}:
		return new(Enabled)
	case layout{KeyRevoked, 1}:
		return new(Revoked)
	case layout{KeyExpiring, 1}:
		return new(Expiring)
	case layout{KeyExpired, 1}:
		return new(Expired)
	case layout{KeyFirstUsed, 1}:
		return new(FirstUsed)
	case layout{AgentRegistered, 1}:
		return new(Agent)
	case layout{WebhookCreated, 1}:
		return new(Webhook)
	case layout{WebhookUpdated, 1}:
		return new(WebhookUpdate)
	case layout{WebhookDeleted, 1}:
		return new(WebhookDelete)
	case layout{ClaimTaken, 1}:
		return new(Claim)
	case layout{ClaimReleased, 1}:
		return new(Release)
	}
	return nil
}

// Known tells whether this program knows a type.
func Known(t Type) bool { return newBody(layout{t, 1}) != nil }
