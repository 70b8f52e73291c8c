package jetstream_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// small are options of a log whose other streams need little room.
func small(s *jetstream.Server) jetstream.Options {
	return jetstream.Options{Server: s, UsageBytes: 1 << 20, MemoBytes: 1 << 20, DeliveryBytes: 1 << 20}
}

// fillUp appends until the log is unavailable and stays so for a second, in which it is asked again and again, and notes what was
// acknowledged.
func fillUp(t *testing.T, l *jetstream.Log, acked map[uuid.UUID]uint64) {
	t.Helper()
	for again := true; again; { // what is left is measured a few times a second
		appendUntil(t, l, acked)
		again = false
		for deadline := time.Now().Add(time.Second); !again && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			again = l.Healthy(t.Context()) == nil
		}
	}
}

// appendUntil appends from several goroutines until the log is unavailable, and notes what was acknowledged.
func appendUntil(t *testing.T, l *jetstream.Log, acked map[uuid.UUID]uint64) {
	t.Helper()
	var mu sync.Mutex
	var running sync.WaitGroup
	for range 32 {
		running.Go(func() {
			for {
				e := entry()
				e.Message.Data = make([]byte, 16<<10)
				sequence, err := l.Append(t.Context(), e)
				if errors.Is(err, ledger.ErrUnavailable) {
					return
				}
				if err != nil {
					t.Errorf("append: %v, want ErrUnavailable", err)
					return
				}
				mu.Lock()
				acked[e.Message.ID] = sequence
				mu.Unlock()
			}
		})
	}
	running.Wait()
}

// holds checks that every acknowledged event is in the log, once, where it was said to be.
func holds(t *testing.T, l *jetstream.Log, acked map[uuid.UUID]uint64) {
	t.Helper()
	last, err := l.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range collect(t, l, 1, int(last)) {
		sequence, ok := acked[m.ID]
		if ok && sequence != m.Sequence {
			t.Fatalf("event %s was acknowledged as %d and is %d", m.ID, sequence, m.Sequence)
		}
		if ok {
			found++
		}
	}
	if found != len(acked) {
		t.Fatalf("%d of %d acknowledged events are there", found, len(acked))
	}
}

// TestFullStore fills a store up to its bound: appends become unavailable, reading goes on, nothing acknowledged is
// lost, and with a larger bound it goes on.
func TestFullStore(t *testing.T) {
	dir := t.TempDir()
	acked := make(map[uuid.UUID]uint64)
	for _, megabytes := range []int64{24, 32} {
		s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir, MaxBytes: megabytes << 20, Reserve: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l, err := jetstream.Open(t.Context(), nc, small(s))
		if err != nil {
			t.Fatal(err)
		}
		before := len(acked)
		fillUp(t, l, acked)
		if len(acked) == before {
			t.Error("nothing was stored")
		}
		if err := l.Healthy(t.Context()); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("healthy gives %v, want ErrUnavailable", err)
		}
		if err := l.AppendUsage(t.Context(), []byte("x")); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("usage gives %v, want ErrUnavailable", err)
		}
		holds(t, l, acked)
		l.Close()
		nc.Close()
		s.Shutdown()
	}
}
