package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// ErrNoAnswer is an attempt without a whole answer: the server cannot be reached, or was lost before it had answered. A
// command may have been done or not; with its idempotency key it can be asked again.
var ErrNoAnswer = errors.New("client: no answer")

// Code classes an Error. Later servers may know more codes.
type Code string

// The codes of the server.
const (
	CodeInvalid         Code = "invalid"              // 400: the input breaks a rule; Field tells where
	CodeUnauthenticated Code = "unauthenticated"      // 401: no token, or one that is not valid
	CodeForbidden       Code = "forbidden"            // 403: the token may not do this
	CodeNotFound        Code = "not_found"            // 404: absent, or outside what the token may see
	CodeConflict        Code = "conflict"             // 409: the state of the key forbids it
	CodePrecondition    Code = "precondition_failed"  // 412: the key has changed since IfSequence
	CodeIdempotency     Code = "idempotency_mismatch" // 422: the idempotency key was used for another body
	CodeBusy            Code = "busy"                 // 429: another list of the past is being made for the token, or too many are
	CodeOverloaded      Code = "overloaded"           // 503: too many requests at once
	CodeUnavailable     Code = "unavailable"          // 503: the ledger cannot be written or read now
	CodeStale           Code = "stale"                // 503: the node is cut off from the ledger
	CodeInternal        Code = "internal"             // 500
)

// Error is a refusal by the server, from its problem document (RFC 9457). An answer that is no problem document, from
// a proxy for example, has Status and Title only.
type Error struct {
	Status     int           `json:"status"` // HTTP status code
	Type       string        `json:"type"`
	Title      string        `json:"title"`
	Detail     string        `json:"detail"`
	Code       Code          `json:"code"`
	Field      string        `json:"field"`      // of the input, dotted, with CodeInvalid
	RequestID  string        `json:"request_id"` // to be found in the server's log
	RetryAfter time.Duration `json:"-"`          // from Retry-After; 0 when absent
}

func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	return fmt.Sprintf("keyledger: %s (%d)", text, e.Status)
}

// newError makes the Error of an answer. body may be anything.
func newError(resp *http.Response, body []byte) *Error {
	e := new(Error)
	if json.Unmarshal(body, e) != nil {
		*e = Error{}
	}
	e.Status = resp.StatusCode
	if e.Title == "" {
		e.Title = http.StatusText(resp.StatusCode)
	}
	if e.RequestID == "" {
		e.RequestID = resp.Header.Get("X-Request-Id")
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
