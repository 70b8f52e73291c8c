package imtegrate

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"keyledger/handlers"
	"keyledger/handlers/fastapi"
	"keyledger/ledger"
)

// Render answers with err as FastAPI does: {"detail": …}, a list of problems when it is 422.
func Render(x *handlers.Exchange, err error) {
	var problems fastapi.Problems
	switch {
	case errors.As(err, &problems):
	case errors.Is(err, fastapi.ErrBody):
		refuse(x, http.StatusBadRequest, fastapi.BodyDetail)
		return
	default:
		e := handlers.AsError(err)
		x.SetErrorHeaders(e)
		if problems = headerProblems(x, e); problems == nil {
			refuse(x, handlers.StatusOf(e.Code), detail(e))
			return
		}
	}
	x.Status = http.StatusUnprocessableEntity
	x.Body = append(fastapi.AppendProblems(x.Body, problems), '\n')
}

// coded gives the refusals of FastAPI a code: without one the access line would call them internal.
func coded(handle handlers.Handler) handlers.Handler {
	return func(x *handlers.Exchange) error {
		err := handle(x)
		var problems fastapi.Problems
		if errors.As(err, &problems) || errors.Is(err, fastapi.ErrBody) {
			return &ledger.Error{Code: ledger.CodeInvalid, Err: err}
		}
		return err
	}
}

// refuse answers with one text. A client is told not to send again by itself what would only be refused again.
func refuse(x *handlers.Exchange, status int, detail string) {
	if status == http.StatusConflict {
		x.Header().Set("X-Should-Retry", "false")
	}
	x.Status = status
	x.Body = append(fastapi.AppendDetail(x.Body, detail), '\n')
}

// detail is the text of an error: FastAPI's own where it has one.
func detail(e *ledger.Error) string {
	switch e.Code {
	case handlers.CodeMethod:
		return "Method Not Allowed"
	case ledger.CodeInternal:
		return "Internal Server Error"
	}
	return e.Detail
}

// headerProblems are the problems that e is about a header, nil when it is about something else.
func headerProblems(x *handlers.Exchange, e *ledger.Error) fastapi.Problems {
	name := e.Field
	if e.Code == ledger.CodeIdempotency {
		name = "Idempotency-Key"
	} else if e.Code != ledger.CodeInvalid || name == "" {
		return nil
	}
	place := fastapi.Place("header", strings.ToLower(name))
	return fastapi.Problems{fastapi.BadValue(place, e.Detail, fastapi.Text(x.Request.Header.Get(name)))}
}

// refused is what the ledger says of a create, where it refuses a field or the organization as their problem.
func refused(err error, body fastapi.Value, org string) error {
	var e *ledger.Error
	if !errors.As(err, &e) || e.Code != ledger.CodeInvalid {
		return err
	}
	field, index, _ := strings.Cut(e.Field, ".")
	place, input := fastapi.Place("body", field), fastapi.Text(org)
	switch field {
	case "name", "scopes":
		input, _ = body.Member(field)
	case "org_id":
		place = orgPlace()
	default:
		return err
	}
	if i, err := strconv.Atoi(index); err == nil && i < len(input.Items()) {
		place, input = append(place, fastapi.Int(i)), input.Items()[i]
	}
	return fastapi.Problems{fastapi.BadValue(place, e.Detail, input)}
}
