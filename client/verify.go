package client

import (
	"context"
	"net/http"
)

// Decision is the code of a verification.
type Decision string

// The decisions about a token.
const (
	Valid             Decision = "VALID"
	NotFound          Decision = "NOT_FOUND" // or outside what the caller may see
	Malformed         Decision = "MALFORMED"
	KeyRevoked        Decision = "REVOKED"
	KeyExpired        Decision = "EXPIRED"
	NotYetValid       Decision = "NOT_YET_VALID"
	KeyDisabled       Decision = "DISABLED"
	InsufficientScope Decision = "INSUFFICIENT_SCOPE"
	WrongOwner        Decision = "WRONG_OWNER"
)

// Verify is the input of Client.Verify: is Token good for all of this? Empty fields are not asked.
type Verify struct {
	Token       Token    `json:"token"`
	Scopes      []string `json:"scopes,omitempty"` // all must be held
	Environment string   `json:"environment,omitempty"`
	WorkspaceID string   `json:"workspace_id,omitempty"`
	OrgID       string   `json:"org_id,omitempty"`
	AgentID     string   `json:"agent_id,omitempty"`
	PeerID      string   `json:"peer_id,omitempty"`
	SessionID   string   `json:"session_id,omitempty"`
}

// Verification is the decision about a token. Key is nil when no key was found.
type Verification struct {
	Valid bool     `json:"valid"`
	Code  Decision `json:"code"`
	Key   *Key     `json:"key"`
}

// Verify decides about a token and counts its use. A token that is not valid is no error: see Verification.Valid.
func (c *Client) Verify(ctx context.Context, in Verify, options ...CallOption) (Verification, error) {
	body := struct {
		Verify
		Token string `json:"token"` // in place of the hidden one
	}{in, in.Token.Reveal()}
	r := &request{method: http.MethodPost, path: "v1/keys/verify", body: body, header: http.Header{}}
	var v Verification
	err := c.do(ctx, r, &v, options)
	return v, err
}
