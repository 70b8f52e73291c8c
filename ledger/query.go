package ledger

import (
	"bytes"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Query selects keys. Empty fields select all.
type Query struct {
	Workspace, Org, Agent string
	Peer, Session         string
	Status                Status // at Now
	Environment, Type     string
	Scope                 string
	Name, NamePrefix      string // all of it, and how it begins
	NotRevoked            bool
	OldestFirst           bool      // the order of the list; newest first when false
	UsedBefore            time.Time // last used before this, and at least once
	UnusedSince           time.Time // not used since this, or never
	Now                   time.Time
	Limit                 int    // 1 to 1000
	After                 Cursor // in the order of the list
	Room                  *[]Key // may hold the page: its length does not count; nil: none
}

// Cursor is a place in a list: just after the key with this creation time and id. The zero Cursor is the start.
type Cursor struct {
	CreatedAt time.Time
	ID        uuid.UUID
}

// Page is one page of keys. Next is zero on the last one.
type Page struct {
	Keys []Key
	Next Cursor
}

// AgentQuery selects agents. Empty fields select all.
type AgentQuery struct {
	Workspace, Org string
	Name           string
	Limit          int
	After          string  // opaque: Next of the page before
	Until          *uint64 // only those registered up to this sequence; nil: all
}

// AgentPage is one page of agents. Next is empty on the last one.
type AgentPage struct {
	Agents []Agent
	Next   string
}

// Matches tells whether q selects k, whatever the cursor.
func (q *Query) Matches(k *Key) bool {
	return q.matchesOwner(&k.Owner) && q.matchesUse(k.Use.LastAt) &&
		(q.Status == "" || q.Status == k.Status(q.Now)) &&
		(q.Environment == "" || q.Environment == k.Environment) &&
		(q.Type == "" || q.Type == k.Type) &&
		(q.Scope == "" || k.Scopes.Has(q.Scope)) &&
		(q.Name == "" || q.Name == k.Name) && strings.HasPrefix(k.Name, q.NamePrefix) &&
		!(q.NotRevoked && !k.RevokedAt.IsZero())
}

func (q *Query) matchesOwner(o *Owner) bool {
	return (q.Workspace == "" || q.Workspace == o.Workspace) &&
		(q.Org == "" || q.Org == o.Org) &&
		(q.Agent == "" || q.Agent == o.AgentID) &&
		(q.Peer == "" || q.Peer == o.Peer) &&
		(q.Session == "" || q.Session == o.Session)
}

func (q *Query) matchesUse(last time.Time) bool {
	return (q.UsedBefore.IsZero() || !last.IsZero() && last.Before(q.UsedBefore)) &&
		(q.UnusedSince.IsZero() || last.Before(q.UnusedSince))
}

// Compare orders places in a list: newest first, those of one time by descending id.
func (c Cursor) Compare(other Cursor) int {
	if order := other.CreatedAt.Compare(c.CreatedAt); order != 0 {
		return order
	}
	return bytes.Compare(other.ID[:], c.ID[:])
}
