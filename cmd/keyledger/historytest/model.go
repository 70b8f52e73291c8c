package historytest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// patience bounds the search for an order that explains the operations on one key at one node.
const patience = 30 * time.Second

// register is what a key is: the state that the operations on it explain.
type register struct {
	exists, revoked bool
	name            string
	secret          int
}

// Check looks for answers that no order of the operations explains. A node shows a write that it has answered itself by then,
// and a write of another node at the latest staleness after that has answered it. So for each key and each node there
// must be one order of all writes and of what that node has answered, in which every write takes effect at one moment
// between its call and that limit, and every answer is right.
func (h *History) Check(staleness time.Duration) error {
	ops := h.Ops()
	byKey := map[string][]Op{}
	nodes := map[int]bool{}
	for _, op := range ops {
		if op.Outcome == Foreign {
			return fmt.Errorf("an answer that no node may give:\n%v", &op)
		}
		byKey[op.Key] = append(byKey[op.Key], op)
		nodes[op.Node] = true
	}
	var errs []error
	for key, ops := range byKey {
		for node := range nodes {
			if err := checkKey(ops, node, staleness); err != nil {
				errs = append(errs, fmt.Errorf("key %s at node %d: %w", key, node+1, err))
			}
		}
	}
	return errors.Join(append(errs, inOrder(ops))...)
}

// checkKey checks the operations on one key as one node shows them.
func checkKey(ops []Op, node int, staleness time.Duration) error {
	var seen []porcupine.Operation
	for _, op := range ops {
		elsewhere := op.Node != node
		switch {
		case op.Outcome == Refused, op.Outcome == Unknown && op.Kind == Verify:
			continue // it tells nothing
		case elsewhere && op.Outcome != Done && op.Outcome != Kept && op.Outcome != Unknown:
			continue // it tells of the view of another node
		}
		end := op.Return
		if op.Outcome == Kept || op.Outcome == Unknown {
			end = never // it may be stored whenever, or not at all: then nothing comes after it
		}
		if elsewhere && end != never {
			end += staleness
		}
		seen = append(seen, porcupine.Operation{ClientId: op.Client, Input: op, Call: int64(op.Call), Return: int64(end)})
	}
	switch porcupine.CheckOperationsTimeout(model(), seen, patience) {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return fmt.Errorf("no order explains these answers:\n%s", lines(ops))
	default:
		return fmt.Errorf("not decided within %v: %d operations", patience, len(ops))
	}
}

// model is the sequential specification of a key.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, input, _ any) (bool, any) {
			op := input.(Op)
			return step(state.(register), &op)
		},
	}
}

// step tells whether a key that is r may answer so, and what it is afterwards.
func step(r register, op *Op) (bool, register) {
	switch op.Outcome {
	case Good:
		return r.exists && !r.revoked && r.secret == op.Secret && r.name == op.Name, r
	case Ended:
		return r.exists && r.revoked, r
	case Absent:
		return !r.exists || (op.Kind == Verify && r.secret != op.Secret), r
	case Unknown: // or not: a write that never took effect comes last
		_, r = write(r, op)
		return true, r
	default:
		return write(r, op)
	}
}

// write tells whether a key that is r can be written so, and what it is then; else it stays what it is.
func write(r register, op *Op) (bool, register) {
	if r.exists == (op.Kind == Create) || (r.revoked && op.Kind != Revoke) {
		return false, r
	}
	switch op.Kind {
	case Create:
		r = register{exists: true, name: op.Name, secret: op.Secret}
	case Update:
		r.name = op.Name
	case Rotate:
		r.secret = op.Secret
	case Revoke: // a repeat is no error
		r.revoked = true
	}
	return true, r
}

// inOrder checks that a write that began after another one was answered has a later event: the ledger is one.
func inOrder(ops []Op) error {
	var done []*Op
	for i := range ops {
		if ops[i].Outcome == Done {
			done = append(done, &ops[i])
		}
	}
	answered := slices.SortedFunc(slices.Values(done), func(a, b *Op) int { return cmp.Compare(a.Return, b.Return) })
	slices.SortFunc(done, func(a, b *Op) int { return cmp.Compare(a.Call, b.Call) })
	var highest *Op // of those that were answered before the call
	for _, op := range done {
		for ; answered[0].Return < op.Call; answered = answered[1:] {
			if highest == nil || answered[0].Sequence > highest.Sequence {
				highest = answered[0]
			}
		}
		if highest != nil && op.Sequence <= highest.Sequence && op.Kind != Revoke { // a repeated one has the event of the first
			return fmt.Errorf("a write has an earlier event than one that was answered before it began:\n%v\n%v", highest, op)
		}
	}
	return nil
}

// lines shows operations in the order of their calls.
func lines(ops []Op) string {
	ops = slices.SortedFunc(slices.Values(ops), func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for i := range ops {
		fmt.Fprintln(&b, &ops[i])
	}
	return b.String()
}
