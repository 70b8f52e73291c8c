package honcho

import (
	"errors"
	"time"

	"keyledger/handlers/fastapi"
	"keyledger/ledger"
)

// grant is what a key is asked for. nil is absent; an empty id stands in the token but scopes nothing.
type grant struct {
	workspace, peer, session *string
	expires                  *time.Time // in whole seconds, from year 1 to 9999
}

// readGrant reads the parameters of a create.
func readGrant(query fastapi.Value) (grant, error) {
	parameter := func(name string) *string {
		value, ok := query.Member(name)
		if !ok {
			return nil
		}
		text := value.Text()
		return &text
	}
	g := grant{workspace: parameter("workspace_id"), peer: parameter("peer_id"), session: parameter("session_id")}
	if text := parameter("expires_at"); text != nil {
		at, err := parseMoment(*text)
		if err != nil {
			return grant{}, err
		}
		g.expires = &at
	}
	return g, nil
}

// owner is whom the key is for.
func (g *grant) owner() ledger.Owner {
	return ledger.Owner{Workspace: value(g.workspace), Peer: value(g.peer), Session: value(g.session)}
}

// scoped tells whether the key is for anyone.
func (g *grant) scoped() bool { return g.owner() != ledger.Owner{} }

// expiry is when the key expires for the ledger, which has no time before 1970: such a key is expired all the same.
func (g *grant) expiry() time.Time {
	if g.expires == nil {
		return time.Time{}
	}
	if first := time.Unix(1, 0).UTC(); g.expires.Before(first) {
		return first
	}
	return *g.expires
}

// explain tells what the ledger does not take in a parameter, as a problem of that parameter.
func (g *grant) explain(err error) error {
	var e *ledger.Error
	if !errors.As(err, &e) || e.Code != ledger.CodeInvalid {
		return err
	}
	ids := map[string]*string{"workspace_id": g.workspace, "peer_id": g.peer, "session_id": g.session}
	id, ok := ids[e.Field]
	if !ok {
		return err
	}
	return invalid("value_error", e.Field, value(id), "Value error", e.Detail)
}

// value is what s points to, empty when it is nil.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
