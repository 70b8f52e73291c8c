package openlayer_test

import (
	"sync/atomic"
	"testing"
	"time"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// The vendor's clients repeat after a 503 by themselves, and send no idempotency key. So they are told not to where the
// repeat of what may have been stored would do harm: a second key, or the end of the grace of the secret in use.
func TestFaults(t *testing.T) {
	overloaded := ledgertest.Fault{Err: ledger.ErrOverloaded}
	unavailable := ledgertest.Fault{Err: ledger.ErrUnavailable}
	lost := ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: true}
	for name, test := range map[string]struct {
		fault ledgertest.Fault
		retry string // X-Should-Retry of a create and a rotation
	}{
		"overloaded": {overloaded, ""}, "unavailable": {unavailable, "false"}, "lost answer": {lost, "false"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, handlerstest.Options{})
			k := w.create(t, "")
			for _, r := range [][4]string{
				{"POST", keysPath, "", test.retry},
				{"POST", k.target + "/rotate", `{"gracePeriodHours":24}`, test.retry},
				{"PUT", k.target, `{"name":"` + name + `"}`, ""},
				{"DELETE", k.target, "", ""},
			} {
				w.Log.(*ledgertest.Log).FailNext(ledgertest.OpAppend, test.fault)
				before := w.Events(t)
				a := w.do(t, r[0], r[1], r[2])
				if refusal(t, &a); a.Status != 503 || a.Header.Get("Retry-After") == "" || a.Header.Get("X-Should-Retry") != r[3] {
					t.Errorf("%s %s: %d %v", r[0], r[1], a.Status, a.Header)
				}
				after := w.Events(t)
				if stored := after > before; stored != test.fault.Applied {
					t.Errorf("%s %s: stored is %v", r[0], r[1], stored)
				}
				// What a command does not know of, the log refuses: the next one is not to meet this one's event.
				if err := w.State.WaitFor(t.Context(), after); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// With an Idempotency-Key the repeat is safe, and gives the secret of the key that was stored.
func TestLostAnswerAskedForAgain(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	w.Log.(*ledgertest.Log).FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: true})
	create := handlerstest.Request{Method: "POST", Target: keysPath, Token: w.token, Header: map[string]string{"Idempotency-Key": "k"}}
	before := w.Events(t)
	lost := w.Do(t, create)
	if lost.Status != 503 || lost.Header.Get("X-Should-Retry") != "" {
		t.Fatalf("%d %v", lost.Status, lost.Header)
	}
	again := w.Do(t, create)
	w.hide(&again)
	if n := w.Events(t) - before; again.Status != 201 || n != 1 || w.verdict(t, theIssued(t, again).secret) != "VALID" {
		t.Errorf("%d, %d events: %s", again.Status, n, again.Body)
	}
}

// deaf is a State that has not heard from the ledger since it was told so.
type deaf struct {
	ledger.State
	told atomic.Bool
}

func (d *deaf) Heard() time.Time {
	if d.told.Load() {
		return time.Time{}
	}
	return d.State.Heard()
}

func TestStale(t *testing.T) {
	state := new(deaf)
	w := newWorld(t, handlerstest.Options{Configure: func(_ *handlers.Config, c *ledger.Config) {
		state.State, c.State = c.State, state
	}})
	state.told.Store(true)
	for _, method := range []string{"GET", "POST"} {
		r := w.Refuses(t, handlerstest.Request{Method: method, Target: keysPath, Token: w.token}, 503)
		if refusal(t, &r); r.Header.Get("Retry-After") == "" || r.Header.Get("X-Should-Retry") != "" {
			t.Errorf("%s: %v", method, r.Header)
		}
	}
}
