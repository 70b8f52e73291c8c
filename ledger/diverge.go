package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Of what a State had seen before a start, so many of the last messages are read again before anything is served; older
// ones afterwards, in steps with a pause after each, so that it hardly costs what is served meanwhile.
const (
	checkedAtStart = 1 << 14
	checkedAtOnce  = 1 << 10
	checkPause     = 50 * time.Millisecond
)

// Check holds the ledger against the last heads that were signed, by this node and by others: it fails with ErrDiverged
// when the log is shorter than one or has another root. It also reads the last of what the State had seen before this start
// (its Position then) again, and all of that, to name the first message that differs, when a root does. The State has
// caught up with the log.
func (h *Heads) Check(ctx context.Context, seen uint64) error {
	cut, wrong := h.checkHeads(ctx)
	if wrong != nil && !errors.Is(wrong, ErrDiverged) {
		return wrong
	}
	from := uint64(1)
	if wrong == nil && seen > checkedAtStart {
		from = seen - checkedAtStart + 1
	}
	last, err := h.config.Log.Last(ctx)
	if err != nil {
		return err
	}
	seen = min(seen, last)
	switch err := h.compare(ctx, from, seen, 0); {
	case err != nil:
		return err
	case wrong == nil, cut:
		return wrong
	case seen == 0:
		return fmt.Errorf("%w; which event differs cannot be told: the views, which would know, were built anew from this log", wrong)
	default:
		return fmt.Errorf("%w; the first event that differs comes after %d, up to which all are as this node has seen them", wrong, seen)
	}
}

// CheckRest reads what Check has not read again, at leisure.
func (h *Heads) CheckRest(ctx context.Context, seen uint64) error {
	if seen <= checkedAtStart {
		return nil
	}
	return h.compare(ctx, 1, seen-checkedAtStart, checkPause)
}

// checkHeads holds the tree against the last head that this node has kept, and the last one that is stored with the log.
// cut tells that the log ends before one of them.
func (h *Heads) checkHeads(ctx context.Context) (cut bool, err error) {
	kept, err := h.config.Kept()
	if err != nil {
		return false, err
	}
	stored, _, err := h.config.Heads.LastHead(ctx)
	if err != nil {
		return false, err
	}
	for _, text := range [][]byte{kept, stored} {
		if text == nil {
			continue
		}
		head, err := h.open(text)
		if err != nil {
			return false, err
		}
		last, err := Reached(ctx, h.config.Log, head.Size, h.config.Patience) // after the heads were read: other nodes go on
		if err != nil {
			return false, err
		}
		if head.Size > last {
			return true, fmt.Errorf("%w: it ends at event %d, and a head of %d events was signed: those from %d on are gone",
				ErrDiverged, last, head.Size, last+1)
		}
		if err := h.config.State.WaitFor(ctx, head.Size); err != nil {
			return false, err
		}
		if err := h.agree(&head); err != nil {
			return false, err
		}
	}
	return false, nil
}

// errCompared ends a tail.
var errCompared = errors.New("ledger: compared")

// compare reads messages again and fails with ErrDiverged at the first that is not the leaf that the tree has.
func (h *Heads) compare(ctx context.Context, from, to uint64, pause time.Duration) error {
	if from > to {
		return nil
	}
	read := uint64(0)
	err := h.config.Log.Tail(ctx, from, func(b Batch) error {
		b.Messages = b.Until(to)
		if err := h.compareBatch(b); err != nil {
			return err
		}
		from += uint64(len(b.Messages))
		if from > to {
			return errCompared
		}
		if read += uint64(len(b.Messages)); pause == 0 || read < checkedAtOnce {
			return nil
		}
		read = 0
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			return nil
		}
	})
	if errors.Is(err, errCompared) {
		return nil
	}
	return err
}

func (h *Heads) compareBatch(b Batch) error {
	indexes := make([]int64, len(b.Messages))
	for i := range b.Messages {
		indexes[i] = tlog.StoredHashIndex(0, int64(b.Messages[i].Sequence-1))
	}
	hashes, err := h.config.State.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i := range b.Messages {
		if m := &b.Messages[i]; leafHash(m) != hashes[i] {
			return fmt.Errorf("%w: event %d is another one than was seen before", ErrDiverged, m.Sequence)
		}
	}
	return nil
}
