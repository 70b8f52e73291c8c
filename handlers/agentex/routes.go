// Package agentex serves the routes for API keys of Scale Agentex, on the agents and keys of the ledger. COMPAT.md says
// where it differs from the original.
package agentex

import (
	_ "embed"
	"errors"
	"net/http"
	"time"

	"keyledger/handlers"
	"keyledger/ledger"
)

//go:embed openapi.json
var document []byte

// Config is what the dialect is made of. Service and Secret are required.
type Config struct {
	Service *ledger.Service
	// Secret is at least 32 bytes, the same on every node of a ledger: the internal keys of agents follow from it. It
	// must be used for nothing else.
	Secret []byte
	// Open lets clients on this machine manage the keys of agents without a workspace and org, without a token.
	Open bool
	Now  func() time.Time // time.Now when nil
}

// dialect translates for one server.
type dialect struct {
	Config
}

// Routes are the routes of the dialect, to be mounted with Render.
func Routes(c Config) ([]handlers.Route, error) {
	if c.Service == nil || len(c.Secret) < 32 {
		return nil, errors.New("agentex: Service and a Secret of at least 32 bytes are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &dialect{c}
	// Names match with slashes in them only so that these can be refused in the original's words.
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	const named = "/agent_api_keys/name/{name:.+}"
	routes := []handlers.Route{
		{Method: post, Path: "/agent_api_keys", Handle: d.create, Command: true},
		{Method: get, Path: "/agent_api_keys", Handle: d.list},
		{Method: post, Path: "/agent_api_keys/webhook-trigger", Handle: d.createWebhook, Command: true},
		{Method: get, Path: named, Handle: d.getNamed},
		{Method: del, Path: named, Handle: d.deleteNamed, Command: true},
		{Method: get, Path: "/agent_api_keys/{id}", Handle: d.get},
		{Method: del, Path: "/agent_api_keys/{id}", Handle: d.delete, Command: true},
		{Method: post, Path: "/agents/register", Handle: d.register, Command: true},
	}
	for i := range routes {
		routes[i].Public, routes[i].AnyQuery = true, true // see authenticated, and form
		routes[i].Handle = d.authenticated(routes[i].Handle)
	}
	return append(routes, handlers.Route{
		Method: get, Path: "/openapi/agentex.json", Handle: openAPI, AnyQuery: true, Public: true,
	}), nil
}

// openAPI is GET /openapi/agentex.json.
func openAPI(x *handlers.Exchange) error {
	x.Body = append(x.Body, document...)
	return nil
}
