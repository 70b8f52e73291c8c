package historytest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"keyledger/client"
)

const staleness = 5 * time.Second

// at gives an operation on the key k from one second to another.
func at(node int, kind Kind, outcome Outcome, call, end float64) Op {
	op := Op{Node: node, Kind: kind, Key: "k", Outcome: outcome, Call: seconds(call), Return: seconds(end), Name: "n"}
	if kind != Verify && outcome == Done {
		op.Sequence = uint64(1000 * call)
	}
	return op
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func named(op Op, name string) Op { op.Name = name; return op }

func secret(op Op, n int) Op { op.Secret = n; return op }

func sequence(op Op, n uint64) Op { op.Sequence = n; return op }

// created is a key that node 0 has made and answered at 1 s.
func created(more ...Op) []Op { return append([]Op{at(0, Create, Done, 0.5, 1)}, more...) }

// TestCheck feeds the checker histories that are right, and such that are not.
func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name string
		ops  []Op
		bad  string // part of the error; empty: the history is right
	}{
		{"valid until it is revoked", created(at(0, Verify, Good, 2, 3), at(0, Revoke, Done, 4, 5), at(0, Verify, Ended, 6, 7)), ""},
		{"valid while it is being revoked", created(at(0, Revoke, Done, 4, 6), at(0, Verify, Good, 4.5, 5)), ""},
		{"valid at the node that has answered the revoke", created(at(0, Revoke, Done, 4, 5), at(0, Verify, Good, 5.1, 6)), "no order"},
		{"valid elsewhere within the staleness", created(at(0, Revoke, Done, 4, 5), at(1, Verify, Good, 9.9, 11)), ""},
		{"valid elsewhere after the staleness", created(at(0, Revoke, Done, 4, 5), at(1, Verify, Good, 10.1, 11)), "no order"},
		{"revoked, then valid, elsewhere", created(at(0, Revoke, Done, 4, 5), at(1, Verify, Ended, 6, 7), at(1, Verify, Good, 8, 9)), "no order"},
		{"revoked by nobody", created(at(0, Verify, Ended, 2, 3)), "no order"},
		{"absent where it was made", created(at(0, Verify, Absent, 2, 3)), "no order"},
		{"absent elsewhere at first", created(at(1, Verify, Absent, 2, 3), at(1, Verify, Good, 4, 5)), ""},
		{"absent elsewhere for too long", created(at(1, Verify, Absent, 6.1, 7)), "no order"},
		{"valid before it is made", []Op{at(0, Create, Done, 2, 3), at(0, Verify, Good, 0.5, 1)}, "no order"},
		{"a lost revoke that was done", created(at(0, Revoke, Unknown, 2, 3), at(0, Verify, Good, 4, 5), at(0, Verify, Ended, 6, 7)), ""},
		{"a lost revoke that was not done", created(at(0, Revoke, Unknown, 2, 3), at(0, Verify, Good, 40, 50)), ""},
		{"a lost revoke that was undone", created(at(0, Revoke, Unknown, 2, 3), at(0, Verify, Ended, 4, 5), at(0, Verify, Good, 6, 7)), "no order"},
		{"a refused update is a read", created(at(0, Update, Ended, 2, 3)), "no order"},
		{"an update that came after the revoke", created(at(0, Revoke, Done, 4, 5), at(1, Update, Done, 6, 7)), "no order"},
		{"an old name after the new one", created(named(at(0, Update, Done, 2, 3), "m"), at(0, Verify, Good, 4, 5)), "no order"},
		{"an old name elsewhere", created(named(at(0, Update, Done, 2, 3), "m"), at(1, Verify, Good, 7.9, 9)), ""},
		{"a name of nobody", created(named(at(0, Verify, Good, 2, 3), "m")), "no order"},
		{"the secret before the rotation", created(secret(at(0, Rotate, Done, 2, 3), 7), at(0, Verify, Good, 4, 5)), "no order"},
		{"the secret of the rotation", created(secret(at(0, Rotate, Done, 2, 3), 7), secret(at(0, Verify, Good, 4, 5), 7), at(0, Verify, Absent, 4, 5)), ""},
		{"a repeated revoke", created(at(0, Revoke, Done, 4, 5), sequence(at(1, Revoke, Done, 6, 7), 4000)), ""},
		{"a later write with an earlier event", created(sequence(at(0, Update, Done, 2, 3), 20)), "earlier event"},
		{"an answer of 500", created(at(0, Verify, Foreign, 2, 3)), "no node may give"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := New()
			for _, op := range test.ops {
				h.Add(op)
			}
			err := h.Check(staleness)
			if (err == nil) != (test.bad == "") || (err != nil && !strings.Contains(err.Error(), test.bad)) {
				t.Errorf("want an error with %q, got %v", test.bad, err)
			}
		})
	}
}

// event gives the event of a write of the key k.
func event(sequence uint64, kind Kind, request, name string) client.Event {
	return client.Event{
		Sequence: sequence, Type: typeOf(kind), Subject: "k", RequestID: request, Data: json.RawMessage(fmt.Sprintf(`{"name":%q}`, name)),
	}
}

// TestSettle compares ledgers with a history: such that hold it, and such that do not.
func TestSettle(t *testing.T) {
	created, updated, revoked := event(2, Create, "a", "n"), event(3, Update, "b", "m"), event(5, Revoke, "e", "")
	for _, test := range []struct {
		name   string
		events []client.Event
		bad    string
	}{
		{"right", []client.Event{created, updated, revoked}, ""},
		{"with one that was not answered", []client.Event{created, updated, event(4, Update, "c", "o"), revoked}, ""},
		{"cut short", []client.Event{created, updated}, "answered with 5 is lost"},
		{"another one in its place", []client.Event{created, event(3, Update, "c", "o"), revoked}, "answered with 3 is lost"},
		{"another key", []client.Event{created, updated, {Sequence: 5, Type: revoked.Type, Subject: "l", RequestID: "e", Data: revoked.Data}}, "as another one"},
		{"another name", []client.Event{created, event(3, Update, "b", "o"), revoked}, "as another one"},
		{"another sequence", []client.Event{created, updated, event(6, Revoke, "e", "")}, "as another one"},
		{"out of order", []client.Event{created, revoked, updated}, "comes after"},
		{"done twice", []client.Event{created, updated, event(4, Update, "b", "m"), revoked}, "of one request"},
		{"one that was refused", []client.Event{created, updated, event(4, Update, "d", "p"), revoked}, "refused is stored"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := New()
			for i, op := range []Op{
				sequence(at(0, Create, Done, 0, 1), 2),
				named(sequence(at(0, Update, Done, 2, 3), 3), "m"),
				named(at(0, Update, Unknown, 4, 5), "o"),
				named(at(0, Update, Refused, 4, 5), "p"),
				sequence(at(0, Revoke, Done, 6, 7), 5),
				sequence(at(1, Revoke, Done, 8, 9), 5),
			} {
				op.ID = string(rune('a' + i))
				h.Add(op)
			}
			err := h.Settle(test.events)
			if (err == nil) != (test.bad == "") || (err != nil && !strings.Contains(err.Error(), test.bad)) {
				t.Errorf("want an error with %q, got %v", test.bad, err)
			}
			if err == nil && h.Check(staleness) != nil {
				t.Error(h.Check(staleness))
			}
		})
	}
}
