package ledger

import (
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
	CodeOverloaded      Code = "overloaded"  // the append queue is full
	CodeUnavailable     Code = "unavailable" // the log cannot take or give events now
	CodeStale           Code = "stale"       // too long cut off from the log to answer
	CodeInternal        Code = "internal"
)

// Error is the one error type that crosses layers. Detail is for the caller, Err for the log; Detail never holds a
// secret or what a foreign owner has.
type Error struct {
	Code       Code
	Field      string // of the input, dotted, for CodeInvalid
	Detail     string
	RetryAfter time.Duration // for CodeOverloaded and CodeUnavailable
	Err        error
}

func (e *Error) Error() string { panic("not implemented") }
func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of err: CodeInternal for an error that is not an *Error.
func CodeOf(err error) Code { panic("not implemented") }
