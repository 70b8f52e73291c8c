package ledger

import (
	"context"
	"testing"
)

// closing is a state of the past that tells when it is let go of.
type closing struct {
	State
	sequence uint64
	closed   map[uint64]bool
}

func (c closing) Close() error { c.closed[c.sequence] = true; return nil }

// replays makes states that are empty.
func replays(closed map[uint64]bool) Replay {
	return func(_ context.Context, until uint64, _ func(done, total uint64)) (PastState, error) {
		return closing{sequence: until, closed: closed}, nil
	}
}

func ask(t *testing.T, c *pasts, caller string, sequence uint64) (release func()) {
	t.Helper()
	_, release, err := c.get(t.Context(), caller, sequence, nil)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// The states used last are kept; one that is dropped is closed when its last user is done, not before.
func TestPastsKeepTheLast(t *testing.T) {
	closed := make(map[uint64]bool)
	c := newPasts(replays(closed))
	first := ask(t, c, "a", 1)
	again := ask(t, c, "b", 1)
	ask(t, c, "a", 2)()
	ask(t, c, "a", 3)() // and drops 1, which is in use
	if len(closed) != 0 {
		t.Fatalf("closed: %v", closed)
	}
	if first(); closed[1] {
		t.Error("closed while it is used")
	}
	if again(); !closed[1] {
		t.Error("not closed when its last user was done")
	}
	ask(t, c, "a", 2)() // so 3 is the one used least lately
	if ask(t, c, "a", 4)(); closed[2] || !closed[3] {
		t.Errorf("closed: %v", closed)
	}
	if c.close(); !closed[2] || !closed[4] {
		t.Errorf("closed at the end: %v", closed)
	}
}

// A state that nobody used for long is let go of, one in use is not.
func TestPastsExpire(t *testing.T) {
	closed := make(map[uint64]bool)
	c := newPasts(replays(closed))
	release := ask(t, c, "a", 1)
	p := c.kept[0]
	if c.expire(p); closed[1] {
		t.Error("closed while it is used")
	}
	release()
	if c.expire(p); !closed[1] || len(c.kept) != 0 {
		t.Errorf("closed: %v, kept: %d", closed, len(c.kept))
	}
}

// One replay runs at a time, one for a caller; who is refused is told to come again.
func TestPastsAreBounded(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	empty := replays(make(map[uint64]bool))
	c := newPasts(func(ctx context.Context, until uint64, progress func(done, total uint64)) (PastState, error) {
		began <- struct{}{}
		<-goOn
		return empty(ctx, until, progress)
	})
	ended := make(chan error, mostReplays)
	replay := func(caller string, sequence uint64) {
		_, _, err := c.get(t.Context(), caller, sequence, nil)
		ended <- err
	}
	go replay("a", 1)
	<-began
	if _, _, err := c.get(t.Context(), "a", 2, nil); CodeOf(err) != CodeOverloaded {
		t.Errorf("a second one for the same caller: %v", err)
	}
	for _, caller := range []string{"b", "c", "d"} {
		if err := c.enter(caller); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.get(t.Context(), "e", 2, nil); CodeOf(err) != CodeOverloaded {
		t.Errorf("one too many: %v", err)
	}
	c.leave("b")
	go replay("b", 1)
	goOn <- struct{}{}
	for range 2 { // the second takes what the first has made
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestPastOfTooLongALedger(t *testing.T) {
	s := New(Config{})
	root := &Principal{Scopes: Scopes(ScopeAll)}
	if _, _, err := s.Past(t.Context(), root, Moment{Sequence: mostReplayed + 1}, nil); CodeOf(err) != CodeInvalid {
		t.Errorf("%v", err)
	}
}
