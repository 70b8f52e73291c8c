package webhooks

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

const (
	// standstill is how long an event waits that cannot be tried for a reason of this node, or of the endpoint's state.
	standstill = time.Minute
	// early is how much before its time an event may be tried.
	early = time.Second
	// grace is how long attempts may go on when the node ends.
	grace = 3 * time.Second
)

// deliver tries to deliver an event that the queue has handed over. An error of its own is no attempt.
func (d *Dispatcher) deliver(ctx context.Context, id uuid.UUID, h *ledger.Handover) (done bool, again time.Duration) {
	w, ok, err := d.State.Webhook(ctx, id)
	switch {
	case err != nil:
		return false, pause
	case !ok || !w.Wants(h.Message.Type):
		return true, 0
	case !w.DisabledAt.IsZero():
		return false, standstill
	}
	var before ledger.Delivery
	if h.Repeat {
		if before, _, err = d.Queue.Noted(ctx, id, h.Message.Sequence); err != nil {
			return false, pause
		}
		if before.State == ledger.Delivered || before.State == ledger.Dead {
			return true, 0 // it was done, and the queue was not told
		}
		if wait := before.NextAt.Sub(d.Now()); wait > early {
			return false, wait
		}
	}
	return d.attempt(ctx, &w, &h.Message, before.Attempts)
}

// attempt makes the attempt after others at an event, and notes how it went.
func (d *Dispatcher) attempt(ctx context.Context, w *ledger.Webhook, m *events.Message, before int) (done bool, again time.Duration) {
	e, err := d.Service.Decode(m)
	if err == nil {
		var body []byte
		if body, err = events.AppendCloudEvent(make([]byte, 0, 1024), &e, d.source); err == nil {
			var r result
			if r, err = d.send(ctx, w, e.ID.String(), body); err == nil {
				return d.settle(ctx, w, d.delivery(m, before+1, &r), &r)
			}
		}
	}
	var unknown *events.UnknownError
	switch {
	case errors.Is(err, context.Canceled): // this node ends
		return false, 0
	case errors.As(err, &unknown): // of a newer program, on a node of which it may be delivered
		d.Logger.Warn("an event waits for a newer program to deliver it", "webhook", w.ID, "error", err)
	default:
		d.Logger.Error("an event cannot be sent", "webhook", w.ID, "sequence", m.Sequence, "error", err)
	}
	return false, standstill
}

// send sends, and goes on for a moment when ctx ends.
func (d *Dispatcher) send(ctx context.Context, w *ledger.Webhook, id string, body []byte) (result, error) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	defer stop()
	r, err := d.sender.send(sending, w, id, body)
	if err == nil && r.status == 0 && sending.Err() != nil {
		err = context.Canceled
	}
	return r, err
}

// delivery is what there is to note of an attempt.
func (d *Dispatcher) delivery(m *events.Message, attempts int, r *result) *ledger.Delivery {
	out := &ledger.Delivery{
		Sequence: m.Sequence,
		EventID:  m.ID,
		Type:     m.Type,
		State:    ledger.Delivered,
		Attempts: attempts,
		Status:   r.status,
		Error:    r.failure,
		At:       r.at.UTC(),
		Took:     r.took,
	}
	switch {
	case r.delivered():
	case attempts > len(d.Schedule):
		out.State = ledger.Dead
	default:
		out.State = ledger.Retrying
		out.NextAt = out.At.Add(max(jitter(d.Schedule[attempts-1]), r.retryAfter))
	}
	return out
}

// jitter is d, give or take a tenth, so that what failed together does not come back together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// settle notes how an attempt went and tells what the queue is to do.
func (d *Dispatcher) settle(ctx context.Context, w *ledger.Webhook, out *ledger.Delivery, r *result) (done bool, again time.Duration) {
	ctx = context.WithoutCancel(ctx) // it has happened
	d.metrics.attempt(out)
	if out.AtOnce() {
		d.mu.Lock()
		d.latest[w.ID] = *out
		d.mu.Unlock()
		return true, 0
	}
	err := d.Queue.Note(ctx, w.ID, out)
	if err != nil {
		d.metrics.unnoted.Inc()
	}
	switch {
	case out.State == ledger.Delivered:
		return true, 0
	case r.status == http.StatusGone:
		d.disable(ctx, w)
		return false, standstill
	case out.State == ledger.Retrying:
		return false, out.NextAt.Sub(d.Now())
	}
	return err == nil, standstill // a dead letter that was not noted would be lost
}

// disable ends deliveries to an endpoint that says it is gone.
func (d *Dispatcher) disable(ctx context.Context, w *ledger.Webhook) {
	call := ledger.Call{Principal: ledger.Principal{Actor: "system", Scopes: ledger.ScopeWebhooks}}
	if _, err := d.Service.DisableWebhook(ctx, &call, w.ID, "the endpoint answered 410 Gone"); err != nil {
		d.Logger.Warn("a webhook that is gone could not be disabled", "webhook", w.ID, "error", err)
	}
}
