package handlers

import (
	"context"
	"strconv"
	"time"

	"keyledger/ledger"
)

// moment is the moment that the parameters at and at_seq say; asked false when there is none: the present.
func (a *api) moment(x *Exchange) (m ledger.Moment, asked bool, err error) {
	_, byTime := x.Query["at"]
	_, bySequence := x.Query["at_seq"]
	if !byTime && !bySequence {
		return m, false, nil
	}
	if byTime && bySequence {
		return m, true, invalid("at_seq", "there is at already: give one of them")
	}
	ctx, cancel := x.limited()
	defer cancel()
	if byTime {
		at, err := x.Query.moment("at")
		if err != nil {
			return m, true, err
		}
		m, err = a.service.MomentAt(ctx, at)
		return m, true, err
	}
	sequence, err := x.Query.sequence("at_seq", 0)
	if err != nil {
		return m, true, err
	}
	m, err = a.service.MomentOf(ctx, sequence)
	return m, true, err
}

// asOf lets answer append its body by reads of the present or, if the query says a moment, of the ledger as of then. A
// client that accepts NDJSON is told meanwhile how far that is: the answer is the last line.
func (a *api) asOf(x *Exchange, answer func(then *api) error) error {
	m, asked, err := a.moment(x)
	if err != nil {
		return err
	}
	if !asked {
		return answer(a)
	}
	if streamType(x.Request.Header["Accept"]) != ndjson {
		return a.replayed(x.Context(), x, m, func(uint64, uint64) {}, answer)
	}
	x.Header()["Content-Type"] = []string{ndjson}
	x.Stream = func(ctx context.Context, out *Outlet) error {
		out.bounded = true
		err := a.replayed(ctx, x, m, func(done, total uint64) {
			b := append([]byte(`{"progress":{"done":`), strconv.FormatUint(done, 10)...)
			b = append(append(b, `,"of":`...), strconv.FormatUint(total, 10)...)
			out.Put(append(b, "}}\n"...))
			_ = out.Flush() // the error comes again
		}, answer)
		if err != nil {
			return err
		}
		out.Put(x.Body)
		x.Body = nil
		return out.Flush()
	}
	return nil
}

// replayed lets answer append its body by reads as of a moment.
func (a *api) replayed(ctx context.Context, x *Exchange, m ledger.Moment, progress func(done, total uint64),
	answer func(then *api) error) error {
	service, release, err := a.service.Past(ctx, &x.Principal, m, progress)
	if err != nil {
		return err
	}
	defer release()
	then := *a
	then.service, then.now = service, func() time.Time { return m.Time }
	return answer(&then)
}
