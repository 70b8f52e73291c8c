package handlers

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"keyledger/ledger"
)

// Route is one operation of an API.
type Route struct {
	Method string // "" for every method; a GET route answers HEAD too
	Path   string // a gorilla/mux template; also the label in metrics and access lines
	Handle Handler

	Query    []string // the parameters that its query may have, each at most once
	AnyQuery bool     // the query is not looked at: the handler may

	Public      bool // without a token, or with one that the handler sees to: Exchange.Authenticate
	Command     bool // changes something: honours Idempotency-Key; a public one by Exchange.Once
	Conditional bool // honours If-Match
	Unaudited   bool // tells nothing of keys: is not recorded where reads are, as every GET of a principal is
	Remote      bool // asks the log: has the deadline Config.Timeout, as every Command has
}

// endpoint is a mounted Route.
type endpoint struct {
	Route
	render  func(*Exchange, error)
	metrics *routeMetrics
	log     slog.Handler // of its access lines
}

// Mount adds routes whose errors are answered by render; an error of CodeMethod comes with the Allow header set, which
// render may change. All routes are mounted before the first request; of one Mount, those that come first are matched
// first. A path that an earlier Mount has is refused, whatever the method.
func (s *Server) Mount(routes []Route, render func(*Exchange, error)) error {
	for _, r := range routes {
		if taken := s.mounted(r.Path); taken != "" {
			return fmt.Errorf("handlers: mount %s %s: the path is that of %s", r.Method, r.Path, taken)
		}
	}
	for _, r := range routes {
		route := s.router.NewRoute().Path(r.Path)
		switch r.Method {
		case "":
		case http.MethodGet:
			route.Methods(http.MethodGet, http.MethodHead)
		default:
			route.Methods(r.Method)
		}
		if err := route.GetError(); err != nil {
			return fmt.Errorf("handlers: mount %s %s: %w", r.Method, r.Path, err)
		}
		s.endpoints[route] = &endpoint{
			Route:   r,
			render:  render,
			metrics: s.metrics.route(r.Method, r.Path),
			log:     s.routeLog(r.Path),
		}
	}
	return nil
}

// mounted is the template of the route that has the path which the template path stands for, empty when none has it.
func (s *Server) mounted(path string) string {
	example := variable().ReplaceAllString(path, "x")
	var m mux.RouteMatch
	for _, method := range methods() {
		r := http.Request{Method: method, URL: &url.URL{Path: example}}
		if s.router.Match(&r, &m) {
			return s.endpoints[m.Route].Path
		}
	}
	return ""
}

// variable is a variable in a template of a path.
func variable() *regexp.Regexp { return regexp.MustCompile(`\{[^}]*\}`) }

// methods are those that routes answer.
func methods() []string { return []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} }

