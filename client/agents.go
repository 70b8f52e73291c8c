package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Agent is a registered agent.
type Agent struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	WorkspaceID string    `json:"workspace_id,omitempty"`
	OrgID       string    `json:"org_id,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by"`
	Sequence    uint64    `json:"sequence"` // of its registration in the ledger
}

// RegisterAgent is the input of Client.RegisterAgent.
type RegisterAgent struct {
	ID          string `json:"id,omitempty"` // a UUID when empty
	Name        string `json:"name"`
	WorkspaceID string `json:"workspace_id,omitempty"`
	OrgID       string `json:"org_id,omitempty"`
}

// RegisterAgent registers an agent, or returns the one of this owner and name that exists.
func (c *Client) RegisterAgent(ctx context.Context, in RegisterAgent, options ...CallOption) (Agent, error) {
	var a Agent
	err := c.do(ctx, command(http.MethodPost, "v1/agents", in), &a, options)
	return a, err
}

// Agent reads an agent.
func (c *Client) Agent(ctx context.Context, id string, options ...CallOption) (Agent, error) {
	var a Agent
	err := c.do(ctx, get("v1/agents/"+url.PathEscape(id), nil), &a, options)
	return a, err
}

// AgentQuery selects agents. Zero fields select all.
type AgentQuery struct {
	WorkspaceID string
	OrgID       string
	Name        string // the whole name
	AsOf        AsOf   // those that there were at a moment
}

// Agents iterates over the agents that query selects, newest first. It ends at the first error.
func (c *Client) Agents(ctx context.Context, query AgentQuery, options ...CallOption) iter.Seq2[Agent, error] {
	return all(func(cursor string) (Page[Agent], error) { return c.AgentPage(ctx, query, cursor, pageSize, options...) })
}

// AgentPage reads one page of at most limit agents from cursor on, as KeyPage does.
func (c *Client) AgentPage(ctx context.Context, q AgentQuery, cursor string, limit int, options ...CallOption) (Page[Agent], error) {
	v := paging(cursor, limit)
	set(v, "workspace_id", q.WorkspaceID)
	set(v, "org_id", q.OrgID)
	set(v, "name", q.Name)
	q.AsOf.set(v)
	var p Page[Agent]
	err := c.do(ctx, get("v1/agents", v), &p, options)
	return p, err
}
