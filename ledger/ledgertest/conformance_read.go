package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"keyledger/events"
	"keyledger/ledger"
)

func (s *suite) tailFrom() {
	const n = 700
	var list []ledger.Entry
	for range n / 10 {
		ten := s.entries(10)
		s.append(ten...)
		list = append(list, ten...)
	}
	for _, from := range []uint64{0, 1, 2, 333, n - 1, n} {
		got := s.collect(from, n)
		s.same(got[0], list[max(from, 1)-1], max(from, 1))
		s.same(got[len(got)-1], list[n-1], n)
	}
}

func (s *suite) tailLive() {
	s.append(s.entry())
	seen := make(chan uint64)
	ctx, cancel := context.WithCancel(s.ctx)
	var tails sync.WaitGroup
	defer tails.Wait()
	defer cancel()
	for range 2 {
		tails.Go(func() {
			var next uint64 = 1
			err := s.log.Tail(ctx, 1, func(b ledger.Batch) error {
				for _, m := range b.Messages {
					if m.Sequence != next {
						return fmt.Errorf("message %d after %d", m.Sequence, next-1)
					}
					next++
					select {
					case seen <- m.Sequence:
					case <-ctx.Done():
					}
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				s.Errorf("tail: %v", err)
			}
		})
	}
	for sequence := uint64(1); sequence <= 20; sequence++ {
		for range 2 {
			select {
			case got := <-seen:
				if got != sequence {
					s.Fatalf("a tail came to %d, want %d", got, sequence)
				}
			case <-s.ctx.Done():
				s.Fatalf("message %d did not come", sequence)
			}
		}
		s.append(s.entry())
	}
}

func (s *suite) heartbeat() {
	s.append(s.entry())
	var empty int
	var since time.Time
	err := s.log.Tail(s.ctx, 1, func(b ledger.Batch) error {
		if len(b.Messages) > 0 {
			since = time.Now()
			return nil
		}
		if b.Pending != 0 {
			return fmt.Errorf("%d are pending after the last message", b.Pending)
		}
		if empty++; empty == 3 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		s.Fatalf("tail: %v", err)
	}
	if took := time.Since(since); took > 10*time.Second {
		s.Fatalf("3 signs of life took %v, want about 3 s at most", took)
	}
}

func (s *suite) tailError() {
	s.append(s.entries(3)...)
	calls := 0
	err := s.log.Tail(s.ctx, 1, func(ledger.Batch) error { calls++; return errEnough })
	if !errors.Is(err, errEnough) || calls != 1 {
		s.Fatalf("a handler that fails was called %d times; the tail ended with %v", calls, err)
	}
}

func (s *suite) tailContext() {
	s.append(s.entry())
	ctx, cancel := context.WithCancel(s.ctx)
	err := s.log.Tail(ctx, 1, func(ledger.Batch) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		s.Fatalf("a tail whose context ended gives %v, want context.Canceled", err)
	}
}

func (s *suite) tailBeyond() {
	s.append(s.entries(2)...)
	err := s.log.Tail(s.ctx, 5, func(ledger.Batch) error { return nil })
	if !errors.Is(err, ledger.ErrGap) {
		s.Fatalf("a tail from 5 of a log of 2 gives %v, want ErrGap", err)
	}
}

func (s *suite) read() {
	list := s.entries(5)
	s.append(list...)
	got, err := s.log.Read(s.ctx, 4, 1, 5)
	if err != nil || len(got) != 3 {
		s.Fatalf("read: %v, %v", got, err)
	}
	for i, sequence := range []uint64{4, 1, 5} {
		s.same(got[i], list[sequence-1], sequence)
	}
	if got, err := s.log.Read(s.ctx); err != nil || len(got) != 0 {
		s.Fatalf("read of nothing: %v, %v", got, err)
	}
	for _, sequence := range []uint64{0, 6} {
		if got, err := s.log.Read(s.ctx, 1, sequence); err == nil {
			s.Fatalf("read of 1 and %d, which is not there, gave %v", sequence, got)
		}
	}
}

func (s *suite) scan() {
	var list []ledger.Entry
	for i := range 30 {
		e := entry(s, []string{"acme", "b.c", "*"}[i%3])
		if i%10 == 9 {
			e.Message.Subject = events.ClaimSubject("token", strings.Repeat("a", i))
		}
		list = append(list, e)
		s.append(e)
	}
	for _, filter := range []string{
		events.KeySubjects,
		events.ClaimSubjects,
		events.OwnerFilter("acme", "", ""),
		events.OwnerFilter("b.c", "o1", ""),
		events.OwnerFilter("*", "", "a.1"),
		events.OwnerFilter("", "", "other"),
		list[7].Message.Subject,
		"ledger.acme.>",
	} {
		for _, from := range []uint64{0, 1, 8, 30, 31} {
			for _, limit := range []int{1, 3, 100} {
				s.scanned(list, filter, from, limit)
			}
		}
	}
}

func (s *suite) scanned(list []ledger.Entry, filter string, from uint64, limit int) {
	s.Helper()
	got, err := s.log.Scan(s.ctx, filter, from, limit)
	if err != nil {
		s.Fatalf("scan %s from %d: %v", filter, from, err)
	}
	n := 0
	for i, e := range list {
		if uint64(i+1) < from || n == limit || !matches(filter, e.Message.Subject) {
			continue
		}
		if n == len(got) {
			s.Fatalf("scan %s from %d, at most %d: only %d messages", filter, from, limit, n)
		}
		s.same(got[n], e, uint64(i+1))
		n++
	}
	if n != len(got) {
		s.Fatalf("scan %s from %d, at most %d: %d messages, want %d", filter, from, limit, len(got), n)
	}
}
