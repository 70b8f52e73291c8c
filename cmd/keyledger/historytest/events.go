package historytest

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"keyledger/client"
)

// never is when an operation returned that was not answered.
const never = time.Duration(math.MaxInt64)

// Settle compares the whole ledger, as one node shows it when it has come to rest, with the history: each write that was
// answered has its event, none has two, and one that was refused has none. Of the writes whose outcome was not known it then
// is. Sequences may be missing, as claims are shown to nobody: that none is lost is for an audit to find.
func (h *History) Settle(events []client.Event) error {
	l := ledger{by: map[string]*client.Event{}, at: map[uint64]*client.Event{}}
	for i := range events {
		if err := l.add(&events[i]); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.ops {
		if err := l.settle(&h.ops[i]); err != nil {
			return fmt.Errorf("%w; the ledger ends at %d:\n%v", err, l.last, &h.ops[i])
		}
	}
	return nil
}

// ledger is the events of a ledger.
type ledger struct {
	by   map[string]*client.Event // by the request that asked for it
	at   map[uint64]*client.Event // by sequence
	last uint64
}

func (l *ledger) add(e *client.Event) error {
	if e.Sequence <= l.last {
		return fmt.Errorf("the event %d comes after %d", e.Sequence, l.last)
	}
	l.last, l.at[e.Sequence] = e.Sequence, e
	if e.RequestID == "" {
		return nil
	}
	if other := l.by[e.RequestID]; other != nil {
		return fmt.Errorf("the events %d and %d are of one request: %s", other.Sequence, e.Sequence, e.Data)
	}
	l.by[e.RequestID] = e
	return nil
}

// settle compares an operation with its event.
func (l *ledger) settle(op *Op) error {
	e := l.by[op.ID]
	switch {
	case op.Kind == Verify:
		return nil
	case op.Outcome == Done && op.Kind == Revoke && e == nil: // it was revoked before
		if e = l.at[op.Sequence]; e == nil {
			return fmt.Errorf("the write that was answered with %d is lost", op.Sequence)
		}
		return matches(op, e)
	case (op.Outcome == Done || op.Outcome == Kept) && e == nil:
		return fmt.Errorf("the write that was answered with %d is lost", op.Sequence)
	case op.Outcome == Done:
		return matches(op, e)
	case op.Outcome == Kept, op.Outcome == Unknown && e != nil:
		op.Outcome, op.Return, op.Key, op.Sequence = Done, never, e.Subject, e.Sequence
		return matches(op, e)
	case op.Outcome == Unknown:
		op.Outcome = Refused
	case e != nil:
		return fmt.Errorf("a write that was refused is stored as %d", e.Sequence)
	}
	return nil
}

// matches tells whether an event is that of a write that is done.
func matches(op *Op, e *client.Event) error {
	var data struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return err
	}
	named := op.Kind != Create && op.Kind != Update || data.Name == op.Name
	if e.Type != typeOf(op.Kind) || e.Subject != op.Key || e.Sequence != op.Sequence || !named {
		return fmt.Errorf("a write is stored as another one: %d %s %s %s", e.Sequence, e.Type, e.Subject, e.Data)
	}
	return nil
}

// typeOf is the type of the event of a write.
func typeOf(kind Kind) string {
	return map[Kind]string{
		Create: "keyledger.key.created", Update: "keyledger.key.updated", Rotate: "keyledger.key.rotated", Revoke: "keyledger.key.revoked",
	}[kind]
}
