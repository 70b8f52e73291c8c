package client

import (
	"context"
	"time"
)

// Usage tells when and how often a key was used, and from where it was used last.
type Usage struct {
	KeyID      string    `json:"key_id"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	UseCount   uint64    `json:"use_count"`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
}

// KeyUsage reads the usage of a key. Uses show up within about two seconds.
func (c *Client) KeyUsage(ctx context.Context, id string, options ...CallOption) (Usage, error) {
	var u Usage
	err := c.do(ctx, get(keyPath(id)+"/usage", nil), &u, options)
	return u, err
}
