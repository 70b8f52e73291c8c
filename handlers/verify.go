package handlers

import (
	"keyledger/ledger"
)

// verifyRequest is the body of POST /v1/keys/verify.
type verifyRequest struct {
	Token       string   `json:"token"`
	Scopes      []string `json:"scopes"`
	Environment string   `json:"environment"`
	WorkspaceID string   `json:"workspace_id"`
	OrgID       string   `json:"org_id"`
	AgentID     string   `json:"agent_id"`
	PeerID      string   `json:"peer_id"`
	SessionID   string   `json:"session_id"`
}

// verify is POST /v1/keys/verify: 200 for every decision.
func (a *api) verify(x *Exchange) error {
	var in verifyRequest
	if err := x.Decode(&in); err != nil {
		return err
	}
	if in.Token == "" {
		return &ledger.Error{Code: ledger.CodeInvalid, Field: "token", Detail: "the token to verify is required"}
	}
	v, err := a.service.Verify(x.Context(), &x.Principal, &ledger.VerifyRequest{
		Token:       in.Token,
		Scopes:      in.Scopes,
		Environment: in.Environment,
		Workspace:   in.WorkspaceID,
		Org:         in.OrgID,
		Agent:       in.AgentID,
		Peer:        in.PeerID,
		Session:     in.SessionID,
		Origin:      x.origin,
	})
	if err != nil {
		return err
	}
	a.verdict(v.Decision)
	b := append(x.Body, `{"valid":`...)
	if v.Decision == ledger.Valid {
		b = append(b, `true`...)
	} else {
		b = append(b, `false`...)
	}
	b = append(b, `,"code":"`...)
	b = append(b, v.Decision...)
	b = append(b, `","key":`...)
	if v.Found {
		b = appendKey(b, &v.Key, a.now())
	} else {
		b = append(b, `null`...)
	}
	x.Body = append(b, '}', '\n')
	return nil
}
