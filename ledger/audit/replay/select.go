package replay

import (
	"iter"
	"time"

	"keyledger/events"
)

// Selection is what is told of a replay. Zero fields select all.
type Selection struct {
	Workspace string
	Org       string
	Agent     string
	Key       string    // id of a key
	From      uint64    // the first sequence that is told; what is before it is folded only
	To        uint64    // the last sequence
	At        time.Time // what the ledger held then: the events before the first one that was decided later
}

// ends tells that e and what follows it is not wanted.
func (s *Selection) ends(e *events.Event) bool {
	return s.To > 0 && e.Sequence > s.To || !s.At.IsZero() && e.Time.After(s.At)
}

func (s *Selection) has(r *Record) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return r.Event.Sequence >= s.From && (s.Key == "" || r.isKey && s.Key == r.Subject) &&
		is(s.Workspace, r.Owner.Workspace) && is(s.Org, r.Owner.Org) && is(s.Agent, r.Owner.AgentID)
}

// Writer writes records in one form.
type Writer interface {
	// Write writes a record.
	Write(r *Record) error
	// Close writes what comes at the end. It does not close what is written to.
	Close() error
}

// Run tells of the events that are selected. seen is called after each event; it returns how many records there were.
func (r *Replay) Run(source iter.Seq2[events.Event, error], s *Selection, w Writer, seen func(sequence uint64)) (uint64, error) {
	var count uint64
	for e, err := range source {
		if err != nil {
			return count, err
		}
		if s.ends(&e) {
			break
		}
		rec, err := r.Next(&e)
		if err != nil {
			return count, err
		}
		if rec != nil && s.has(rec) {
			if rec.ActorName, err = r.ActorName(rec); err != nil {
				return count, err
			}
			if err := w.Write(rec); err != nil {
				return count, err
			}
			count++
		}
		seen(e.Sequence)
	}
	return count, w.Close()
}
