// Package honcho serves Honcho's route for keys, POST /v3/keys, as a drop-in for it; COMPAT.md tells where it differs.
// Honcho keeps nothing of a key: here each is a key of the ledger as well, which can be listed, verified and revoked.
package honcho

import (
	_ "embed"
	"net/http"
	"strings"
	"time"

	"keyledger/handlers"
	"keyledger/ledger"
)

//go:embed openapi.json
var openAPIDocument []byte

// Config is what the dialect is made of.
type Config struct {
	Service *ledger.Service
	Secret  []byte           // signs the keys: Honcho's AUTH_JWT_SECRET. Empty: no keys, as from a Honcho with authentication off
	Now     func() time.Time // time.Now when nil
}

// dialect is the routes' common part.
type dialect struct {
	service *ledger.Service
	secret  []byte
	now     func() time.Time
}

// Routes are the routes of the dialect, to be mounted with Render.
func Routes(c Config) []handlers.Route {
	d := &dialect{service: c.Service, secret: c.Secret, now: c.Now}
	if d.now == nil {
		d.now = time.Now
	}
	routes := []handlers.Route{
		{Method: http.MethodGet, Path: "/openapi/honcho.json", Handle: openAPI, AnyQuery: true, Public: true},
	}
	for _, path := range []string{"/v3/keys", "/v2/keys"} { // the only typed client of this route calls /v2/keys
		routes = append(routes,
			handlers.Route{Method: http.MethodPost, Path: path, Handle: d.create, AnyQuery: true, Public: true, Command: true},
			handlers.Route{Path: path + "/", Handle: redirect, AnyQuery: true, Public: true})
	}
	return routes
}

// create is POST /v3/keys. It has no use for a body. The order of its checks is Honcho's.
func (d *dialect) create(x *handlers.Exchange) error {
	enabled := len(d.secret) > 0
	if enabled {
		if err := d.authenticate(x); err != nil {
			return err
		}
	}
	g, err := readGrant(parseQuery(x.Request.URL.RawQuery))
	switch {
	case err != nil:
		return err
	case !enabled:
		return errDisabled
	case !g.scoped():
		return errUnscoped
	case g.owner().Workspace == "":
		return errNoWorkspace
	}
	return x.Once(func() error { return d.issue(x, &g) })
}

// issue makes the key. It stays inside the organization and the agent of who makes it, which Honcho does not know.
func (d *dialect) issue(x *handlers.Exchange, g *grant) error {
	owner, by := g.owner(), &x.Principal.Owner
	owner.Org, owner.AgentID, owner.AgentName = by.Org, by.AgentID, by.AgentName
	issued, err := d.service.Create(x.Context(), x.Call(), &ledger.Create{
		Owner:     owner,
		ExpiresAt: g.expiry(),
		Mint:      g.mint(d.secret),
		Confined:  true,
		Lapsed:    true,
	})
	if err != nil {
		return g.explain(err)
	}
	x.Shows(&issued.Key)
	return x.WriteJSON(http.StatusOK, created{Key: issued.Token.Reveal()})
}

// redirect sends a path with a slash at its end to the one without it, for every method.
func redirect(x *handlers.Exchange) error {
	location := strings.TrimSuffix(x.Request.URL.Path, "/")
	if query := x.Request.URL.RawQuery; query != "" {
		location += "?" + query
	}
	x.Status = http.StatusTemporaryRedirect
	x.Header()["Location"] = []string{location}
	return nil
}

// openAPI is GET /openapi/honcho.json.
func openAPI(x *handlers.Exchange) error {
	x.Body = append(x.Body, openAPIDocument...)
	return nil
}
