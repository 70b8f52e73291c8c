package honcho

import (
	"errors"
	"net/http"

	"keyledger/handlers"
	"keyledger/ledger"
)

// created is the answer to a create.
type created struct {
	Key string `json:"key"`
}

// failure is the answer to what is refused: Detail is a text or a list of problems.
type failure struct {
	Detail any `json:"detail"`
}

// problem tells what is wrong with a parameter, as pydantic does.
type problem struct {
	Type  string    `json:"type"`
	Loc   [2]string `json:"loc"`
	Msg   string    `json:"msg"`
	Input string    `json:"input"`
	Ctx   struct {
		Error string `json:"error"`
	} `json:"ctx"`
}

// Error is the message.
func (p *problem) Error() string { return p.Msg }

// invalid is the error of a query parameter: kind is pydantic's type of it, msg what its message begins with.
func invalid(kind, name, input, msg, reason string) error {
	p := &problem{Type: kind, Loc: [2]string{"query", name}, Msg: msg + ", " + reason, Input: input}
	p.Ctx.Error = reason
	return &ledger.Error{Code: ledger.CodeInvalid, Field: name, Err: p}
}

// The refusals whose texts are Honcho's.
var (
	errNoToken     = &ledger.Error{Code: ledger.CodeUnauthenticated, Detail: "No access token provided"}
	errInvalidJWT  = &ledger.Error{Code: ledger.CodeUnauthenticated, Detail: "Invalid JWT"}
	errJWTScope    = &ledger.Error{Code: ledger.CodeUnauthenticated, Detail: "Invalid JWT scope: peer/session token missing workspace"}
	errNotAdmin    = &ledger.Error{Code: ledger.CodeForbidden, Detail: "Resource requires admin privileges"}
	errDisabled    = &ledger.Error{Code: handlers.CodeMethod, Detail: "Feature is disabled"}
	errUnscoped    = &ledger.Error{Code: ledger.CodeInvalid, Detail: "At least one of workspace_id, peer_id, or session_id must be provided"}
	errNoWorkspace = &ledger.Error{Code: ledger.CodeInvalid, Detail: "workspace_id is required when scoping a key to a peer or session"}
)

// Render answers with err as Honcho does. Whatever a caller may not do, or may not know of, is 401.
func Render(x *handlers.Exchange, err error) {
	e := handlers.AsError(err)
	status, detail := handlers.StatusOf(e.Code), any(e.Detail)
	var p *problem
	switch {
	case errors.As(err, &p):
		status, detail = http.StatusUnprocessableEntity, []*problem{p}
	case e.Code == ledger.CodeInvalid:
		status = http.StatusUnprocessableEntity
	case e.Code == ledger.CodeForbidden, e.Code == ledger.CodeNotFound:
		status, detail = http.StatusUnauthorized, errNotAdmin.Detail
	case e.Code == handlers.CodeMethod && e != errDisabled:
		detail = "Method Not Allowed"
	case e.Code == ledger.CodeInternal:
		detail = "An unexpected error occurred"
	}
	x.SetErrorHeaders(e)
	x.Header().Del("WWW-Authenticate") // Honcho sends none
	if status == http.StatusConflict {
		x.Header().Set("X-Should-Retry", "false")
	}
	_ = x.WriteJSON(status, failure{detail}) // texts can always be written
}
