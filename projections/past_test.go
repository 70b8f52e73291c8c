package projections_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// Before never leaves more than it says, whatever the clocks of nodes did, also after a restart.
func TestBeforeOfAnyClocks(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rapid.Check(t, func(rt *rapid.T) {
		log, fs := ledgertest.NewLog(), vfs.NewMem()
		var times []int
		for range 2 {
			for _, after := range clocks(rt) {
				appendAt(rt, log, start.Add(time.Duration(after)*time.Second))
				times = append(times, after)
			}
			v, err := projections.Open(projections.Options{FS: fs})
			if err != nil {
				rt.Fatal(err)
			}
			r := run(rt, v, log)
			r.catchUp(rt, 0)
			for after := -1; after <= 41; after++ {
				got, err := v.Before(t.Context(), start.Add(time.Duration(after)*time.Second+300*time.Nanosecond))
				longest := 0
				for longest < len(times) && times[longest] <= after {
					longest++
				}
				if err != nil || got > uint64(longest) || got+8 <= uint64(longest) {
					rt.Fatalf("before %d: %d, %v, of %d events up to then", after, got, err, longest)
				}
			}
			r.stop()
			if err := v.Close(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// clocks draws the seconds at which some events are decided: most by clocks that go right, some by others.
func clocks(t *rapid.T) []int {
	times := make([]int, rapid.IntRange(0, 200).Draw(t, "events"))
	for i := range times {
		times[i] = 1 + i/10
	}
	for range rapid.IntRange(0, 5).Draw(t, "wrong") {
		if len(times) > 0 {
			times[rapid.IntRange(0, len(times)-1).Draw(t, "event")] = rapid.IntRange(0, 40).Draw(t, "time")
		}
	}
	return times
}

// appendAt appends an event that bears a time.
func appendAt(t tb, log *ledgertest.Log, at time.Time) {
	id := uuid.New()
	m, err := events.Encode(&events.Event{
		Header:  events.Header{ID: id, Time: at, Actor: "system"},
		Subject: events.AgentSubject("acme", "", id.String()),
		Payload: &events.Agent{ID: id.String(), Name: id.String(), Workspace: "acme"},
	}, nil)
	if err == nil {
		_, err = log.Append(t.Context(), ledger.Entry{Message: m})
	}
	if err != nil {
		t.Fatalf("append: %v", err)
	}
}

// beginning is what of a ledger a past is made of.
func beginning(filter string, until uint64, most int) ledger.Beginning {
	return ledger.Beginning{Filter: filter, Until: until, Most: most, Progress: func(uint64) {}}
}

func TestPastOfLongLedgers(t *testing.T) {
	log := ledgertest.NewLog()
	for range 2500 { // some pages
		appendAt(t, log, time.Now())
	}
	for _, until := range []uint64{0, 1, 999, 1000, 1001, 2000, 2500} {
		for _, filter := range []string{">", "ledger.acme.*.*.*"} {
			var told uint64
			b := beginning(filter, until, int(until))
			b.Progress = func(sequence uint64) { told = sequence }
			p, err := projections.Past(t.Context(), log, nil, b)
			if err != nil {
				t.Fatal(err)
			}
			if p.Events() != int(until) || p.Position() != until || told != until {
				t.Errorf("%s until %d: %d events, at %d, told %d", filter, until, p.Events(), p.Position(), told)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if until == 0 {
				continue
			}
			if _, err := projections.Past(t.Context(), log, nil, beginning(filter, until, int(until)-1)); !errors.Is(err, ledger.ErrTooLong) {
				t.Errorf("%s until %d, one too many: %v", filter, until, err)
			}
		}
	}
	if _, err := projections.Past(t.Context(), log, nil, beginning(">", 2501, 9999)); !errors.Is(err, ledger.ErrGap) {
		t.Errorf("beyond the end: %v", err)
	}
	cut := &holed{Log: log, hole: 1500}
	if _, err := projections.Past(t.Context(), cut, nil, beginning(">", 2500, 9999)); !errors.Is(err, ledger.ErrGap) {
		t.Errorf("with a hole: %v", err)
	}
}

// holed is a log whose scans pass over a message, as those of JetStream pass over a damaged one.
type holed struct {
	*ledgertest.Log
	hole uint64
}

// Scan implements ledger.Log.
func (h *holed) Scan(ctx context.Context, filter string, from uint64, limit int) ([]events.Message, error) {
	list, err := h.Log.Scan(ctx, filter, from, limit+1)
	list = slices.DeleteFunc(list, func(m events.Message) bool { return m.Sequence == h.hole })
	return list[:min(len(list), limit)], err
}
