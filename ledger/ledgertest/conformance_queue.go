package ledgertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// QueueLog is a queue with the log whose events it hands over.
type QueueLog interface {
	ledger.Log
	ledger.Queue
}

// QueueConformance holds a ledger.Queue to its contract. open gives an empty one, and ends it with the test.
func QueueConformance(t *testing.T, open func(t *testing.T) QueueLog) {
	for _, test := range []struct {
		name string
		run  func(*queueSuite)
	}{
		{"the events of an owner from a sequence on", (*queueSuite).from},
		{"what is done does not come again, the rest does", (*queueSuite).again},
		{"no more at a time than asked for", (*queueSuite).parallel},
		{"readers share", (*queueSuite).share},
		{"forgotten", (*queueSuite).forgotten},
		{"notes", (*queueSuite).noted},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			test.run(&queueSuite{T: t, log: open(t), ctx: ctx})
		})
	}
}

// queueSuite is one test of a queue.
type queueSuite struct {
	*testing.T
	log QueueLog
	ctx context.Context
}

// store appends events of a workspace and returns their sequences.
func (s *queueSuite) store(workspace string, n int) (sequences []uint64) {
	s.Helper()
	for range n {
		sequence, err := s.log.Append(s.ctx, entry(s, workspace))
		if err != nil {
			s.Fatal(err)
		}
		sequences = append(sequences, sequence)
	}
	return sequences
}

// consume consumes until handle calls end.
func (s *queueSuite) consume(w *ledger.Webhook, parallel int, handle func(h *ledger.Handover, end func()) (bool, time.Duration)) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	err := s.log.Consume(ctx, w, parallel, func(_ context.Context, h *ledger.Handover) (bool, time.Duration) {
		return handle(h, cancel)
	})
	if !errors.Is(err, context.Canceled) || s.ctx.Err() != nil {
		s.Fatalf("consume: %v", err)
	}
}

// collect takes n events, which are done.
func (s *queueSuite) collect(w *ledger.Webhook, n int) (sequences []uint64) {
	s.Helper()
	var mu sync.Mutex
	s.consume(w, 8, func(h *ledger.Handover, end func()) (bool, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if sequences = append(sequences, h.Message.Sequence); len(sequences) == n {
			end()
		}
		return true, 0
	})
	slices.Sort(sequences)
	return sequences
}

func (s *queueSuite) expect(got, want []uint64) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Fatalf("got %v, want %v", got, want)
	}
}

func (s *queueSuite) from() {
	mine := s.store("acme", 3)
	s.store("other", 2)
	mine = append(mine, s.store("acme", 2)...)
	w := &ledger.Webhook{ID: uuid.New(), Workspace: "acme", From: mine[1]}
	s.expect(s.collect(w, 4), mine[1:])
	later := s.store("acme", 2)
	s.store("other", 1)
	s.expect(s.collect(w, 2), later)
	all := &ledger.Webhook{ID: uuid.New()}
	s.expect(s.collect(all, 10), []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
}

func (s *queueSuite) again() {
	sequences := s.store("acme", 3)
	w := &ledger.Webhook{ID: uuid.New(), From: 1}
	var first, second sync.Map
	began := time.Now()
	var left atomic.Int32
	left.Store(4)
	s.consume(w, 8, func(h *ledger.Handover, end func()) (bool, time.Duration) {
		done := true
		if h.Message.Sequence == sequences[1] && !h.Repeat {
			done = false
		}
		if h.Repeat {
			second.Store(h.Message.Sequence, time.Since(began))
		} else {
			first.Store(h.Message.Sequence, true)
		}
		if left.Add(-1) == 0 {
			end()
		}
		return done, 300 * time.Millisecond
	})
	took, ok := second.Load(sequences[1])
	if !ok || took.(time.Duration) < 300*time.Millisecond {
		s.Errorf("the event came again after %v", took)
	}
	for _, sequence := range sequences {
		if _, ok := first.Load(sequence); !ok {
			s.Errorf("event %d did not come", sequence)
		}
	}
	later := s.store("acme", 1)
	s.expect(s.collect(w, 1), later)
}

func (s *queueSuite) parallel() {
	s.store("acme", 30)
	w := &ledger.Webhook{ID: uuid.New()}
	var now, most, all atomic.Int32
	s.consume(w, 3, func(_ *ledger.Handover, end func()) (bool, time.Duration) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if all.Add(1) == 30 {
			end()
		}
		now.Add(-1)
		return true, 0
	})
	if n := most.Load(); n > 3 {
		s.Errorf("%d at a time, want 3", n)
	}
}

