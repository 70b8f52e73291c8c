package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/uuid"
)

// Scopes that the token of a subscriber, and of a Verifier, needs.
const (
	scopeEvents = "ledger:events:read"
	scopeVerify = "ledger:keys:verify"
)

// self is whose token a Client has.
type self struct {
	key   uuid.UUID
	owner Owner
}

// whoami asks the server whose token this is, and fails with its *Error unless the key is valid and holds scope.
func (c *Client) whoami(ctx context.Context, scope string) (self, error) {
	var header http.Header
	r := get("v1/authorize", url.Values{"scope": {scope}})
	r.answered = func(h http.Header) { header = h }
	if err := c.do(ctx, r, nil, nil); err != nil {
		return self{}, err
	}
	var s self
	var err error
	if s.key, err = uuid.Parse(header.Get("Keyledger-Key-Id")); err != nil {
		return self{}, fmt.Errorf("client: the server does not tell whose token this is: %w", err)
	}
	for name, part := range map[string]*string{
		"Keyledger-Workspace-Id": &s.owner.WorkspaceID,
		"Keyledger-Org-Id":       &s.owner.OrgID,
		"Keyledger-Agent-Id":     &s.owner.AgentID,
		"Keyledger-Peer-Id":      &s.owner.PeerID,
		"Keyledger-Session-Id":   &s.owner.SessionID,
	} {
		if *part, err = url.PathUnescape(header.Get(name)); err != nil {
			return self{}, fmt.Errorf("client: header %s: %w", name, err)
		}
	}
	return s, nil
}
