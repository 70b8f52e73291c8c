package client

import (
	"context"
	"encoding/json"
	"iter"
	"strconv"
	"time"
)

// Event is one fact of the ledger, in the form of CloudEvents 1.0.
type Event struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`     // unique
	Source      string          `json:"source"` // "/keyledger/<ledger>"
	Type        string          `json:"type"`   // "keyledger.key.created", …
	Subject     string          `json:"subject"`
	Time        time.Time       `json:"time"`
	Sequence    uint64          `json:"sequence,string"` // its place in the ledger
	Actor       string          `json:"actor,omitempty"` // id of the key that asked for it, or "system"
	RequestID   string          `json:"requestid,omitempty"`
	Data        json.RawMessage `json:"data"`
}

// EventQuery selects events by whom they are about. Zero fields select all.
type EventQuery struct {
	WorkspaceID string
	OrgID       string
	AgentID     string
	From        uint64 // the first ledger sequence
}

// KeyEvents iterates over the history of a key from ledger sequence from on, oldest first. It ends at the first error.
func (c *Client) KeyEvents(ctx context.Context, id string, from uint64, options ...CallOption) iter.Seq2[Event, error] {
	return c.events(ctx, keyPath(id)+"/events", EventQuery{From: from}, options)
}

// Events iterates over the history of an owner, oldest first. It ends at the first error.
func (c *Client) Events(ctx context.Context, query EventQuery, options ...CallOption) iter.Seq2[Event, error] {
	return c.events(ctx, "v1/events", query, options)
}

func (c *Client) events(ctx context.Context, path string, q EventQuery, options []CallOption) iter.Seq2[Event, error] {
	return all(func(cursor string) (Page[Event], error) {
		v := paging(cursor, pageSize)
		set(v, "workspace_id", q.WorkspaceID)
		set(v, "org_id", q.OrgID)
		set(v, "agent_id", q.AgentID)
		if q.From > 0 {
			v.Set("from", strconv.FormatUint(q.From, 10))
		}
		var p Page[Event]
		err := c.do(ctx, get(path, v), &p, options)
		return p, err
	})
}
