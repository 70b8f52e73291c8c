package honcho

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"keyledger/ledger"
)

// grant is what a key is asked for. nil is absent; an empty id stands in the token but scopes nothing.
type grant struct {
	workspace, peer, session *string
	expires                  *time.Time // in whole seconds, from year 1 to 9999
}

// readGrant reads the parameters of a create.
func readGrant(query map[string]string) (grant, error) {
	parameter := func(name string) *string {
		if value, ok := query[name]; ok {
			return &value
		}
		return nil
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

// parseQuery reads a query as Python's parse_qsl does: nothing is refused, a parameter without "=" is empty, the last of
// equal names counts, what is no escape stands for itself, and bytes that are not UTF-8 become U+FFFD. Go's own parser
// drops what it cannot read: an expiry, for example.
func parseQuery(raw string) map[string]string {
	query := make(map[string]string)
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		query[unescape(name)] = unescape(value)
	}
	return query
}

// unescape decodes a part of a query.
func unescape(s string) string {
	var b strings.Builder
	s = strings.ReplaceAll(s, "+", " ")
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return string([]rune(b.String()))
}
