package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Status is what a key is at the moment of the answer.
type Status string

// The statuses of a key.
const (
	Active    Status = "active"
	Scheduled Status = "scheduled" // its NotBefore lies ahead
	Disabled  Status = "disabled"
	Expired   Status = "expired"
	Revoked   Status = "revoked"
)

// Key is an API key without its token. Absent values are zero.
type Key struct {
	ID                string          `json:"id"`
	Name              string          `json:"name"`
	Hint              string          `json:"hint"` // a few visible characters of the token
	WorkspaceID       string          `json:"workspace_id,omitempty"`
	OrgID             string          `json:"org_id,omitempty"`
	AgentID           string          `json:"agent_id,omitempty"`
	AgentName         string          `json:"agent_name,omitempty"`
	PeerID            string          `json:"peer_id,omitempty"`
	SessionID         string          `json:"session_id,omitempty"`
	Scopes            []string        `json:"scopes"`
	Environment       string          `json:"environment"` // "live" or "test"
	Type              string          `json:"type"`        // "internal", "external", "github" or "slack"
	Metadata          json.RawMessage `json:"metadata"`    // a JSON object
	Status            Status          `json:"status"`
	CreatedAt         time.Time       `json:"created_at"`
	CreatedBy         string          `json:"created_by"` // id of the key that created it, or "system"
	UpdatedAt         time.Time       `json:"updated_at,omitzero"`
	NotBefore         time.Time       `json:"not_before,omitzero"`
	ExpiresAt         time.Time       `json:"expires_at,omitzero"`
	RotatedAt         time.Time       `json:"rotated_at,omitzero"`
	PreviousExpiresAt time.Time       `json:"previous_expires_at,omitzero"` // until then the token before also works
	DisabledAt        time.Time       `json:"disabled_at,omitzero"`
	RevokedAt         time.Time       `json:"revoked_at,omitzero"`
	RevokedBy         string          `json:"revoked_by,omitempty"`
	RevokeReason      string          `json:"revoke_reason,omitempty"`
	LastUsedAt        time.Time       `json:"last_used_at,omitzero"`
	UseCount          uint64          `json:"use_count"`
	Sequence          uint64          `json:"sequence"` // of the key's last change: see IfSequence
}

// Issued is a key with its token, which the server never shows again.
type Issued struct {
	Key
	Token Token `json:"token"`
}

// CreateKey is the input of Client.CreateKey. Zero means absent.
type CreateKey struct {
	Name        string          `json:"name,omitempty"`
	WorkspaceID string          `json:"workspace_id,omitempty"`
	OrgID       string          `json:"org_id,omitempty"`
	AgentID     string          `json:"agent_id,omitempty"`
	AgentName   string          `json:"agent_name,omitempty"`
	PeerID      string          `json:"peer_id,omitempty"`
	SessionID   string          `json:"session_id,omitempty"`
	Scopes      []string        `json:"scopes,omitempty"`
	Environment string          `json:"environment,omitempty"` // "live" when empty
	Type        string          `json:"type,omitempty"`        // "external" when empty
	Metadata    json.RawMessage `json:"metadata,omitempty"`    // a JSON object of at most 4 KiB
	NotBefore   time.Time       `json:"not_before,omitzero"`
	ExpiresAt   time.Time       `json:"expires_at,omitzero"`

	// Token is an own token to bring, of 32 to 512 printable ASCII characters; one is minted when it is zero.
	Token Token `json:"token,omitzero"`
}

// CreateKey creates a key. The token in the answer is never shown again.
func (c *Client) CreateKey(ctx context.Context, in CreateKey, options ...CallOption) (Issued, error) {
	body := struct {
		CreateKey
		Token string `json:"token,omitempty"` // in place of the hidden one
	}{in, in.Token.Reveal()}
	var issued Issued
	err := c.do(ctx, command(http.MethodPost, "v1/keys", body), &issued, options)
	return issued, err
}

// Key reads a key.
func (c *Client) Key(ctx context.Context, id string, options ...CallOption) (Key, error) {
	var key Key
	err := c.do(ctx, get(keyPath(id), nil), &key, options)
	return key, err
}

// UpdateKey is the input of Client.UpdateKey: nil means unchanged.
type UpdateKey struct {
	Name      *string
	Scopes    *[]string
	Metadata  *json.RawMessage // a nil message empties it
	ExpiresAt *time.Time       // the zero time: never
}

// UpdateKey changes a key. With IfSequence it changes only the version of the key that the caller saw.
func (c *Client) UpdateKey(ctx context.Context, id string, in UpdateKey, options ...CallOption) (Key, error) {
	body := make(map[string]any, 4)
	if in.Name != nil {
		body["name"] = *in.Name
	}
	if in.Scopes != nil {
		body["scopes"] = *in.Scopes
	}
	if in.Metadata != nil {
		body["metadata"] = *in.Metadata
	}
	if in.ExpiresAt != nil {
		body["expires_at"] = nullable(*in.ExpiresAt)
	}
	var key Key
	err := c.do(ctx, command(http.MethodPatch, keyPath(id), body), &key, options)
	return key, err
}

// RotateKey is the input of Client.RotateKey.
type RotateKey struct {
	// Grace is how long the old token stays valid beside the new one: 0 to 7 days, in whole seconds.
	Grace time.Duration
	// ExpiresAt changes the expiry: nil leaves it, the zero time means never.
	ExpiresAt *time.Time
	// Token is an own token to bring; one is minted when it is zero.
	Token Token
}

// RotateKey gives a key a new token. The key keeps its id and everything else.
func (c *Client) RotateKey(ctx context.Context, id string, in RotateKey, options ...CallOption) (Issued, error) {
	body := map[string]any{"grace_seconds": int64(in.Grace / time.Second)}
	if in.ExpiresAt != nil {
		body["expires_at"] = nullable(*in.ExpiresAt)
	}
	if !in.Token.IsZero() {
		body["token"] = in.Token.Reveal()
	}
	var issued Issued
	err := c.do(ctx, command(http.MethodPost, keyPath(id)+"/rotate", body), &issued, options)
	return issued, err
}

// RevokeKey revokes a key for good. reason may be empty.
func (c *Client) RevokeKey(ctx context.Context, id, reason string, options ...CallOption) (Key, error) {
	body := struct {
		Reason string `json:"reason,omitempty"`
	}{reason}
	var key Key
	err := c.do(ctx, command(http.MethodPost, keyPath(id)+"/revoke", body), &key, options)
	return key, err
}

// DisableKey makes a key invalid until EnableKey.
func (c *Client) DisableKey(ctx context.Context, id string, options ...CallOption) (Key, error) {
	var key Key
	err := c.do(ctx, command(http.MethodPost, keyPath(id)+"/disable", nil), &key, options)
	return key, err
}

// EnableKey makes a disabled key valid again.
func (c *Client) EnableKey(ctx context.Context, id string, options ...CallOption) (Key, error) {
	var key Key
	err := c.do(ctx, command(http.MethodPost, keyPath(id)+"/enable", nil), &key, options)
	return key, err
}

func keyPath(id string) string { return "v1/keys/" + url.PathEscape(id) }

// nullable is t for a JSON body: null when it is zero.
func nullable(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
