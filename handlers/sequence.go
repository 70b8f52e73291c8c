package handlers

import (
	"context"
	"strconv"
	"time"

	"keyledger/ledger"
)

// sequenceWait is how long a request waits for this node's views to reach its Keyledger-Min-Sequence.
const sequenceWait = 2 * time.Second

// awaitSequence waits until the views hold the Keyledger-Min-Sequence of the request, if it has one, and notes how far
// they are. So a client that sends back the highest Keyledger-Sequence it was given reads its own writes on every node.
func (x *Exchange) awaitSequence() error {
	state := x.server.config.State
	if values := x.Request.Header["Keyledger-Min-Sequence"]; len(values) > 0 {
		n, err := strconv.ParseUint(values[0], 10, 64)
		if err != nil || len(values) > 1 {
			return &ledger.Error{Code: ledger.CodeInvalid, Field: "Keyledger-Min-Sequence",
				Detail: "the header is not one whole number"}
		}
		if n > state.Position() {
			if err := waitFor(x.Context(), state, n); err != nil {
				return err
			}
		}
	}
	x.Saw(state.Position())
	return nil
}

func waitFor(ctx context.Context, state ledger.State, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, sequenceWait)
	defer cancel()
	err := state.WaitFor(ctx, sequence)
	if ctx.Err() == context.DeadlineExceeded {
		return &ledger.Error{Code: ledger.CodeUnavailable, Err: err,
			Detail: "this node has not reached sequence " + strconv.FormatUint(sequence, 10) + " yet"}
	}
	return err
}
