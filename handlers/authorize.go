package handlers

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// authorize is /v1/authorize, with every method, for a proxy that asks before it passes a request on: 204 with headers
// that tell who the token is, 401 when the token is not valid, 403 when it is not enough for what the query wants.
func (a *api) authorize(x *Exchange) error {
	token, err := x.Token()
	if err != nil {
		return err
	}
	q := x.Query
	v, err := a.service.Authorize(x.Context(), &ledger.VerifyRequest{
		Token:       token,
		Scopes:      strings.Fields(q["scope"]),
		Environment: q["environment"],
		Workspace:   q["workspace_id"],
		Org:         q["org_id"],
		Agent:       q["agent_id"],
		Peer:        q["peer_id"],
		Session:     q["session_id"],
		Origin:      x.origin,
	})
	if err != nil {
		return err
	}
	a.verdict(v.Decision)
	if err := refusal(v.Decision); err != nil {
		x.Header()["Keyledger-Code"] = []string{string(v.Decision)}
		return err
	}
	x.keyID = v.Key.ID
	identify(x.Header(), &v.Key)
	x.Saw(x.server.config.State.Position())
	x.Status = http.StatusNoContent
	return nil
}

// refusal is what a proxy is told of a decision: nil lets the request pass.
func refusal(d ledger.Decision) error {
	switch d {
	case ledger.Valid:
		return nil
	case ledger.InsufficientScope:
		return &ledger.Error{Code: ledger.CodeForbidden, Detail: "the token lacks a scope that this needs"}
	case ledger.WrongOwner:
		return &ledger.Error{Code: ledger.CodeForbidden, Detail: "the token is not for this owner or environment"}
	case ledger.KeyRevoked:
		return unauthenticated("the token is revoked")
	case ledger.KeyExpired:
		return unauthenticated("the token has expired")
	case ledger.KeyDisabled:
		return unauthenticated("the token is disabled")
	case ledger.NotYetValid:
		return unauthenticated("the token is not valid yet")
	default:
		return unauthenticated("the token is not known here")
	}
}

// identify tells in headers who a key is. An absent part has no header, so a proxy that copies them must clear what
// the client sent.
func identify(h http.Header, k *ledger.Key) {
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{headerValue(value)}
		}
	}
	if k.ID != (uuid.UUID{}) {
		set("Keyledger-Key-Id", k.ID.String())
	}
	set("Keyledger-Key-Name", k.Name)
	set("Keyledger-Workspace-Id", k.Owner.Workspace)
	set("Keyledger-Org-Id", k.Owner.Org)
	set("Keyledger-Agent-Id", k.Owner.AgentID)
	set("Keyledger-Agent-Name", k.Owner.AgentName)
	set("Keyledger-Peer-Id", k.Owner.Peer)
	set("Keyledger-Session-Id", k.Owner.Session)
	set("Keyledger-Scopes", string(k.Scopes))
	set("Keyledger-Environment", k.Environment)
	set("Keyledger-Type", k.Type)
}

// headerValue is a value that is safe in a header: the bytes outside printable ASCII, '%', and spaces at the ends are
// percent-encoded (RFC 3986 section 2.1), so that it can be decoded again and nothing can end the header.
func headerValue(v string) string {
	safe := true
	for i := range len(v) {
		safe = safe && plain(v, i)
	}
	if safe {
		return v
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(v)+16)
	for i := range len(v) {
		if c := v[i]; plain(v, i) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// plain tells whether byte i of v may stand in a header as it is.
func plain(v string, i int) bool {
	if v[i] == ' ' {
		return i > 0 && i < len(v)-1
	}
	return v[i] > ' ' && v[i] < 0x7f && v[i] != '%'
}
