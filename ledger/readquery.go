package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// ReadQuery selects recorded reads. Zero fields select all.
type ReadQuery struct {
	Actor string    // key id of a principal, or its name
	Key   uuid.UUID // that was read by itself
	From  time.Time // the first time
	Until time.Time // the first time that is too late

	After ReadPlace
	Limit int // 1 to MaxPage
}

// ReadPlace is a place among the recorded reads: after the first Index of a batch and all of the batches before it. The zero
// ReadPlace is before all.
type ReadPlace struct {
	Batch uint64
	Index int
}

// ReadPage is a page of recorded reads, in the order in which they were stored. It may have fewer than the limit, even none,
// and still have a next one.
type ReadPage struct {
	Reads []events.Read
	Next  ReadPlace
	More  bool // there may be reads after Next
}

// Bounds of a page of reads.
const (
	readBatches    = 128  // that are read from the log at once
	maxReadBatches = 1024 // that are looked through for a page
)

// readsLate is how long after a read its batch may be stored: longer than nodes live that cannot store it. clocksApart is how
// much earlier it may seem to be, by another clock.
const (
	readsLate   = 24 * time.Hour
	clocksApart = 5 * time.Minute
)

// Reads returns one page of the recorded reads: scope ledger:audit, and a principal without an owner.
func (s *Service) Reads(ctx context.Context, p *Principal, q *ReadQuery) (ReadPage, error) {
	if err := Allow(p, ScopeAudit, &Owner{}); err != nil {
		return ReadPage{}, forbidden("the audit of reads needs the scope %s and a key without an owner", ScopeAudit)
	}
	if err := s.holds(ctx, p, ScopeAudit); err != nil {
		return ReadPage{}, err
	}
	if err := checkLimit(q.Limit); err != nil {
		return ReadPage{}, err
	}
	if s.reads == nil {
		return ReadPage{}, nil
	}
	page, err := s.readPage(ctx, q)
	return page, failed(err)
}

func (s *Service) readPage(ctx context.Context, q *ReadQuery) (page ReadPage, err error) {
	at := q.After
	if at == (ReadPlace{}) {
		if at.Batch, err = s.firstReads(ctx, q.From); err != nil {
			return page, err
		}
	}
	for range maxReadBatches / readBatches {
		batches, err := s.reads.ReadBatches(ctx, at.Batch, readBatches)
		if err != nil {
			return page, err
		}
		for i := range batches {
			b := &batches[i]
			if !q.Until.IsZero() && b.StoredAt.After(q.Until.Add(readsLate)) {
				return page, nil
			}
			if b.Sequence > at.Batch {
				at = ReadPlace{Batch: b.Sequence}
			}
			if at.Index, err = q.collect(&page, b, at.Index); err != nil {
				return page, err
			}
			if len(page.Reads) == q.Limit {
				page.Next, page.More = at, true
				return page, nil
			}
			at = ReadPlace{Batch: b.Sequence + 1}
		}
		if len(batches) < readBatches {
			return page, nil
		}
	}
	page.Next, page.More = at, true
	return page, nil
}

// collect adds the reads of a batch that are wanted, but for the first from, until the page is full. It returns how many of
// the batch were looked at.
func (q *ReadQuery) collect(page *ReadPage, b *ReadBatch, from int) (int, error) {
	reads, err := events.DecodeReads(b.Data)
	if err != nil {
		return 0, err
	}
	for i := min(from, len(reads)); i < len(reads); i++ {
		if q.wants(&reads[i]) {
			page.Reads = append(page.Reads, reads[i])
		}
		if len(page.Reads) == q.Limit {
			return i + 1, nil
		}
	}
	return len(reads), nil
}

func (q *ReadQuery) wants(r *events.Read) bool {
	return (q.Actor == "" || q.Actor == r.Actor) &&
		(q.Key == uuid.Nil || q.Key == r.KeyID) &&
		!r.Time.Before(q.From) &&
		(q.Until.IsZero() || r.Time.Before(q.Until))
}

// IsToken tells whether text is a token of a key, or ends as minted ones do: then it is not to be written anywhere.
func (s *Service) IsToken(text string) bool {
	if EndsAsMinted(text) {
		return true
	}
	_, _, ok, err := s.state.KeyByDigest(digest(text))
	return ok || err != nil
}

// firstReads finds the first batch that can have reads of a time or later, by halving.
func (s *Service) firstReads(ctx context.Context, from time.Time) (uint64, error) {
	if from.IsZero() {
		return 1, nil
	}
	last, err := s.reads.LastReads(ctx)
	if err != nil {
		return 0, err
	}
	low, high := uint64(1), last+1
	for low < high {
		middle := low + (high-low)/2
		batches, err := s.reads.ReadBatches(ctx, middle, 1)
		switch {
		case err != nil:
			return 0, err
		case len(batches) == 0 || !batches[0].StoredAt.Before(from.Add(-clocksApart)):
			high = middle
		default:
			low = batches[0].Sequence + 1
		}
	}
	return low, nil
}
