package agentex

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"keyledger/handlers"
	"keyledger/ledger"
)

// refusal is an answer in the original's own words. What it wraps classes it for the access line.
type refusal struct {
	error
	status int
	body   any
}

// Unwrap is what the refusal came from.
func (r *refusal) Unwrap() error { return r.error }

// The three shapes of a refusal: the application's, the framework's, and that of an input which is not valid.
type (
	applicationError struct {
		Message string `json:"message"`
		Code    int    `json:"code"`
		Data    any    `json:"data"`
	}
	frameworkError struct {
		Detail string `json:"detail"`
	}
	validationError struct {
		StatusCode int       `json:"status_code"`
		Message    string    `json:"message"`
		Data       any       `json:"data"`
		Detail     []problem `json:"detail"`
	}
)

// problem is one thing that is wrong with an input.
type problem struct {
	Loc  []any  `json:"loc"`
	Msg  string `json:"msg"`
	Type string `json:"type"`
}

// validationCode is the code of the original for an input that is not valid.
const validationCode = 10422

func application(err error, status int, message string) error {
	return &refusal{err, status, applicationError{Message: message, Code: status}}
}

func framework(err error, status int, detail string) error {
	return &refusal{err, status, frameworkError{detail}}
}

// wrong is the refusal of an input. It repeats none of the values, which may be secrets.
func wrong(problems ...problem) error {
	texts := make([]string, len(problems))
	for i, p := range problems {
		place := make([]string, len(p.Loc))
		for j, part := range p.Loc {
			switch part := part.(type) {
			case string:
				place[j] = part
			case int64:
				place[j] = strconv.FormatInt(part, 10)
			}
		}
		texts[i] = strings.Join(place, ".") + ": " + p.Msg
	}
	count := "1 validation error: "
	if len(problems) > 1 {
		count = strconv.Itoa(len(problems)) + " validation errors: "
	}
	message := count + strings.Join(texts, "; ")
	err := &ledger.Error{Code: ledger.CodeInvalid, Detail: message}
	return &refusal{err, http.StatusUnprocessableEntity, validationError{
		StatusCode: validationCode, Message: message, Detail: problems,
	}}
}

// absent is a 404, for what is not there or not for this caller.
func absent(message string) error {
	return application(&ledger.Error{Code: ledger.CodeNotFound, Detail: message}, http.StatusNotFound, message)
}

// bad is a 400.
func bad(message string) error {
	return application(&ledger.Error{Code: ledger.CodeInvalid, Detail: message}, http.StatusBadRequest, message)
}

// taken is a 409.
func taken(message string) error {
	return application(&ledger.Error{Code: ledger.CodeConflict, Detail: message}, http.StatusConflict, message)
}

// notFound is the framework's answer for a path that it has no route for.
func notFound() error {
	return framework(&ledger.Error{Code: ledger.CodeNotFound}, http.StatusNotFound, "Not Found")
}

// Render answers with err as the original does. A conflict tells the original's clients, which repeat blindly, not to.
func Render(x *handlers.Exchange, err error) {
	e := handlers.AsError(err)
	x.SetErrorHeaders(e)
	var r *refusal
	if !errors.As(err, &r) {
		r = rendered(x, e)
	}
	if r.status == http.StatusConflict {
		noRetry(x)
	}
	_ = x.WriteJSON(r.status, r.body) // it marshals
}

// rendered is the refusal of what the ledger or the server says.
func rendered(x *handlers.Exchange, e *ledger.Error) *refusal {
	status := handlers.StatusOf(e.Code)
	switch e.Code {
	case handlers.CodeMethod:
		x.Header()["Allow"] = []string{firstMethod(x.Header().Get("Allow"))}
		return &refusal{e, status, frameworkError{"Method Not Allowed"}}
	case ledger.CodeUnauthenticated:
		return &refusal{e, status, frameworkError{"Unauthorized"}}
	case ledger.CodeInternal:
		return &refusal{e, status, applicationError{Message: "Internal Server Error", Code: status}}
	}
	return &refusal{e, status, applicationError{Message: e.Detail, Code: status}}
}

// firstMethod is the method of the first route of a path, of all that the path answers.
func firstMethod(allowed string) string {
	if strings.Contains(allowed, http.MethodPost) {
		return http.MethodPost
	}
	return http.MethodGet
}

// noRetry tells the original's clients not to repeat the request on their own.
func noRetry(x *handlers.Exchange) { x.Header()["X-Should-Retry"] = []string{"false"} }
