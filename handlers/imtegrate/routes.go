// Package imtegrate serves Imtegrate's API of keys, for clients of Imtegrate whose base URL is pointed here. What
// differs from the original, and why, is in COMPAT.md.
package imtegrate

import (
	_ "embed"
	"fmt"
	"net/http"
	"regexp"

	"keyledger/handlers"
	"keyledger/ledger"
)

//go:embed openapi.json
var openAPIDocument []byte

// Config is what the dialect is made of.
type Config struct {
	Service *ledger.Service
	// DefaultOrg is the organization of callers that are bound to none and name none in X-Org-Id. Empty: they must.
	DefaultOrg string
}

// Routes are the routes of the dialect, to be mounted with Render.
func Routes(c Config) ([]handlers.Route, error) {
	if err := ledger.CheckOwner(&ledger.Owner{Org: c.DefaultOrg}); err != nil {
		return nil, fmt.Errorf("imtegrate: the default organization: %w", err)
	}
	a := &api{Config: c, env: regexp.MustCompile(`^(test|live)$`)}
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	routes := []handlers.Route{
		{Method: post, Path: "/v1/api-keys", Handle: a.create, AnyQuery: true, Public: true, Command: true},
		{Method: get, Path: "/v1/api-keys", Handle: a.list, AnyQuery: true, Remote: true},
		{Method: del, Path: "/v1/api-keys/{id}", Handle: a.remove, AnyQuery: true, Remote: true},
		{Method: post, Path: "/v1/api-keys/{id}/revoke", Handle: a.revoke, AnyQuery: true, Remote: true},
		{Method: get, Path: "/openapi/imtegrate.json", Handle: openAPI, AnyQuery: true, Public: true},
	}
	for i := range routes {
		routes[i].Handle = coded(routes[i].Handle)
	}
	return routes, nil
}

// openAPI is GET /openapi/imtegrate.json.
func openAPI(x *handlers.Exchange) error {
	x.Body = append(x.Body, openAPIDocument...)
	return nil
}
