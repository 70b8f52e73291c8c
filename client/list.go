package client

import (
	"context"
	"iter"
	"time"
)

// KeyQuery selects keys. Zero fields select all.
type KeyQuery struct {
	WorkspaceID string
	OrgID       string
	AgentID     string
	PeerID      string
	SessionID   string
	Status      Status
	Environment string
	Type        string
	Scope       string
	NamePrefix  string
	UsedBefore  time.Time // last used before this, and at least once
	UnusedSince time.Time // not used since this, or never
	AsOf        AsOf      // what there was at a moment; UsedBefore and UnusedSince are not known then
}

// Keys iterates over the keys that query selects, newest first, reading pages as it goes. It ends at the first error.
func (c *Client) Keys(ctx context.Context, query KeyQuery, options ...CallOption) iter.Seq2[Key, error] {
	return all(func(cursor string) (Page[Key], error) { return c.KeyPage(ctx, query, cursor, pageSize, options...) })
}

// KeyPage reads one page of at most limit keys, 1 to 1000, from cursor on: the Next of the page before, or empty for
// the first page. limit 0 lets the server choose.
func (c *Client) KeyPage(ctx context.Context, q KeyQuery, cursor string, limit int, options ...CallOption) (Page[Key], error) {
	v := paging(cursor, limit)
	set(v, "workspace_id", q.WorkspaceID)
	set(v, "org_id", q.OrgID)
	set(v, "agent_id", q.AgentID)
	set(v, "peer_id", q.PeerID)
	set(v, "session_id", q.SessionID)
	set(v, "status", string(q.Status))
	set(v, "environment", q.Environment)
	set(v, "type", q.Type)
	set(v, "scope", q.Scope)
	set(v, "name", q.NamePrefix)
	setTime(v, "used_before", q.UsedBefore)
	setTime(v, "unused_since", q.UnusedSince)
	q.AsOf.set(v)
	var p Page[Key]
	err := c.do(ctx, get("v1/keys", v), &p, options)
	return p, err
}
