package ledgertest

import (
	"context"
	"sync/atomic"

	"keyledger/ledger"
)

// Op names a call of a Log.
type Op string

// The calls of a Log. For OpTail and OpTailUsage, every hand-over is a call.
const (
	OpAppend      Op = "append"
	OpTail        Op = "tail"
	OpRead        Op = "read"
	OpScan        Op = "scan"
	OpLast        Op = "last"
	OpAppendUsage Op = "append usage"
	OpTailUsage   Op = "tail usage"
	OpLastUsage   Op = "last usage"
	OpAppendHead  Op = "append head"
	OpLastHead    Op = "last head"
	OpAppendReads Op = "append reads"
	OpReadBatches Op = "read batches"
	OpLastReads   Op = "last reads"
	OpClaim       Op = "claim"
	OpReplace     Op = "replace"
	OpRemove      Op = "remove"
	OpSecret      Op = "secret"
	OpKeep        Op = "keep"
	OpScrub       Op = "scrub"
)

// Fault is what becomes of a call. The zero Fault lets it be.
type Fault struct {
	Err     error // the call fails with it
	Applied bool  // but what it was to do is done first: its answer is lost
}

// Inject asks hook about every call from now on, before it does anything. A hook that waits delays the call; it should
// then heed ctx. nil ends it.
func (l *Log) Inject(hook func(ctx context.Context, op Op) Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hook = hook
}

// FailNext makes the next call of op fail, and the ones after it go well.
func (l *Log) FailNext(op Op, fault Fault) {
	var done atomic.Bool
	l.Inject(func(_ context.Context, called Op) Fault {
		if called == op && done.CompareAndSwap(false, true) {
			return fault
		}
		return Fault{}
	})
}

// Crash ends all tails with ledger.ErrUnavailable and refuses all calls with it, until Restart. What is stored stays.
func (l *Log) Crash() { l.setDown(true) }

// Restart lets calls through again.
func (l *Log) Restart() { l.setDown(false) }

func (l *Log) setDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	l.wake()
}

// Lose removes a message from the log, as a damaged disk does: a tail that comes to it ends with ledger.ErrGap.
func (l *Log) Lose(sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost[sequence] = true
}

// call does what a call of op is to do, under the lock, unless a fault keeps it from that.
func (l *Log) call(ctx context.Context, op Op, do func() error) error {
	fault := l.fault(ctx, op)
	if fault.Err != nil && !fault.Applied {
		return fault.Err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return ledger.ErrUnavailable
	}
	if err := do(); err != nil && fault.Err == nil {
		return err
	}
	return fault.Err
}

func (l *Log) fault(ctx context.Context, op Op) Fault {
	l.mu.Lock()
	hook := l.hook
	l.mu.Unlock()
	if hook == nil {
		return Fault{}
	}
	return hook(ctx, op)
}
