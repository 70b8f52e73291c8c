package ledger

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"keyledger/events"
)

// Bounds of Reads. A read that waits takes about 300 bytes.
const (
	mostReads     = 1 << 14          // that wait; beyond that reads are refused
	readsPatience = 10 * time.Second // for which the log may take nothing before reads are refused
	readsTimeout  = 5 * time.Second  // of storing a batch
)

// Reads records who read what, about once a second or 500 reads as one message. A read is answered when it waits to be
// stored: so a crash loses the last second of them. It is refused when it could not be stored for long: when too many
// wait, or when the log has taken nothing for 10 s.
type Reads struct {
	log      ReadLog
	interval time.Duration
	full     chan struct{} // has room for one signal that a batch is full

	mu      sync.Mutex
	waiting []events.Read
	failing time.Time // since when the log takes nothing; zero: it does
	stats   ReadStats

	batch []byte // that is being stored, of the first reads that wait; the same bytes until they are
	size  int    // reads in it
}

// ReadStats are counters since the start, and what waits now.
type ReadStats struct {
	Recorded uint64 // reads that were stored
	Refused  uint64 // reads that were refused, as they could not be recorded
	Failed   uint64 // attempts to store a batch
	Waiting  int    // reads
}

// NewReads gives Reads that store in log every interval (1 s when 0) while Run runs.
func NewReads(log ReadLog, interval time.Duration) *Reads {
	if interval == 0 {
		interval = flushInterval
	}
	return &Reads{log: log, interval: interval, full: make(chan struct{}, 1)}
}

// Stats returns the counters.
func (r *Reads) Stats() ReadStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Waiting = len(r.waiting)
	return s
}

// Record takes a read to be stored. An error says that it cannot be recorded, and must not be answered: CodeUnavailable.
func (r *Reads) Record(read *events.Read) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) >= mostReads || !r.failing.IsZero() && time.Since(r.failing) > readsPatience {
		r.stats.Refused++
		return &Error{Code: CodeUnavailable, Detail: "reads are audited here, and this one cannot be recorded now", RetryAfter: retryAfter}
	}
	r.waiting = append(r.waiting, *read)
	if len(r.waiting) >= events.MaxReads {
		select {
		case r.full <- struct{}{}:
		default:
		}
	}
	return nil
}

// Run stores until ctx ends, and a last time then: its error is that of the last time, with the reads lost.
func (r *Reads) Run(ctx context.Context) error {
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	whole := context.WithoutCancel(ctx) // a batch that is under way is not given up
	for full := r.full; ; {
		select {
		case <-ctx.Done():
			return r.flush(whole)
		case <-tick.C:
		case <-full:
		}
		full = r.full
		if r.flush(whole) != nil { // counted in Stats; what it could not store, the next one will
			full = nil
		}
	}
}

// flush stores what waits.
func (r *Reads) flush(ctx context.Context) error {
	for {
		if err := r.take(); err != nil || r.size == 0 {
			return err
		}
		if err := r.store(ctx); err != nil {
			return err
		}
	}
}

// take makes a batch of the first reads that wait, unless there is one that was not stored: that is tried again as it is,
// so that the log can tell that it has it already.
func (r *Reads) take() (err error) {
	if r.size > 0 {
		return nil
	}
	r.mu.Lock()
	first := r.waiting[:min(len(r.waiting), events.MaxReads)] // which nobody else changes
	r.mu.Unlock()
	if len(first) > 0 {
		r.batch, err = events.EncodeReads(first)
	}
	r.size = len(first)
	return err
}

func (r *Reads) store(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readsTimeout)
	defer cancel()
	err := r.log.AppendReads(ctx, r.batch)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.stats.Failed++
		if r.failing.IsZero() {
			r.failing = time.Now()
		}
		return fmt.Errorf("ledger: store %d reads: %w", len(r.waiting), err)
	}
	r.failing = time.Time{}
	r.stats.Recorded += uint64(r.size)
	r.waiting = slices.Delete(r.waiting, 0, r.size)
	r.batch, r.size = nil, 0
	return nil
}
