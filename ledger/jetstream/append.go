package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"keyledger/ledger"
)

// maxEntries is how many messages one atomic batch may hold (ADR-50), and so one commit.
const maxEntries = 1000

// commit is one append on its way: its entries are stored together or not at all.
type commit struct {
	entries  []ledger.Entry
	messages []*nats.Msg
	state    atomic.Int32 // queued, then taken or left
	done     chan result  // of one result
}

// States of a commit.
const (
	queued int32 = iota
	taken        // by the committer: it will be answered
	left         // by its caller before it was taken: nothing is stored
)

// result is the outcome of a commit: the sequence of its last entry.
type result struct {
	sequence uint64
	err      error
}

// Append implements ledger.Log. A context that ends while the append waits in the queue withdraws it; once it was
// sent, Append returns when its outcome is known, or ledger.ErrUnavailable after some seconds.
func (l *Log) Append(ctx context.Context, entries ...ledger.Entry) (uint64, error) {
	start := time.Now()
	sequence, err := l.append(ctx, entries)
	l.metrics.appended(time.Since(start), err)
	return sequence, err
}

func (l *Log) append(ctx context.Context, entries []ledger.Entry) (uint64, error) {
	if err := checkEntries(entries); err != nil {
		return 0, err
	}
	l.spend(entries)
	if err := l.writable(); err != nil {
		return 0, err
	}
	if l.pending.Add(1) > int64(l.options.Queue) {
		l.pending.Add(-1)
		return 0, ledger.ErrOverloaded
	}
	defer l.pending.Add(-1)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c := newCommit(entries)
	if err := l.committer.submit(c); err != nil {
		return 0, err
	}
	select {
	case r := <-c.done:
		return r.sequence, r.err
	case <-ctx.Done():
		if c.state.CompareAndSwap(queued, left) {
			return 0, ctx.Err()
		}
	case <-l.stopped:
	}
	select {
	case r := <-c.done:
		return r.sequence, r.err
	case <-l.stopped:
		return 0, errClosed
	}
}

// checkEntries refuses what no command may ask for.
func checkEntries(entries []ledger.Entry) error {
	switch n := len(entries); {
	case n == 1:
		return nil
	case n == 0 || n > maxEntries:
		return fmt.Errorf("jetstream: a commit has 1 to %d entries, not %d", maxEntries, n)
	}
	subjects, ids := make(map[string]struct{}, len(entries)), make(map[uuid.UUID]struct{}, len(entries))
	for i := range entries {
		subjects[entries[i].Message.Subject] = struct{}{}
		ids[entries[i].Message.ID] = struct{}{}
	}
	if len(subjects) < len(entries) || len(ids) < len(entries) {
		return errors.New("jetstream: the entries of a commit must have distinct subjects and event ids")
	}
	return nil
}

// headerBytes is about what the header of a message takes.
const headerBytes = 512

// spend takes the room that entries need on the disk of an embedded server. A body in a batch is written twice.
func (l *Log) spend(entries []ledger.Entry) {
	if l.options.Server == nil {
		return
	}
	bytes := 0
	for i := range entries {
		bytes += 2 * (headerBytes + len(entries[i].Message.Data))
	}
	l.options.Server.spend(bytes)
}

// errClosed: the log was closed.
var errClosed = fmt.Errorf("%w: closed", ledger.ErrUnavailable)

// newCommit makes a commit of entries. It keeps nothing that the caller may change.
func newCommit(entries []ledger.Entry) *commit {
	c := &commit{
		entries: slices.Clone(entries),
		done:    make(chan result, 1),
	}
	for i := range c.entries {
		c.entries[i].Message.Data = slices.Clone(c.entries[i].Message.Data)
	}
	c.encode()
	return c
}

// encode makes the messages of the entries.
func (c *commit) encode() {
	c.messages = make([]*nats.Msg, len(c.entries))
	for i := range c.entries {
		c.messages[i] = outgoing(&c.entries[i])
	}
}

// take makes the commit the committer's, unless its caller has left.
func (c *commit) take() bool { return c.state.CompareAndSwap(queued, taken) }

// answer ends the commit.
func (c *commit) answer(sequence uint64, err error) { c.done <- result{sequence, err} }
