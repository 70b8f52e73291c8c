package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Erasure is the erasure of a workspace.
type Erasure struct {
	WorkspaceID string    `json:"workspace_id"`
	ErasedAt    time.Time `json:"erased_at"`
	Sequence    uint64    `json:"sequence"` // of its event in the ledger
}

// EraseKey destroys the personal data of a key, in all that was ever told of it: its name, metadata and reasons, and where
// requests came from. They read "erased" from then on, and the key gets no others.
func (c *Client) EraseKey(ctx context.Context, id string, options ...CallOption) (Key, error) {
	var key Key
	err := c.do(ctx, command(http.MethodPost, keyPath(id)+"/erase", nil), &key, options)
	return key, err
}

// EraseWorkspace destroys the personal data of all keys, agents and webhooks of a workspace, as EraseKey does of one key.
// What the workspace gets later is new.
func (c *Client) EraseWorkspace(ctx context.Context, workspace string, options ...CallOption) (Erasure, error) {
	var e Erasure
	err := c.do(ctx, command(http.MethodPost, "v1/workspaces/"+url.PathEscape(workspace)+"/erase", nil), &e, options)
	return e, err
}
