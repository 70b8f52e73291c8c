package client

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// Owner is whom a key belongs to. Absent parts are empty. AgentName is personal data, which a Verifier cannot read: it is empty
// but for keys that are older than sealing.
type Owner struct {
	WorkspaceID, OrgID, AgentID, AgentName, PeerID, SessionID string
}

// Want is what a token must be good for. Empty fields are not asked: see Verify.
type Want struct {
	Scopes      []string // all must be held
	Environment string
	WorkspaceID string
	OrgID       string
	AgentID     string
	PeerID      string
	SessionID   string
}

const (
	environmentLive = "live"
	environmentTest = "test"
)

// Verified is the decision of a Verifier about a token, and what it knows of the key. When no key was found all but Code
// is zero.
type Verified struct {
	Code        Decision
	KeyID       uuid.UUID
	Scopes      string // space-delimited
	Environment string // "live" or "test"
	owner       *Owner
	expires     int64
}

// Owner is whom the key belongs to.
func (v *Verified) Owner() Owner {
	if v.owner == nil {
		return Owner{}
	}
	return *v.owner
}

// Valid tells that the token is good for what was wanted.
func (v *Verified) Valid() bool { return v.Code == Valid }

// ExpiresAt is the expiry of the key; the zero time is never.
func (v *Verified) ExpiresAt() time.Time {
	if v.expires == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v.expires).UTC()
}

// HasScope tells whether the key holds a scope.
func (v *Verified) HasScope(scope string) bool { return hasScope(v.Scopes, scope) }

// judge decides about the key with the record r, into v, which is zero; end is that of the grace of its previous token
// when it was found by that. The order is the server's.
func (t *replica) judge(v *Verified, r *record, previous bool, end int64, want *Want) {
	v.KeyID, v.owner, v.Scopes = r.id, t.owners.at(r.owner), *t.scopes.at(r.scopes)
	v.Environment, v.expires = environmentLive, r.expires
	if r.flags&flagTest != 0 {
		v.Environment = environmentTest
	}
	var now int64
	if r.expires|r.notBefore != 0 || previous {
		now = time.Now().UnixMicro() // only when it matters: it takes as long as a look-up
	}
	switch {
	case r.flags&flagRevoked != 0:
		v.Code = KeyRevoked
	case r.flags&flagDisabled != 0:
		v.Code = KeyDisabled
	case r.expires != 0 && now >= r.expires, previous && now >= end:
		v.Code = KeyExpired
	case now < r.notBefore:
		v.Code = NotYetValid
	default:
		v.Code = want.judge(v, r.flags&flagConfined != 0)
	}
}

// judge decides about a key that may be used now.
func (w *Want) judge(v *Verified, confined bool) Decision {
	o := v.owner
	switch {
	case w.WorkspaceID != "" && w.WorkspaceID != o.WorkspaceID,
		w.OrgID != "" && w.OrgID != o.OrgID,
		w.AgentID != "" && w.AgentID != o.AgentID,
		w.Environment != "" && w.Environment != v.Environment,
		confined && !w.inside(o),
		!confined && (w.PeerID != "" && w.PeerID != o.PeerID || w.SessionID != "" && w.SessionID != o.SessionID):
		return WrongOwner
	}
	for _, scope := range w.Scopes {
		if !hasScope(v.Scopes, scope) {
			return InsufficientScope
		}
	}
	return Valid
}

// inside tells whether the workspace, peer or session that is wanted lies inside the owner of a confined key.
func (w *Want) inside(o *Owner) bool {
	whole := o.PeerID == "" && o.SessionID == ""
	switch {
	case w.SessionID != "":
		return whole || o.SessionID == w.SessionID
	case w.PeerID != "":
		return whole || o.SessionID == "" && o.PeerID == w.PeerID
	case w.WorkspaceID != "":
		return whole
	}
	return true
}

// hasScope tells whether a space-delimited list holds scope, or "ledger:*" and scope begins with "ledger:".
func hasScope(list, scope string) bool {
	return holds(list, scope) || strings.HasPrefix(scope, "ledger:") && holds(list, "ledger:*")
}

func holds(list, scope string) bool {
	if scope == "" {
		return false
	}
	for rest := list; len(rest) >= len(scope); {
		var first string
		if first, rest, _ = strings.Cut(rest, " "); first == scope {
			return true
		}
	}
	return false
}
