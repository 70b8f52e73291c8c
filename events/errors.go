package events

import "fmt"

// UnknownError tells that an event has a type, or a version of it, that this program does not know: a newer program
// wrote it. A reader stops there; it never skips.
type UnknownError struct {
	Sequence uint64
	Type     Type
	Version  int
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("events: message %d is a %q of version %d, which this program does not know: a newer one wrote it",
		e.Sequence, e.Type, e.Version)
}

// DecodeError tells that a message of a known type and version is not an encoded event.
type DecodeError struct {
	Sequence uint64
	Type     Type
	Err      error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("events: message %d is not a valid %q: %v", e.Sequence, e.Type, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }
