package handlers

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyledger/ledger"
)

// Codes of refusals that only an API over HTTP knows.
const (
	CodeBodyTooLarge ledger.Code = "body_too_large"
	CodeMediaType    ledger.Code = "unsupported_media_type"
	CodeMethod       ledger.Code = "method_not_allowed"
	CodeRunning      ledger.Code = "idempotency_running" // the first request with this idempotency key is not done yet
	CodeRateLimited  ledger.Code = "rate_limited"        // too many wrong tokens came from the client's address
)

// statusCancelled is what the access line and the metrics say of a request whose client went away (nginx's 499).
const statusCancelled = 499

// StatusOf is the HTTP status of an error code: 500 for one it does not know.
func StatusOf(code ledger.Code) int {
	switch code {
	case ledger.CodeInvalid:
		return http.StatusBadRequest
	case ledger.CodeUnauthenticated:
		return http.StatusUnauthorized
	case ledger.CodeForbidden:
		return http.StatusForbidden
	case ledger.CodeNotFound:
		return http.StatusNotFound
	case CodeMethod:
		return http.StatusMethodNotAllowed
	case ledger.CodeConflict, CodeRunning:
		return http.StatusConflict
	case ledger.CodePrecondition:
		return http.StatusPreconditionFailed
	case ledger.CodeBusy:
		return http.StatusTooManyRequests
	case CodeBodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeMediaType:
		return http.StatusUnsupportedMediaType
	case ledger.CodeIdempotency:
		return http.StatusUnprocessableEntity
	case CodeRateLimited:
		return http.StatusTooManyRequests
	case ledger.CodeOverloaded, ledger.CodeUnavailable, ledger.CodeStale:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// AsError gives the *ledger.Error in err, or makes one of it: the end of a context and everything unknown have a code
// too. What the caller may see is in Code, Field and Detail; the rest is for the access line.
func AsError(err error) *ledger.Error {
	var e *ledger.Error
	switch {
	case errors.Is(err, context.Canceled):
		return &ledger.Error{Code: ledger.CodeUnavailable, Detail: "the request was cancelled", Err: err}
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &ledger.Error{Code: ledger.CodeUnavailable, Detail: "the ledger did not answer in time", Err: err}
	default:
		return &ledger.Error{Code: ledger.CodeInternal, Err: err}
	}
}

// RenderProblem answers with err as a problem document (RFC 9457). It is the Render of the native API.
func RenderProblem(x *Exchange, err error) {
	e := AsError(err)
	x.Status = StatusOf(e.Code)
	detail := e.Detail
	if e.Code == ledger.CodeInternal {
		detail = "something went wrong here; the request id finds it in the log"
	}
	x.SetErrorHeaders(e)
	x.Header()["Content-Type"] = []string{"application/problem+json"}
	x.Body = appendProblem(x.Body[:0], x, e, detail)
}

// SetErrorHeaders sets the headers that go with an error whatever its body looks like: WWW-Authenticate (RFC 6750
// section 3) on 401, Retry-After in whole seconds where trying again makes sense.
func (x *Exchange) SetErrorHeaders(e *ledger.Error) {
	switch StatusOf(e.Code) {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="keyledger"`
		if x.presented {
			challenge += `, error="invalid_token"`
		}
		x.Header()["Www-Authenticate"] = []string{challenge}
	case http.StatusServiceUnavailable:
		x.Header()["Retry-After"] = []string{retryAfter(max(e.RetryAfter, time.Second))}
	default:
		if e.RetryAfter > 0 {
			x.Header()["Retry-After"] = []string{retryAfter(e.RetryAfter)}
		}
	}
}

func retryAfter(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

func appendProblem(b []byte, x *Exchange, e *ledger.Error, detail string) []byte {
	b = append(b, `{"type":"urn:keyledger:problem:`...)
	b = append(b, e.Code...)
	b = append(b, `","title":`...)
	b = appendString(b, title(e.Code))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(x.Status), 10)
	b = append(b, `,"detail":`...)
	b = appendString(b, detail)
	b = append(b, `,"code":`...)
	b = appendString(b, string(e.Code))
	if e.Field != "" {
		b = append(b, `,"field":`...)
		b = appendString(b, e.Field)
	}
	b = append(b, `,"request_id":`...)
	b = appendString(b, x.RequestID)
	return append(b, '}', '\n')
}

// title is the short name of a kind of problem, the same for every occurrence (RFC 9457 section 3.1.3): "not_found"
// becomes "Not found".
func title(code ledger.Code) string {
	return strings.ToUpper(string(code[:1])) + strings.ReplaceAll(string(code[1:]), "_", " ")
}
