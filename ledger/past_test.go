package ledger_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// The moment of a time is the longest beginning without a later one, whatever the clocks of nodes did.
func TestMomentAtOfAnyClocks(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rapid.Check(t, func(rt *rapid.T) {
		log := ledgertest.NewLog()
		times := make([]int, rapid.IntRange(0, 300).Draw(rt, "events"))
		for i := range times {
			times[i] = 1 + i/10
		}
		for range min(len(times), rapid.IntRange(0, 5).Draw(rt, "wrong")) {
			times[rapid.IntRange(0, len(times)-1).Draw(rt, "event")] = rapid.IntRange(0, 40).Draw(rt, "time")
		}
		for _, after := range times {
			appendAgent(rt, log, start.Add(time.Duration(after)*time.Second))
		}
		s := ledger.New(ledger.Config{Log: log, State: ledgertest.Follow(t, log, time.Now)})
		for after := -1; after <= 41; after++ {
			at := start.Add(time.Duration(after)*time.Second + 300*time.Nanosecond)
			want := slices.IndexFunc(times, func(other int) bool { return other > after })
			if want < 0 {
				want = len(times)
			}
			m, err := s.MomentAt(t.Context(), at)
			if err != nil || m.Sequence != uint64(want) || !m.Time.Equal(at) {
				rt.Fatalf("%d: %+v, %v, want sequence %d", after, m, err, want)
			}
		}
	})
}

// appendAgent appends an event that bears a time.
func appendAgent(t *rapid.T, log *ledgertest.Log, at time.Time) {
	id := uuid.New()
	e := events.Event{
		Header:  events.Header{ID: id, Time: at, Actor: "system"},
		Subject: events.AgentSubject("acme", "", id.String()),
		Payload: &events.Agent{ID: id.String(), Name: id.String(), Workspace: "acme"},
	}
	m, err := events.Encode(&e, nil)
	if err == nil {
		_, err = log.Append(context.Background(), ledger.Entry{Message: m})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// remains is a state of the past that tells when it is closed.
type remains struct {
	ledger.State
	events int
	closed func()
}

func (r *remains) Events() int  { return r.events }
func (r *remains) Close() error { r.closed(); return nil }

// archive makes states of the past and knows which of them are not closed, by their last sequence.
type archive struct {
	*ledger.Service
	root  ledger.Principal
	size  int // of each state
	open  map[uint64]bool
	made  int
	fails error
}

func newArchive() *archive {
	a := &archive{open: make(map[uint64]bool), size: 1, root: ledger.Principal{Actor: "root", Scopes: ledger.ScopeAll}}
	a.Service = ledger.New(ledger.Config{PastEvents: 100, Replay: a.replay})
	return a
}

func (a *archive) replay(_ context.Context, b ledger.Beginning) (ledger.PastState, error) {
	if a.fails != nil {
		return nil, a.fails
	}
	a.made++
	a.open[b.Until] = true
	return &remains{events: a.size, closed: func() { delete(a.open, b.Until) }}, nil
}

// read uses the state of a sequence.
func (a *archive) read(t *testing.T, sequence uint64) *ledger.Past {
	t.Helper()
	p, err := a.Past(&a.root, ledger.ScopeRead, ledger.Owner{Workspace: "acme"}, ledger.Moment{Sequence: sequence})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Made()
	if _, err := p.Service(); err != nil {
		t.Fatal(err)
	}
	return p
}

// A state of the past is kept for two minutes after its last use. The time is that of a bubble: no sleep takes any.
func TestPastIsKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArchive()
		for range 5 {
			a.read(t, 7).Close()
			time.Sleep(100 * time.Second)
		}
		if a.made != 1 {
			t.Errorf("made %d times", a.made)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(a.open) != 0 {
			t.Errorf("kept after two minutes: %v", a.open)
		}
		used := a.read(t, 7)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(a.open) != 1 {
			t.Error("closed while it is used")
		}
		used.Close()
		a.Close()
		if len(a.open) != 0 {
			t.Error("not closed at the end")
		}
	})
}

func TestPastsThatAreKeptAreFew(t *testing.T) {
	a := newArchive()
	defer a.Close()
	first := a.read(t, 1)
	for n := uint64(2); n <= 20; n++ {
		a.read(t, n).Close()
	}
	if !a.open[1] {
		t.Error("closed while it is used")
	}
	if first.Close(); a.open[1] {
		t.Error("not closed after its last use")
	}
	if len(a.open) != 8 || !a.open[20] || !a.open[13] {
		t.Errorf("kept: %v", a.open)
	}
	a.size = 60
	a.read(t, 30).Close()
	if len(a.open) != 8 {
		t.Errorf("kept beside one of 60 events: %v", a.open)
	}
	a.read(t, 31).Close()
	if len(a.open) != 1 || !a.open[31] {
		t.Errorf("kept beside two of 60 events: %v", a.open)
	}
}

// What could not be made is made again, and nobody else is held up by it.
func TestPastThatFails(t *testing.T) {
	a := newArchive()
	defer a.Close()
	for _, c := range []struct {
		err  error
		code ledger.Code
	}{{ledger.ErrUnavailable, ledger.CodeUnavailable}, {ledger.ErrTooLong, ledger.CodeInvalid}, {errors.New("broken"), ledger.CodeInternal}} {
		a.fails = c.err
		p, err := a.Past(&a.root, ledger.ScopeRead, ledger.Owner{}, ledger.Moment{Sequence: 5})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Made()
		if _, err := p.Service(); ledger.CodeOf(err) != c.code {
			t.Errorf("%v: %v", c.err, err)
		}
		p.Close()
	}
	a.fails = nil
	a.read(t, 5).Close()
	_, err := a.Past(&a.root, ledger.ScopeRead, ledger.Owner{}, ledger.Moment{Sequence: 101})
	if ledger.CodeOf(err) != ledger.CodeInvalid {
		t.Errorf("beyond the bound: %v", err)
	}
}
