package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code classes an error for whoever renders it.
type Code string

const (
	CodeInvalid         Code = "invalid"             // the input breaks a rule: Field names where
	CodeUnauthenticated Code = "unauthenticated"     // no token, or one that is not valid
	CodeForbidden       Code = "forbidden"           // a valid principal that may not
	CodeNotFound        Code = "not_found"           // absent, or outside the principal's owner
	CodeConflict        Code = "conflict"            // the state forbids it
	CodePrecondition    Code = "precondition_failed" // If-Match was lost
	CodeIdempotency     Code = "idempotency_mismatch"
	CodeBusy            Code = "busy"        // too much of what is expensive is done already, for the caller or for all
	CodeOverloaded      Code = "overloaded"  // the append queue is full
	CodeUnavailable     Code = "unavailable" // the log cannot take or give events now
	CodeStale           Code = "stale"       // too long cut off from the log to answer
	CodeInternal        Code = "internal"
)

// Error is the one error type that crosses layers. Detail is for the caller, Err for the log; Detail never holds a
// secret or what a foreign owner has.
type Error struct {
	Code       Code
	Field      string // of the input, dotted, for CodeInvalid; "name" for a taken name, "expires_at" for a CodeForbidden expiry
	Detail     string
	RetryAfter time.Duration // for CodeBusy, CodeOverloaded, CodeUnavailable and CodeStale
	Err        error
}

// Error is all of it in one line, for the log: callers are shown Code, Field and Detail.
func (e *Error) Error() string {
	s := "ledger: " + string(e.Code)
	if e.Field != "" {
		s += ": " + e.Field
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of err: CodeInternal for an error that is not an *Error, empty for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// retryAfter is what a caller is asked to wait when the log does not take events.
const retryAfter = time.Second

func invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Detail: fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) *Error {
	return &Error{Code: CodeForbidden, Detail: fmt.Sprintf(format, args...)}
}

func conflict(detail string) *Error { return &Error{Code: CodeConflict, Detail: detail} }

func notFound(what string) *Error {
	return &Error{Code: CodeNotFound, Detail: "no such " + what}
}

// failed gives the *Error of what a Log or a State returned. An *Error is passed on.
func failed(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return err
	case errors.Is(err, ErrOverloaded):
		return &Error{Code: CodeOverloaded, Detail: "too many requests are waiting to be stored", RetryAfter: retryAfter, Err: err}
	case errors.Is(err, ErrUnsettled):
		return &Error{Code: CodeUnavailable, RetryAfter: retryAfter, Err: err,
			Detail: "the ledger did not say whether this was stored: look, or ask again with the same Idempotency-Key"}
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrGap):
		return &Error{Code: CodeUnavailable, Detail: "the ledger cannot be reached now", RetryAfter: retryAfter, Err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: CodeUnavailable, Detail: "the ledger did not answer in time", RetryAfter: retryAfter, Err: err}
	}
	return &Error{Code: CodeInternal, Detail: "internal error", Err: err}
}