// Routes is every mounted route, ordered by path and method.
func (s *Server) Routes() []Route {
	routes := make([]Route, 0, len(s.endpoints))
	for _, e := range s.endpoints {
		routes = append(routes, e.Route)
	}
	slices.SortFunc(routes, func(a, b Route) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return routes
}

// match finds the route of a request. The router is only asked, not run: running it would copy the request twice to
// put the match into its context.
func (s *Server) match(x *Exchange) error {
	var m mux.RouteMatch
	if s.router.Match(x.Request, &m) {
		x.route, x.vars = s.endpoints[m.Route], m.Vars
		x.render = x.route.render
		return nil
	}
	if allowed := s.allowed(x); allowed != "" {
		x.Header()["Allow"] = []string{allowed}
		return &ledger.Error{Code: CodeMethod, Detail: "this path answers " + allowed}
	}
	return &ledger.Error{Code: ledger.CodeNotFound, Detail: "there is nothing at this path"}
}

// allowed are the methods that the path of a request answers. The error is rendered as those of their routes are.
func (s *Server) allowed(x *Exchange) string {
	var allowed []string
	probe := *x.Request
	for _, method := range methods() {
		var m mux.RouteMatch
		if probe.Method = method; s.router.Match(&probe, &m) {
			allowed = append(allowed, method)
			x.render = s.endpoints[m.Route].render
		}
	}
	return strings.Join(allowed, ", ")
}

// nativeRoutes is the native API. The router tries routes in this order, so the hottest are first.
func nativeRoutes(s *Server, keys *keys) []Route {
	a := &api{
		service: s.config.Service,
		hooks:   s.config.Webhooks,
		queue:   s.config.Queue,
		now:     s.config.Now,
		cursors: cursors{key: keys.cursor},
		source:  "/keyledger/" + s.config.LedgerName,
		verdict: s.metrics.verdict,
	}
	o := &operations{Config: &s.config, metrics: metricsHandler(s.config.Gatherer)}
	const get, post, patch = http.MethodGet, http.MethodPost, http.MethodPatch
	l := &ledgerRoutes{service: s.config.Service, source: a.source}
	asked := []string{"scope", "environment", "workspace_id", "org_id", "agent_id", "peer_id", "session_id"}
	moment := []string{"at", "at_seq"}
	agent := []string{"workspace_id", "org_id", "at", "at_seq"}
	agents := []string{"workspace_id", "org_id", "name", "limit", "cursor", "at", "at_seq"}
	owned := []string{"workspace_id", "org_id", "agent_id", "limit", "cursor", "at", "at_seq"}
	place := []string{"limit", "cursor"}
	reads := []string{"actor", "key_id", "from", "until", "limit", "cursor"}
	page := []string{"from", "limit", "cursor", "type", "until"}
	history := append([]string{"workspace_id", "org_id", "agent_id"}, page...)
	return []Route{
		{Method: post, Path: "/v1/keys/verify", Handle: a.verify},
		{Path: "/v1/authorize", Handle: a.authorize, Query: asked, Public: true},
		{Method: post, Path: "/v1/keys", Handle: a.createKey, Command: true},
		{Method: get, Path: "/v1/keys", Handle: a.listKeys, Query: keyFilters("")},
		{Method: get, Path: "/v1/keys/{id}", Handle: a.getKey, Query: moment},
		{Method: post, Path: "/v1/keys/{id}/revoke", Handle: a.revokeKey, Command: true, Conditional: true},
		{Method: get, Path: "/v1/workspaces/{id}/keys", Handle: a.listWorkspaceKeys, Query: keyFilters("workspace_id")},
		{Method: get, Path: "/v1/orgs/{id}/keys", Handle: a.listOrgKeys, Query: keyFilters("org_id")},
		{Method: get, Path: "/v1/agents/{id}/keys", Handle: a.listAgentKeys, Query: keyFilters("agent_id")},
		{Method: patch, Path: "/v1/keys/{id}", Handle: a.updateKey, Command: true, Conditional: true},
		{Method: post, Path: "/v1/keys/{id}/rotate", Handle: a.rotateKey, Command: true, Conditional: true},
		{Method: post, Path: "/v1/keys/{id}/disable", Handle: a.disableKey, Command: true, Conditional: true},
		{Method: post, Path: "/v1/keys/{id}/enable", Handle: a.enableKey, Command: true, Conditional: true},
		{Method: post, Path: "/v1/keys/{id}/erase", Handle: a.eraseKey, Command: true, Conditional: true},
		{Method: post, Path: "/v1/workspaces/{id}/erase", Handle: a.eraseWorkspace, Command: true},
		{Method: get, Path: "/v1/keys/{id}/usage", Handle: a.keyUsage},
		{Method: post, Path: "/v1/usage", Handle: a.reportUsage},
		{Method: get, Path: "/v1/keys/{id}/events", Handle: a.keyEvents, Query: page, Remote: true},
		{Method: get, Path: "/v1/events", Handle: a.events, Query: history, Remote: true},
		{Method: post, Path: "/v1/agents", Handle: a.registerAgent, Command: true},
		{Method: get, Path: "/v1/agents", Handle: a.listAgents, Query: agents},
		{Method: get, Path: "/v1/agents/{id}", Handle: a.getAgent, Query: agent},
		{Method: post, Path: "/v1/webhooks", Handle: a.createWebhook, Command: true},
		{Method: get, Path: "/v1/webhooks", Handle: a.listWebhooks, Query: owned},
		{Method: get, Path: "/v1/webhooks/{id}", Handle: a.getWebhook, Remote: true},
		{Method: patch, Path: "/v1/webhooks/{id}", Handle: a.updateWebhook, Command: true, Conditional: true},
		{Method: http.MethodDelete, Path: "/v1/webhooks/{id}", Handle: a.deleteWebhook, Command: true, Conditional: true},
		{Method: post, Path: "/v1/webhooks/{id}/rotate-secret", Handle: a.rotateWebhook, Command: true, Conditional: true},
		{Method: post, Path: "/v1/webhooks/{id}/disable", Handle: a.disableWebhook, Command: true, Conditional: true},
		{Method: post, Path: "/v1/webhooks/{id}/enable", Handle: a.enableWebhook, Command: true, Conditional: true},
		{Method: post, Path: "/v1/webhooks/{id}/test", Handle: a.testWebhook, Remote: true},
		{Method: get, Path: "/v1/webhooks/{id}/deliveries", Handle: a.listDeliveries, Query: place, Remote: true},
		{Method: get, Path: "/v1/webhooks/{id}/dead-letters", Handle: a.listDeadLetters, Query: place, Remote: true},
		{Method: post, Path: "/v1/webhooks/{id}/replay", Handle: a.replayWebhook, Command: true},
		{Method: get, Path: "/v1/ledger/checkpoint", Handle: l.checkpoint, Query: []string{"witnesses"}, Public: true},
		{Method: get, Path: "/v1/ledger/key", Handle: l.key, Public: true},
		{Method: get, Path: "/v1/ledger/tile/entries/{index:.+}", Handle: l.entries, Remote: true},
		{Method: get, Path: "/v1/ledger/tile/{level}/{index:.+}", Handle: l.tile, Public: true},
		{Method: get, Path: "/v1/ledger/proof/inclusion", Handle: l.inclusion, Query: []string{"sequence", "size"}, Public: true},
		{Method: get, Path: "/v1/ledger/proof/consistency", Handle: l.consistency, Query: []string{"from", "to"}, Public: true},
		{Method: get, Path: "/v1/ledger/reads", Handle: a.reads, Query: reads, Remote: true},
		{Method: get, Path: "/v1/ledger/secrets", Handle: a.secrets, Query: place, Remote: true},
		{Method: get, Path: "/healthz", Handle: o.health, AnyQuery: true, Public: true},
		{Method: get, Path: "/readyz", Handle: o.ready, AnyQuery: true, Public: true},
		{Method: get, Path: "/metrics", Handle: o.showMetrics, AnyQuery: true, Public: s.config.MetricsPublic, Unaudited: true},
		{Method: get, Path: "/openapi.json", Handle: o.openAPI, AnyQuery: true, Public: true},
	}
}
