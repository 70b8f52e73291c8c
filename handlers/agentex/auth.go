package agentex

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"keyledger/handlers"
	"keyledger/ledger"
)

// openActor is who acts when nobody has to say who they are.
const openActor = "agentex-open"

// authenticated finds out who asks before anything else is looked at, as the original's middleware does: by the key of
// an agent, else by a token as on every other route.
func (d *dialect) authenticated(handle handlers.Handler) handlers.Handler {
	return func(x *handlers.Exchange) error {
		if err := d.authenticate(x); err != nil {
			return err
		}
		return handle(x)
	}
}

func (d *dialect) authenticate(x *handlers.Exchange) error {
	if token, ok := agentKey(x.Request.Header); ok {
		err := x.Authenticate(token)
		if ledger.CodeOf(err) == ledger.CodeUnauthenticated {
			return framework(err, http.StatusUnauthorized, "Agent Unauthorized")
		}
		return err
	}
	if d.Open && isLocal(x.Request) {
		return x.ActAs(ledger.Principal{
			Actor:  openActor,
			Scopes: ledger.ScopeCreate + " " + ledger.ScopeRead + " " + ledger.ScopeRevoke,
		})
	}
	token, err := x.Token()
	if err != nil {
		return err
	}
	return x.Authenticate(token)
}

// agentKey is the key of an agent that a request presents, if it presents one: "X-Agent-API-Key", or "Authorization:
// AgentKey" with the scheme in any case. X-Agent-Identity, which proves nothing, is a key that nobody has.
func agentKey(h http.Header) (token string, ok bool) {
	if keys := h["X-Agent-Api-Key"]; len(keys) > 1 {
		return "", true
	} else if len(keys) == 1 && keys[0] != "" {
		return keys[0], true
	}
	for _, value := range h["Authorization"] {
		if scheme, key, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "AgentKey") {
			return strings.Trim(key, " "), true
		}
	}
	tokens := len(h["Authorization"]) + len(h["X-Api-Key"])
	return "", tokens == 0 && h.Get("X-Agent-Identity") != ""
}

// isLocal tells that a request comes from this machine, straight and without a token. A request that another machine's
// came through, or a browser that was told a false address for some site, names another host or who it speaks for.
func isLocal(r *http.Request) bool {
	for _, name := range [...]string{
		"Authorization", "X-Api-Key", "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip",
	} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return isLoopback(r.RemoteAddr) && isLoopback(r.Host)
}

// isLoopback tells whether an address, with or without a port, is of this machine.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// reaches tells whether a key that the principal may read is one of this dialect's: of an agent, and, when nobody had to
// say who they are, outside of every workspace and org.
func reaches(p *ledger.Principal, k *ledger.Key) bool {
	return k.Owner.AgentID != "" && k.RevokedAt.IsZero() &&
		(p.Actor != openActor || k.Owner.Workspace == "" && k.Owner.Org == "")
}
