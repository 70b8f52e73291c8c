package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyledger/ledger"
)

const (
	// settleTimeout is how long a commit whose outcome is unknown is worked on.
	settleTimeout = 6 * time.Second
	// settlePause lies between two attempts.
	settlePause = 50 * time.Millisecond
	// settlers is how many commits are settled at a time.
	settlers = 16
)

// settle finds out in the background what became of a commit that was not simply stored, and answers it.
func (l *Log) settle(x *commit, cause error) {
	if full(cause) {
		x.answer(0, unavailable(cause))
		return
	}
	l.metrics.settled.Inc()
	l.settling.Go(func() {
		l.settlers <- struct{}{}
		defer func() { <-l.settlers }()
		x.answer(l.settled(x, cause))
	})
}

// settled repeats a commit until it is known to be stored or refused. That is safe: its guards let it be stored only
// once. It is refused as well when an earlier attempt was stored, so a refusal is settled by reading back. Want of room is no
// answer once an attempt was not answered: other servers may have that one in their logs, and store it later.
func (l *Log) settled(x *commit, cause error) (uint64, error) {
	ctx, cancel := context.WithTimeout(l.context, settleTimeout)
	defer cancel()
	next, unanswered := l.try, !refused(cause)
	if !unanswered {
		next = func(ctx context.Context, x *commit) (uint64, bool, error) { return l.readBack(ctx, x, cause) }
	}
	for {
		sequence, final, err := next(ctx, x)
		if final {
			return sequence, err
		}
		unanswered = unanswered || !refused(err) && !full(err)
		if trouble := l.trouble(); trouble != nil || full(err) && !unanswered {
			err = errors.Join(trouble, err)
			if unanswered {
				return 0, fmt.Errorf("%w: %w", ledger.ErrUnsettled, err)
			}
			return 0, unavailable(err)
		}
		select {
		case <-ctx.Done():
			l.breaker.trip()
			return 0, fmt.Errorf("%w: %w", ledger.ErrUnsettled, err)
		case <-time.After(settlePause):
		}
		next = l.try
	}
}

// try stores a commit by itself and tells whether the outcome is final.
func (l *Log) try(ctx context.Context, x *commit) (sequence uint64, final bool, err error) {
	sequence, err = l.attempt(ctx, x)
	switch {
	case err == nil:
		return sequence, true, nil
	case refused(err):
		return l.readBack(ctx, x, err)
	default:
		return 0, false, err
	}
}

// attempt publishes a commit by itself: as one message, or as a batch of its own.
func (l *Log) attempt(ctx context.Context, x *commit) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	ctx, cancel = l.whileConnected(ctx)
	defer cancel()
	b := newBatch()
	x.encode()
	if len(x.messages) > 1 {
		b.add(x)
	}
	last := len(x.messages) - 1
	for _, m := range x.messages[:last] {
		if err := l.nc.PublishMsg(m); err != nil {
			return 0, err
		}
	}
	if len(x.messages) > 1 {
		x.messages[last].Header[headerBatchCommit] = []string{"1"}
	}
	m, err := l.nc.RequestMsgWithContext(ctx, x.messages[last])
	if err != nil {
		return 0, err
	}
	a, err := parseAck(m)
	return a.Sequence, err
}

// readBack settles a refusal by what the stream holds after each guard.
func (l *Log) readBack(ctx context.Context, x *commit, refusal error) (sequence uint64, final bool, err error) {
	ours := 0
	for i := range x.entries {
		e := &x.entries[i]
		m, err := l.getLeader(ctx, getRequest{Sequence: e.Expect + 1, Next: e.Message.Subject})
		switch {
		case errors.Is(err, errNoMessage):
		case err != nil:
			return 0, false, err
		case m.ID == e.Message.ID:
			ours++
			sequence = m.Sequence
		default: // another command was first
			return 0, true, conflict(refusal)
		}
	}
	switch {
	case ours == len(x.entries):
		return sequence, true, nil
	case ours == 0 && decided(refusal):
		return 0, true, conflict(refusal)
	default: // what refused it is still on its way
		return 0, false, refusal
	}
}

// unavailable and conflict class an error for the caller.
func unavailable(err error) error { return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err) }
func conflict(err error) error    { return fmt.Errorf("%w: %w", ledger.ErrConflict, err) }
