package client

import (
	"math"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// fold applies an event to the replica, as the server's views do. It is total: what happened cannot be refused. An event
// of something else than a key that is here changes nothing, nor does anything after a revocation.
func (t *replica) fold(e *events.Event) {
	switch p := e.Payload.(type) {
	case *events.Created:
		if _, place := t.find(t.ids, p.KeyID[:]); place == 0 {
			t.create(p, e.Sealed != 0)
		}
	case *events.Updated:
		t.change(p.KeyID, func(r, previous *record) {
			if p.Scopes != nil {
				r.scopes = t.scopes.number(*p.Scopes)
			}
			expire(r, previous, p.ExpiresAt)
		})
	case *events.Rotated:
		t.rotate(e.Time, p)
	case *events.Disabled:
		t.change(p.KeyID, func(r, _ *record) { r.flags |= flagDisabled })
	case *events.Enabled:
		t.change(p.KeyID, func(r, _ *record) { r.flags &^= flagDisabled })
	case *events.Revoked:
		t.change(p.KeyID, func(r, _ *record) { r.flags |= flagRevoked })
	}
}

// create adds a key. The name of its agent is sealed, and is left out then.
func (t *replica) create(p *events.Created, sealed bool) {
	agentName := p.Owner.AgentName
	if sealed {
		agentName = ""
	}
	r := &record{
		digest: p.Digest, expires: micros(p.ExpiresAt), notBefore: micros(p.NotBefore), id: p.KeyID,
		scopes: t.scopes.number(p.Scopes),
		owner: t.owners.number(Owner{
			WorkspaceID: p.Owner.Workspace, OrgID: p.Owner.Org, AgentID: p.Owner.AgentID,
			AgentName: agentName, PeerID: p.Owner.Peer, SessionID: p.Owner.Session,
		}),
	}
	if p.Confined {
		r.flags |= flagConfined
	}
	if p.Environment == environmentTest {
		r.flags |= flagTest
	}
	t.put(r, nil)
}

// change replaces the records of a key, unless it is revoked, by what do makes of them.
func (t *replica) change(id uuid.UUID, do func(r, previous *record)) {
	present, before := t.lookup(id)
	if present == 0 || t.at(present).flags&flagRevoked != 0 {
		return
	}
	r := t.at(present).copy()
	var previous *record
	if before != 0 {
		previous = t.at(before).copy()
	}
	do(r, previous)
	t.put(r, previous)
}

// rotate makes the present token the previous one, which without grace is good at no time, whatever this clock says. The one
// before that is given up.
func (t *replica) rotate(at time.Time, p *events.Rotated) {
	present, _ := t.lookup(p.KeyID)
	if present == 0 || t.at(present).flags&flagRevoked != 0 {
		return
	}
	r := t.at(present).copy()
	previous := &record{digest: r.digest, id: r.id, flags: flagPrevious, expires: micros(p.PreviousExpiresAt)}
	if !p.PreviousExpiresAt.After(at) {
		previous.expires = math.MinInt64
	}
	r.digest = p.Digest
	expire(r, previous, p.ExpiresAt)
	t.put(r, previous)
}

// expire moves the expiry of a key; nil leaves it. An earlier one ends the previous token too, for good.
func expire(r, previous *record, at *time.Time) {
	if at == nil {
		return
	}
	r.expires = micros(*at)
	if previous != nil && r.expires != 0 && previous.expires > r.expires {
		previous.expires = r.expires
	}
}

// micros is a time as a record has it: 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
