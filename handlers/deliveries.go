package handlers

import (
	"encoding/binary"
	"math"
	"net/http"
	"strconv"

	"keyledger/ledger"
)

// listDeliveries is GET /v1/webhooks/{id}/deliveries: what became of events, those noted first before the others.
func (a *api) listDeliveries(x *Exchange) error {
	return a.deliveries(x, func(*ledger.Delivery) bool { return true })
}

// listDeadLetters is GET /v1/webhooks/{id}/dead-letters: the events that were tried for the last time.
func (a *api) listDeadLetters(x *Exchange) error {
	return a.deliveries(x, func(d *ledger.Delivery) bool { return d.State == ledger.Dead })
}

// deliveries answers one page of notes. It reads a bounded number of them: a page may hold fewer than asked for, even none,
// and still have a next one.
func (a *api) deliveries(x *Exchange, shown func(*ledger.Delivery) bool) error {
	limit, err := x.Query.limit()
	if err != nil {
		return err
	}
	w, err := a.webhook(x)
	if err != nil {
		return err
	}
	here := list(x.route.Path, w.ID.String(), x.Query)
	place, err := a.cursors.open(here, x.Query["cursor"])
	if err != nil {
		return err
	}
	after := uint64(0)
	if len(place) == 8 {
		after = binary.BigEndian.Uint64(place)
	}
	notes, err := a.queue.Deliveries(x.Context(), w.ID, after, ledger.MaxPage)
	if err != nil {
		return unqueued(err)
	}
	b := append(x.Body, `{"data":[`...)
	var next []byte
	found := 0
	for i := range notes {
		if found == limit {
			break
		}
		if next = nil; i+1 < len(notes) || len(notes) == ledger.MaxPage {
			next = binary.BigEndian.AppendUint64(nil, notes[i].Place)
		}
		if !shown(&notes[i]) {
			continue
		}
		if found++; found > 1 {
			b = append(b, ',')
		}
		b = appendDelivery(b, &notes[i])
	}
	x.Body = a.appendNext(b, here, next)
	return nil
}

func unqueued(err error) error {
	return &ledger.Error{Code: ledger.CodeUnavailable, Detail: "deliveries cannot be looked up now", Err: err}
}

func appendDelivery(b []byte, d *ledger.Delivery) []byte {
	b = append(b, `{"sequence":`...)
	b = strconv.AppendUint(b, d.Sequence, 10)
	b = append(b, `,"event_id":`...)
	b = appendString(b, d.EventID.String())
	b = append(b, `,"type":`...)
	b = appendString(b, "keyledger."+string(d.Type))
	b = append(b, `,"state":`...)
	b = appendString(b, string(d.State))
	b = appendUintMember(b, `,"attempts":`, uint64(d.Attempts))
	b = appendAttempt(b, d)
	b = appendTimeMember(b, `,"next_attempt_at":null`, d.NextAt)
	return append(b, '}')
}

// appendAttempt appends the members that tell of the last attempt.
func appendAttempt(b []byte, d *ledger.Delivery) []byte {
	if d.Status == 0 {
		b = append(b, `,"status":null`...)
	} else {
		b = appendUintMember(b, `,"status":`, uint64(d.Status))
	}
	b = appendStringMember(b, `,"error":null`, d.Error)
	b = appendTimeMember(b, `,"at":null`, d.At)
	return appendUintMember(b, `,"duration_ms":`, uint64(d.Took.Milliseconds()))
}

// replayWebhook is POST /v1/webhooks/{id}/replay: 202, and the dead letters of a range are tried once more.
func (a *api) replayWebhook(x *Exchange) error {
	var in struct {
		From *int64 `json:"from"`
		To   *int64 `json:"to"`
	}
	if err := x.DecodeOptional(&in); err != nil {
		return err
	}
	w, err := a.webhook(x)
	if err != nil {
		return err
	}
	first, last := int64(1), int64(math.MaxInt64)
	if in.From != nil {
		first = *in.From
	}
	if in.To != nil {
		last = *in.To
	}
	switch {
	case first < 1:
		return invalid("from", "it must be a sequence: a whole number from 1")
	case last < first:
		return invalid("to", "it must not be before from")
	case !w.DisabledAt.IsZero():
		return &ledger.Error{Code: ledger.CodeConflict, Detail: "the webhook is disabled: enable it first"}
	}
	n, err := a.hooks.Replay(x.Context(), &w, uint64(first), uint64(last))
	if err != nil {
		return unqueued(err)
	}
	x.Status = http.StatusAccepted
	x.Body = append(appendUintMember(x.Body, `{"replayed":`, uint64(n)), '}', '\n')
	return nil
}
