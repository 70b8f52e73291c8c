package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// ErrLedger is what a reader ends with when the ledger does not hold what was read from it before: it is another one, or
// an older copy.
var ErrLedger = errors.New("client: the ledger is another one than before, or an older copy of it")

// errStop ends a session because nothing more is wanted.
var errStop = errors.New("client: stop")

// place is how far a reader is in the ledger.
type place struct {
	next uint64    // the first sequence that is wanted; 0: from now on
	last uint64    // of the last event that was read, 0 when there was none
	id   uuid.UUID // of that event
}

// from is the sequence to ask for: that of the last event again, which shows that the ledger is the same one.
func (p *place) from() uint64 {
	if p.last > 0 {
		return p.last
	}
	return p.next
}

// pass moves on to an event. fresh is false for the one that was asked for again. Its error is ErrLedger when that is
// another one, or did not come.
func (p *place) pass(sequence uint64, id uuid.UUID, again *bool) (fresh bool, err error) {
	if *again {
		*again = false
		if sequence != p.last || id != p.id {
			return false, final(ErrLedger)
		}
		return false, nil
	}
	if sequence <= p.last {
		return false, fmt.Errorf("client: event %d follows event %d", sequence, p.last)
	}
	p.next, p.last, p.id = sequence+1, sequence, id
	return true, nil
}

// finalError is one that a new session would end with too.
type finalError struct{ err error }

func (f *finalError) Error() string { return f.err.Error() }
func (f *finalError) Unwrap() error { return f.err }

func final(err error) error { return &finalError{err} }

// settled is the error of a request as a final one if it is not for the moment.
func settled(err error) error {
	var refused *Error
	if passing(err) || !errors.As(err, &refused) && !errors.Is(err, ErrNoAnswer) {
		return err
	}
	if refused != nil && refused.Status == http.StatusConflict {
		return final(fmt.Errorf("%w: %w", ErrLedger, err))
	}
	return final(err)
}

// resume runs one session after another until one ends for good, with its error, or ctx does. lost is told why a session
// was lost.
func resume(ctx context.Context, at *place, session func(context.Context) error, lost func(error)) error {
	for attempt := 0; ; attempt++ {
		before := *at
		err := session(ctx)
		var end *finalError
		switch {
		case errors.Is(err, errStop):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &end):
			return end.err
		}
		if *at != before {
			attempt = 0
		}
		lost(err)
		if !pause(ctx, backoff(attempt, err)) {
			return ctx.Err()
		}
	}
}
