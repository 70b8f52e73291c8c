// Package openlayer is the key API of Openlayer as a dialect of keyledger: both of its generations, for its clients as
// they are. COMPAT.md tells where it differs from the vendor's, and why.
package openlayer

import (
	_ "embed"
	"fmt"
	"net/http"
	"time"

	"keyledger/handlers"
	"keyledger/ledger"
)

//go:embed openapi.json
var openAPIDocument []byte

// Config is what the dialect is made of.
type Config struct {
	Service *ledger.Service
	Now     func() time.Time // time.Now when nil
}

// dialect translates between the vendor's requests and the ledger.
type dialect struct {
	service *ledger.Service
	now     func() time.Time
}

// Routes are the routes of the dialect, to be mounted with Render. The clients' base URL may end in /v1, as the vendor's
// own does, or not.
func Routes(c Config) []handlers.Route {
	d := &dialect{service: c.Service, now: c.Now}
	if d.now == nil {
		d.now = time.Now
	}
	routes := []handlers.Route{
		{Method: http.MethodGet, Path: "/openapi/openlayer.json", Handle: openAPI, AnyQuery: true, Public: true},
	}
	for _, base := range []string{"", "/v1"} {
		keys := base + "/workspaces/{workspace}/api-keys"
		for _, r := range []handlers.Route{
			{Method: http.MethodPost, Path: keys, Handle: d.create, Command: true},
			{Method: http.MethodGet, Path: keys, Handle: d.list},
			{Method: http.MethodGet, Path: keys + "/{id}", Handle: d.get},
			{Method: http.MethodPut, Path: keys + "/{id}", Handle: d.rename, Command: true},
			{Method: http.MethodDelete, Path: keys + "/{id}", Handle: d.remove, Command: true},
			{Method: http.MethodPost, Path: keys + "/{id}/rotate", Handle: d.rotate, Command: true},
		} {
			r.Handle, r.AnyQuery = inWorkspace(r.Handle), true
			routes = append(routes, r)
		}
	}
	return routes
}

// inWorkspace binds the principal to the workspace in the path before handle runs, so that the ledger takes whatever is
// elsewhere for absent.
func inWorkspace(handle handlers.Handler) handlers.Handler {
	return func(x *handlers.Exchange) error {
		workspace, bound := x.Var("workspace"), &x.Principal.Owner.Workspace
		if workspace == "" || *bound != "" && *bound != workspace {
			return notFound("workspace")
		}
		*bound = workspace
		return handle(x)
	}
}

// openAPI is GET /openapi/openlayer.json.
func openAPI(x *handlers.Exchange) error {
	x.Body = append(x.Body, openAPIDocument...)
	return nil
}

// failure is the body of a refusal: the vendor's first Python client reads error, its TypeScript client message.
type failure struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// Render answers with err in the vendor's form.
func Render(x *handlers.Exchange, err error) {
	e := handlers.AsError(err)
	status := handlers.StatusOf(e.Code)
	if e.Code == ledger.CodeForbidden && e.Field == "expires_at" {
		status = http.StatusBadRequest // a key that would outlive its maker
	}
	x.SetErrorHeaders(e)
	if !repeatable(x.Request, e, status) {
		x.Header()["X-Should-Retry"] = []string{"false"}
	}
	text := message(e)
	_ = x.WriteJSON(status, failure{text, text}) // two strings: it cannot fail
}

// message says what is wrong in the words of the vendor's API.
func message(e *ledger.Error) string {
	text := e.Detail
	if e.Code == ledger.CodeInternal || text == "" {
		text = "something went wrong here; the X-Request-Id of this answer finds it in the log"
	}
	switch e.Field {
	case "":
		return text
	case "expires_at":
		return "expiresAt: " + text
	case "workspace_id":
		return "workspaceId: " + text
	default:
		return e.Field + ": " + text
	}
}

// repeatable tells whether the vendor's clients, which repeat by themselves after 408, 409, 429 and 5xx, may do so after
// this refusal. A conflict stays one. A create or a rotation that may have been stored must not be repeated blindly: the
// first would leave a key that nobody knows the secret of, the second would end the grace of the secret in use.
func repeatable(r *http.Request, e *ledger.Error, status int) bool {
	switch e.Code {
	case ledger.CodeConflict:
		return false
	case ledger.CodeOverloaded, ledger.CodeStale:
		return true // nothing was stored
	}
	once := r.Method != http.MethodPost || r.Header["Idempotency-Key"] != nil
	return once || status < http.StatusInternalServerError
}

func notFound(what string) error {
	return &ledger.Error{Code: ledger.CodeNotFound, Detail: "no such " + what}
}

func invalid(field, format string, args ...any) error {
	return &ledger.Error{Code: ledger.CodeInvalid, Field: field, Detail: fmt.Sprintf(format, args...)}
}
