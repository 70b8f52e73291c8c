package handlers

import (
	"context"
	"encoding/binary"
	"net/http"
	"strconv"
	"time"

	"keyledger/ledger"
)

const (
	pastPatience = 20 * time.Second       // that an answer without progress waits; within writeTimeout
	pastTold     = 250 * time.Millisecond // between two lines of progress
)

// moment is the moment that the parameters at and at_seq say; nil when there is none: the present.
func (a *api) moment(x *Exchange) (*ledger.Moment, error) {
	p := x.Query
	at, err := p.moment("at")
	if err != nil {
		return nil, err
	}
	sequence, err := p.sequence("at_seq", 0)
	if err != nil {
		return nil, err
	}
	_, bySequence := p["at_seq"]
	if !bySequence && at.IsZero() {
		return nil, nil
	}
	ctx, cancel := x.limited()
	defer cancel()
	var m ledger.Moment
	switch {
	case bySequence && !at.IsZero():
		return nil, invalid("at_seq", "there is at already: give one of them")
	case bySequence:
		m, err = a.service.MomentOf(ctx, sequence)
	default:
		m, err = a.service.MomentAt(ctx, at)
	}
	return &m, err
}

// listing is a page of a list that is asked for, of the present or as of a moment.
type listing struct {
	api    *api
	x      *Exchange
	here   []byte         // the list, for cursors
	place  []byte         // where the page begins; nil: at the start
	moment *ledger.Moment // nil: the present
}

// openList reads which list is asked for. The cursors of a list as of a time hold what was the sequence of that on the first
// page, so that all pages are of one moment.
func (a *api) openList(x *Exchange) (l listing, err error) {
	l = listing{api: a, x: x, here: list(x.route.Path, "", x.Query)}
	if l.place, err = a.cursors.open(l.here, x.Query["cursor"]); err != nil {
		return l, err
	}
	if l.moment, err = a.moment(x); err != nil || l.moment == nil {
		return l, err
	}
	if len(l.place) > 0 {
		if len(l.place) <= 8 {
			return l, invalid("cursor", "it is not a next_cursor of this list with these filters")
		}
		l.moment.Sequence, l.place = binary.BigEndian.Uint64(l.place), l.place[8:]
	}
	return l, nil
}

// now is the time at which the list is looked at.
func (l *listing) now() time.Time {
	if l.moment != nil {
		return l.moment.Time
	}
	return l.api.now()
}

// end ends the body with the cursor of the next page, null when there is none.
func (l *listing) end(b, next []byte) {
	if next != nil && l.moment != nil {
		next = append(binary.BigEndian.AppendUint64(nil, l.moment.Sequence), next...)
	}
	l.x.Body = l.api.appendNext(b, l.here, next)
}

// answer lets page make the body by a read of the present; or by one of the ledger as of the moment, for which scope and
// owner are what the list needs. A client that accepts NDJSON is told meanwhile how far that is.
func (l *listing) answer(scope string, owner ledger.Owner, page func(*ledger.Service) error) error {
	if l.moment == nil {
		return page(l.api.service)
	}
	past, err := l.api.service.Past(&l.x.Principal, scope, owner, *l.moment)
	if err != nil {
		return err
	}
	if l.lines() && l.x.Request.Method != http.MethodHead {
		l.x.Stream = func(ctx context.Context, out *Outlet) error {
			defer past.Close()
			return l.follow(ctx, past, out, page)
		}
		return nil
	}
	defer past.Close()
	ctx, cancel := context.WithTimeout(l.x.Context(), pastPatience)
	defer cancel()
	select {
	case <-past.Made():
		return l.read(past, page)
	case <-ctx.Done():
	}
	if err := l.x.Context().Err(); err != nil {
		return err
	}
	return &ledger.Error{Code: ledger.CodeUnavailable, RetryAfter: time.Second,
		Detail: "the list is still being made: ask again; with Accept: " + ndjson + " you are told how far it is"}
}

// lines tells whether the client wants NDJSON, which the answer is then.
func (l *listing) lines() bool {
	if l.moment == nil || streamType(l.x.Request.Header["Accept"]) != ndjson {
		return false
	}
	l.x.Header()["Content-Type"] = []string{ndjson}
	return true
}

// read makes the body by a read of what was made.
func (l *listing) read(past *ledger.Past, page func(*ledger.Service) error) error {
	service, err := past.Service()
	if err != nil {
		return err
	}
	return page(service)
}

// follow writes lines of progress until the list is made, and then the page, or why there is none.
func (l *listing) follow(ctx context.Context, past *ledger.Past, out *Outlet, page func(*ledger.Service) error) error {
	out.bounded = true
	tick := time.NewTicker(pastTold)
	defer tick.Stop()
	for made := false; !made; {
		select {
		case <-past.Made():
			made = true
			continue
		default:
		}
		out.Put(l.progress(past.Done()))
		if err := out.Flush(); err != nil {
			return err
		}
		select {
		case <-past.Made():
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := l.read(past, page); err != nil {
		out.Put(l.refusal(err))
		l.x.err = err
		return out.Flush()
	}
	out.Put(l.x.Body)
	l.x.Body = nil
	return out.Flush()
}

func (l *listing) progress(done uint64) []byte {
	b := strconv.AppendUint([]byte(`{"progress":{"done":`), done, 10)
	b = strconv.AppendUint(append(b, `,"of":`...), l.moment.Sequence, 10)
	return append(b, "}}\n"...)
}

// refusal is the last line when there is no page: the problem document that would else be the answer.
func (l *listing) refusal(err error) []byte {
	sent := l.x.Status
	defer func() { l.x.Status, l.x.Body = sent, nil }()
	l.x.render(l.x, err)
	problem := l.x.Body[:len(l.x.Body)-1]
	return append(append([]byte(`{"error":`), problem...), "}\n"...)
}
