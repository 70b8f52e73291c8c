package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
)

// Options say what a Verification is of.
type Options struct {
	From   uint64      // sequence of the first event; 0 is 1
	Before []tlog.Hash // stand for the events before it: see Header
	Source string      // as in Header; only lines of exports are held against it

	// Keys opens personal data, for what lines tell of it to be held against; nil, and where it has no key: what they tell is
	// taken for it, as it is sealed in the leaves.
	Keys events.Opener

	Folder string // for files that it removes again, of what does not fit into memory; empty: the system's for temporary files
	Most   int    // how many keys it remembers in memory, and as many digests, claims and agents; 0: 500,000

	Since *ledger.Head // an earlier head, which the events must be in line with; nil: none
	Now   time.Time    // of this clock; zero: it is asked
	Found func(Finding)
	Count func(events uint64) // is told from time to time how many events were read; nil: nobody is
}

// Verification holds the events of a ledger against its head, an earlier head and the rules of the ledger. It reads each
// event once. What it remembers of keys is in memory up to a bound (see Options.Most), else in files; of the events and the tree
// it remembers nothing that grows.
type Verification struct {
	options Options
	tree    *Tree
	rules   *rules
	next    uint64 // sequence of the last event; the one after it comes next
	since   sinceState
	counts  [2]int // of findings, by severity
}

// sinceState is what became of Options.Since.
type sinceState int

const (
	notSeen sinceState = iota
	agreed
	denied
)

// NewVerification gives a Verification that has read no event yet. Close lets go of its files.
func NewVerification(o Options) (*Verification, error) {
	o.From = max(o.From, 1)
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	tree, err := NewTree(o.From, o.Before)
	if err != nil {
		return nil, err
	}
	v := &Verification{options: o, tree: tree, next: o.From - 1}
	if o.Most == 0 {
		o.Most = 500_000
	}
	v.rules = newRules(o.From > 1, o.Now, &files{parent: o.Folder, most: o.Most}, v.found)
	v.meetSince()
	return v, nil
}

// Close removes the files that it made.
func (v *Verification) Close() error { return v.rules.files.close() }

func (v *Verification) found(f Finding) {
	v.counts[f.Severity]++
	v.options.Found(f)
}

func (v *Verification) wrong(sequence uint64, format string, arguments ...any) {
	v.found(Finding{Severity: Error, Sequence: sequence, Text: fmt.Sprintf(format, arguments...)})
}

// Size is the sequence of the last event that was read.
func (v *Verification) Size() uint64 { return v.tree.Size() }

// Events is how many events were read.
func (v *Verification) Events() uint64 { return v.tree.Size() + 1 - v.options.From }

// Findings is how many there were of a severity.
func (v *Verification) Findings(s Severity) int { return v.counts[s] }

// Read reads all events, decoding on as many processors as there are. An event that cannot be read is a finding, and so is the
// one after a gap; an error of records ends it, and is returned.
func (v *Verification) Read(ctx context.Context, records iter.Seq2[Record, error]) error {
	err := inParallel(ctx, records, v.options.Source, v.options.Keys, func(batch []examined) error {
		for i := range batch {
			if err := v.take(&batch[i]); err != nil {
				return err
			}
		}
		if v.options.Count != nil {
			v.options.Count(v.Events())
		}
		return nil
	})
	if err == nil {
		v.rules.end()
		err = v.rules.files.err
	}
	return err
}

// take takes the next event in.
func (v *Verification) take(x *examined) error {
	v.next++
	if x.unopened {
		return x.eventErr
	}
	switch {
	case x.leafErr != nil:
		v.wrong(v.next, "line %d: %v", x.number, x.leafErr)
	case x.sequence != 0 && x.sequence != v.next:
		v.wrong(x.sequence, "it comes where event %d must", v.next)
		v.next = x.sequence
	}
	if x.leafErr == nil && x.eventErr != nil {
		v.wrong(v.next, "%v", x.eventErr)
	}
	if err := v.tree.Add(x.hash); err != nil {
		return err
	}
	v.meetSince()
	if x.leafErr == nil && x.eventErr == nil {
		v.differs(x)
		v.rules.add(&x.event)
	}
	return v.rules.files.err
}

// differs tells what a line says that its leaf does not.
func (v *Verification) differs(x *examined) {
	if x.difference == nil {
		return
	}
	var d *Difference
	severity := Error
	if errors.As(x.difference, &d) && d.Unknown {
		severity = Warning
	}
	v.found(Finding{Severity: severity, Sequence: x.event.Sequence, Text: x.difference.Error()})
}

// meetSince holds the tree against the earlier head when it has come to that.
func (v *Verification) meetSince() {
	since := v.options.Since
	if since == nil || since.Size != v.tree.Size() {
		return
	}
	root, err := v.tree.Root(since.Size, nil)
	if v.since = agreed; err != nil || root != since.Root {
		v.since = denied
		v.wrong(0, "the first %d events are not those of the earlier head: their root is %s, and was %s", since.Size, root, since.Root)
	}
}

// Hold holds what was read against a head whose signature was verified; after stands for the events after it: see Footer.
func (v *Verification) Hold(head *ledger.Head, after []tlog.Hash) {
	switch root, err := v.tree.Root(head.Size, after); {
	case err != nil:
		v.wrong(0, "the head of %d events cannot be held against the events: %v", head.Size, err)
	case root != head.Root:
		v.wrong(0, "the root of the events is %s, and the signed head of %d events says %s: an event was changed, removed, added or moved",
			root, head.Size, head.Root)
	}
	since := v.options.Since
	if since == nil || v.since != notSeen {
		return
	}
	if since.Size > head.Size {
		v.wrong(0, "the ledger has %d events, and had %d when the earlier head was signed: those from %d on are gone",
			head.Size, since.Size, head.Size+1)
		return
	}
	v.wrong(0, "the earlier head, of %d events, cannot be held against the events from %d to %d: use an export that has that event",
		since.Size, v.options.From, v.tree.Size())
}

// examined is what a worker finds out about a record by itself.
type examined struct {
	number     int
	sequence   uint64 // 0: it is not known
	hash       tlog.Hash
	event      events.Event
	leafErr    error // there is no leaf
	eventErr   error // the leaf is not that of an event
	unopened   bool  // what is sealed in it cannot be opened, which says nothing of it
	difference error // the line says something else than the leaf
}

// isOfEvent tells whether an error of events.Decode says something of the event.
func isOfEvent(err error) bool {
	_, unknown := errors.AsType[*events.UnknownError](err)
	_, damaged := errors.AsType[*events.DecodeError](err)
	return unknown || damaged
}

func examine(buf []byte, r *Record, source string, keys events.Opener) (examined, []byte) {
	x := examined{number: r.Number}
	leaf, err := r.Leaf()
	if err != nil {
		x.leafErr = err
		return x, buf
	}
	x.hash = tlog.RecordHash(leaf)
	m, err := events.ParseLeaf(leaf)
	if err != nil {
		x.eventErr = err
		return x, buf
	}
	x.sequence = m.Sequence
	if x.event, x.eventErr = events.Decode(&m, r.opener(keys)); x.eventErr != nil {
		x.unopened = !isOfEvent(x.eventErr)
		return x, buf
	}
	if r.Line != nil {
		buf, x.difference = r.Compare(buf, leaf, &x.event, source)
	}
	return x, buf
}