func (s *queueSuite) share() {
	sequences := s.store("acme", 40)
	w := &ledger.Webhook{ID: uuid.New()}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	var mu sync.Mutex
	var got []uint64
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			_ = s.log.Consume(ctx, w, 4, func(_ context.Context, h *ledger.Handover) (bool, time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				if got = append(got, h.Message.Sequence); len(got) == len(sequences) {
					cancel()
				}
				return true, 0
			})
		})
	}
	readers.Wait()
	slices.Sort(got)
	s.expect(got, sequences)
}

func (s *queueSuite) forgotten() {
	sequences := s.store("acme", 2)
	w := &ledger.Webhook{ID: uuid.New(), From: 1}
	s.expect(s.collect(w, 2), sequences)
	if err := s.log.Note(s.ctx, w.ID, &ledger.Delivery{Sequence: 1, State: ledger.Dead, Attempts: 2}); err != nil {
		s.Fatal(err)
	}
	if list, err := s.log.Consumed(s.ctx); err != nil || !slices.Equal(list, []uuid.UUID{w.ID}) {
		s.Errorf("consumed: %v, %v", list, err)
	}
	for range 2 { // also one that is not known any more
		if err := s.log.Forget(s.ctx, w.ID); err != nil {
			s.Fatal(err)
		}
	}
	if list, err := s.log.Consumed(s.ctx); err != nil || len(list) > 0 {
		s.Errorf("consumed: %v, %v", list, err)
	}
	if list, err := s.log.Deliveries(s.ctx, w.ID, 0, 10); err != nil || len(list) > 0 {
		s.Errorf("deliveries: %v, %v", list, err)
	}
	s.expect(s.collect(w, 2), sequences)
}

func (s *queueSuite) noted() {
	id, other := uuid.New(), uuid.New()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	note := func(webhook uuid.UUID, sequence uint64, state ledger.DeliveryState, attempts int) ledger.Delivery {
		d := ledger.Delivery{Sequence: sequence, EventID: uuid.New(), Type: "key.created", State: state, Attempts: attempts,
			Status: 500, Error: "e", At: at, Took: time.Second, NextAt: at.Add(time.Hour)}
		if err := s.log.Note(s.ctx, webhook, &d); err != nil {
			s.Fatal(err)
		}
		return d
	}
	if _, ok, err := s.log.Latest(s.ctx, id); ok || err != nil {
		s.Errorf("latest of nothing: %v, %v", ok, err)
	}
	note(other, 1, ledger.Dead, 3)
	note(id, 7, ledger.Retrying, 1)
	note(id, 8, ledger.Delivered, 1)
	note(id, 9, ledger.Delivered, 1)
	note(id, 5, ledger.Dead, 3)
	last := note(id, 7, ledger.Retrying, 2)
	list, err := s.log.Deliveries(s.ctx, id, 0, 10)
	if err != nil {
		s.Fatal(err)
	}
	var got []uint64
	for i := range list {
		got = append(got, list[i].Sequence)
	}
	s.expect(got, []uint64{9, 5, 7})
	rest, err := s.log.Deliveries(s.ctx, id, list[0].Place, 1)
	if err != nil || len(rest) != 1 || rest[0] != list[1] {
		s.Errorf("after the first: %v, %v", rest, err)
	}
	for name, read := range map[string]func() (ledger.Delivery, bool, error){
		"noted":  func() (ledger.Delivery, bool, error) { return s.log.Noted(s.ctx, id, 7) },
		"latest": func() (ledger.Delivery, bool, error) { return s.log.Latest(s.ctx, id) },
	} {
		d, ok, err := read()
		if d.Place = 0; err != nil || !ok || d != last {
			s.Errorf("%s: %+v, %v, want %+v", name, d, err, last)
		}
	}
	if _, ok, err := s.log.Noted(s.ctx, id, 8); ok || err != nil {
		s.Errorf("one that was delivered at once: %v, %v", ok, err)
	}
}
