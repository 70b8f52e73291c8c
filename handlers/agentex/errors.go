package agentex

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"keyledger/handlers"
	"keyledger/handlers/fastapi"
	"keyledger/ledger"
)

// The two shapes of a refusal that are not FastAPI's: the application's, and that of an input which is not valid.
type (
	applicationError struct {
		Message string `json:"message"`
		Code    int    `json:"code"`
		Data    any    `json:"data"`
	}
	validationError struct {
		StatusCode int       `json:"status_code"`
		Message    string    `json:"message"`
		Data       any       `json:"data"`
		Detail     []problem `json:"detail"`
	}
	problem struct {
		Loc  []fastapi.Value `json:"loc"`
		Msg  string          `json:"msg"`
		Type string          `json:"type"`
	}
)

// validationCode is the code of the original for an input that is not valid.
const validationCode = 10422

// errFramework marks an error that FastAPI answers by itself, in its own shape.
var errFramework = errors.New("agentex: refused by the framework")

func framework(code ledger.Code, detail string) error {
	return &ledger.Error{Code: code, Detail: detail, Err: errFramework}
}

// notFound is the framework's answer for a path that it has no route for.
func notFound() error { return framework(ledger.CodeNotFound, "Not Found") }

// The refusals of the application, in its words: 404 for what is not there or not for this caller, 400 and 409.
func absent(message string) error { return &ledger.Error{Code: ledger.CodeNotFound, Detail: message} }
func bad(message string) error    { return &ledger.Error{Code: ledger.CodeInvalid, Detail: message} }
func taken(message string) error  { return &ledger.Error{Code: ledger.CodeConflict, Detail: message} }

// wrong is the refusal of an input, nil when there are no problems.
func wrong(problems ...fastapi.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &ledger.Error{Code: ledger.CodeInvalid, Err: fastapi.Problems(problems)}
}

// refused is the refusal of a value by the ledger, told as the original's validators would.
func refused(why string, place ...string) error {
	return wrong(fastapi.BadValue(fastapi.Place(place...), "it "+why, fastapi.Value{}))
}

// Render answers with err as the original does. A conflict tells the original's clients, which repeat blindly, not to.
func Render(x *handlers.Exchange, err error) {
	e := handlers.AsError(err)
	x.SetErrorHeaders(e)
	status, detail := handlers.StatusOf(e.Code), ""
	var problems fastapi.Problems
	switch {
	case errors.As(err, &problems):
		_ = x.WriteJSON(http.StatusUnprocessableEntity, invalid(problems)) // it marshals
		return
	case errors.Is(err, errFramework):
		detail = e.Detail
	case e.Code == handlers.CodeMethod:
		detail = "Method Not Allowed"
		x.Header()["Allow"] = []string{firstMethod(x.Header().Get("Allow"))}
	case e.Code == ledger.CodeUnauthenticated:
		detail = "Unauthorized"
	case e.Code == ledger.CodeInternal:
		e = &ledger.Error{Detail: "Internal Server Error"}
	case status == http.StatusConflict:
		noRetry(x)
	}
	if detail == "" {
		_ = x.WriteJSON(status, applicationError{Message: e.Detail, Code: status}) // it marshals
		return
	}
	x.Status = status
	x.Body = append(fastapi.AppendDetail(x.Body, detail), '\n')
}

// invalid is the answer to an input that is not valid. It repeats none of the values, which may be secrets.
func invalid(problems fastapi.Problems) *validationError {
	out := &validationError{StatusCode: validationCode}
	texts := make([]string, len(problems))
	for i, p := range problems {
		out.Detail = append(out.Detail, problem{p.Loc, p.Msg, p.Type})
		place := make([]string, len(p.Loc))
		for j, part := range p.Loc {
			place[j] = cmp.Or(part.Text(), string(part.Append(nil)))
		}
		texts[i] = strings.Join(place, ".") + ": " + p.Msg
	}
	count := " validation error: "
	if len(problems) > 1 {
		count = " validation errors: "
	}
	out.Message = strconv.Itoa(len(problems)) + count + strings.Join(texts, "; ")
	return out
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
