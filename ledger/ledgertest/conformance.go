package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// patience is how long a suite waits for what must come.
const patience = 30 * time.Second

// Conformance holds a ledger.Log to its contract. open gives an empty one, and ends it with the test.
func Conformance(t *testing.T, open func(t *testing.T) ledger.Log) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"an empty log", (*suite).empty},
		{"an append is stored and read as it was", (*suite).stored},
		{"guards", (*suite).guards},
		{"a batch is contiguous", (*suite).batch},
		{"a batch with a lost guard leaves nothing", (*suite).batchConflict},
		{"a repeat is settled", (*suite).repeat},
		{"a repeat is settled when others moved on", (*suite).repeatLater},
		{"a tail from any sequence", (*suite).tailFrom},
		{"a tail goes on live", (*suite).tailLive},
		{"a tail tells that it hears", (*suite).heartbeat},
		{"a tail ends with its handler's error", (*suite).tailError},
		{"a tail ends with its context", (*suite).tailContext},
		{"a tail beyond the end is a gap", (*suite).tailBeyond},
		{"read", (*suite).read},
		{"scan", (*suite).scan},
		{"of many on one subject one wins", (*suite).raceSubject},
		{"of many batches with one claim one wins", (*suite).raceClaim},
		{"many at once are contiguous batches", (*suite).crowd},
		{"an ended context", (*suite).ended},
		{"contexts that end in the middle", (*suite).abandoned},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			test.run(&suite{T: t, log: open(t), ctx: ctx})
		})
	}
}

// suite is one test of a log.
type suite struct {
	*testing.T
	log ledger.Log
	ctx context.Context
}

// entry is a new key of a workspace: a real event on a subject of its own.
func entry(t testing.TB, workspace string) ledger.Entry {
	t.Helper()
	owner := events.Owner{Workspace: workspace, Org: "o1", AgentID: "a.1"}
	key := uuid.New()
	e := events.Event{
		Header: events.Header{
			ID:        uuid.New(),
			Time:      time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC),
			Actor:     "system",
			RequestID: "r-1",
		},
		Subject: events.KeySubject(&owner, key),
		Origin:  events.Origin{IP: "192.0.2.1", UserAgent: "test"},
		Payload: &events.Created{KeyID: key, Owner: owner, Name: "name", Environment: "live", KeyType: "external", Digest: events.Digest{1}},
	}
	m, err := events.Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Entry{Message: m}
}

// after is another event on the subject of e, guarded by a sequence.
func after(e ledger.Entry, expect uint64) ledger.Entry {
	e.Message.ID = uuid.New()
	e.Expect = expect
	return e
}

func (s *suite) entry() ledger.Entry { s.Helper(); return entry(s, "acme") }

// entries are n new keys.
func (s *suite) entries(n int) []ledger.Entry {
	s.Helper()
	list := make([]ledger.Entry, n)
	for i := range list {
		list[i] = s.entry()
	}
	return list
}

// append must store.
func (s *suite) append(entries ...ledger.Entry) uint64 {
	s.Helper()
	sequence, err := s.log.Append(s.ctx, entries...)
	if err != nil {
		s.Fatalf("append: %v", err)
	}
	return sequence
}

// conflict must not store.
func (s *suite) conflict(entries ...ledger.Entry) {
	s.Helper()
	before := s.last()
	if sequence, err := s.log.Append(s.ctx, entries...); !errors.Is(err, ledger.ErrConflict) {
		s.Fatalf("append with a guard that does not hold: %d, %v, want ErrConflict", sequence, err)
	}
	if now := s.last(); now != before {
		s.Fatalf("a refused append moved the end of the log from %d to %d", before, now)
	}
}

func (s *suite) last() uint64 {
	s.Helper()
	last, err := s.log.Last(s.ctx)
	if err != nil {
		s.Fatalf("last: %v", err)
	}
	return last
}

var errEnough = errors.New("enough")

// collect tails the log from a sequence up to the message with another one.
func (s *suite) collect(from, to uint64) []events.Message {
	s.Helper()
	var got []events.Message
	err := s.log.Tail(s.ctx, from, func(b ledger.Batch) error {
		for _, m := range b.Messages {
			m.Data = bytes.Clone(m.Data)
			got = append(got, m)
		}
		if n := len(got); n > 0 && got[n-1].Sequence >= to {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		s.Fatalf("tail from %d to %d: %v", from, to, err)
	}
	for i, m := range got {
		if m.Sequence != max(from, 1)+uint64(i) {
			s.Fatalf("message %d of a tail from %d has sequence %d", i, from, m.Sequence)
		}
	}
	return got
}

// same checks that a message is the one of an entry.
func (s *suite) same(got events.Message, want ledger.Entry, sequence uint64) {
	s.Helper()
	want.Message.Sequence = sequence
	if got.Header != want.Message.Header || got.Subject != want.Message.Subject ||
		got.Sequence != sequence || !bytes.Equal(got.Data, want.Message.Data) {
		s.Fatalf("got\n%+v\nwant\n%+v", got, want.Message)
	}
}

func (s *suite) empty() {
	if last := s.last(); last != 0 {
		s.Fatalf("the last sequence of an empty log is %d", last)
	}
	list, err := s.log.Scan(s.ctx, events.KeySubjects, 1, 10)
	if err != nil || len(list) != 0 {
		s.Fatalf("scan of an empty log: %v, %v", list, err)
	}
}

func (s *suite) stored() {
	list := s.entries(10)
	list[3].Message.RequestID = ""
	list[4].Message.Data = bytes.Repeat([]byte{0, 'x', 255}, 10<<10)
	for i, e := range list {
		if sequence := s.append(e); sequence != uint64(i+1) {
			s.Fatalf("append %d has sequence %d", i+1, sequence)
		}
	}
	if last := s.last(); last != 10 {
		s.Fatalf("the last sequence is %d, want 10", last)
	}
	for i, m := range s.collect(1, 10) {
		s.same(m, list[i], uint64(i+1))
	}
}

func (s *suite) guards() {
	e := s.entry()
	s.conflict(after(e, 7))
	first := s.append(e)
	s.conflict(after(e, 0))
	s.conflict(after(e, first+1))
	s.append(s.entry()) // another subject does not matter
	second := s.append(after(e, first))
	s.conflict(after(e, first))
	s.append(after(e, second))
}

func (s *suite) batch() {
	s.append(s.entry())
	list := s.entries(3)
	if sequence := s.append(list...); sequence != 4 {
		s.Fatalf("a batch of 3 after 1 message ends at %d, want 4", sequence)
	}
	next := []ledger.Entry{after(list[2], 4), s.entry(), after(list[0], 2)}
	if sequence := s.append(next...); sequence != 7 {
		s.Fatalf("a batch of 3 after 4 messages ends at %d, want 7", sequence)
	}
	for i, m := range s.collect(2, 7) {
		s.same(m, append(slices.Clone(list), next...)[i], uint64(i+2))
	}
}

func (s *suite) batchConflict() {
	taken := s.entry()
	s.append(taken)
	for i := range 3 {
		list := s.entries(3)
		list[i] = after(taken, 0)
		s.conflict(list...)
		list[i] = after(taken, 9)
		s.conflict(list...)
		for j, e := range list { // and each of the others is free as before
			if j != i {
				s.append(e)
			}
		}
	}
}

func (s *suite) repeat() {
	one, list := s.entry(), s.entries(3)
	first, last := s.append(one), s.append(list...)
	for range 3 {
		if sequence := s.append(one); sequence != first {
			s.Fatalf("the repeat of append %d has sequence %d", first, sequence)
		}
		if sequence := s.append(list...); sequence != last {
			s.Fatalf("the repeat of batch %d has sequence %d", last, sequence)
		}
	}
	if now := s.last(); now != last {
		s.Fatalf("repeats moved the end of the log from %d to %d", last, now)
	}
	s.conflict(after(one, 0))
	s.conflict(s.entry(), after(list[0], 0))
}

func (s *suite) repeatLater() {
	one, list := s.entry(), s.entries(2)
	first, last := s.append(one), s.append(list...)
	s.append(after(one, first))
	s.append(after(list[1], last))
	if sequence := s.append(one); sequence != first {
		s.Fatalf("the repeat of append %d has sequence %d", first, sequence)
	}
	if sequence := s.append(list...); sequence != last {
		s.Fatalf("the repeat of batch %d has sequence %d", last, sequence)
	}
	if now := s.last(); now != 5 {
		s.Fatalf("repeats moved the end of the log from 5 to %d", now)
	}
}

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

// scanned compares a scan with a plain look through the list.
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

// race runs n appends at once and returns how many went well. Every other one must be a conflict.
func (s *suite) race(n int, entries func(i int) []ledger.Entry) int {
	s.Helper()
	prepared := make([][]ledger.Entry, n)
	for i := range prepared {
		prepared[i] = entries(i)
	}
	results := make([]error, n)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-start
			_, results[i] = s.log.Append(s.ctx, prepared[i]...)
		})
	}
	close(start)
	running.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, ledger.ErrConflict):
			s.Fatalf("a lost race gives %v, want ErrConflict", err)
		}
	}
	return won
}

func (s *suite) raceSubject() {
	expect := uint64(0)
	e := s.entry()
	for range 20 {
		if won := s.race(16, func(int) []ledger.Entry { return []ledger.Entry{after(e, expect)} }); won != 1 {
			s.Fatalf("%d of 16 won", won)
		}
		if expect++; s.last() != expect {
			s.Fatalf("the log ends at %d, want %d", s.last(), expect)
		}
	}
}

func (s *suite) raceClaim() {
	for round := range uint64(20) {
		claim := s.entry()
		won := s.race(16, func(int) []ledger.Entry { return []ledger.Entry{after(claim, 0), s.entry()} })
		if won != 1 {
			s.Fatalf("%d of 16 won", won)
		}
		if last := s.last(); last != 2*(round+1) {
			s.Fatalf("the log ends at %d, want %d: the losers left something", last, 2*(round+1))
		}
	}
}

func (s *suite) crowd() {
	const writers, rounds = 32, 5
	batches := make([][]ledger.Entry, writers*rounds)
	ends := make([]uint64, len(batches))
	for i := range batches {
		batches[i] = s.entries(1 + i%4)
	}
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := w; i < len(batches); i += writers {
				end, err := s.log.Append(s.ctx, batches[i]...)
				if err != nil {
					s.Errorf("append: %v", err)
				}
				ends[i] = end
			}
		})
	}
	running.Wait()
	if s.Failed() {
		s.FailNow()
	}
	last := s.last()
	got := s.collect(1, last)
	total := 0
	for i, batch := range batches {
		total += len(batch)
		for j, e := range batch {
			sequence := ends[i] - uint64(len(batch)-1-j)
			s.same(got[sequence-1], e, sequence)
		}
	}
	if last != uint64(total) {
		s.Fatalf("the log ends at %d, want %d", last, total)
	}
}

func (s *suite) ended() {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	e := s.entry()
	if _, err := s.log.Append(ctx, e); err == nil {
		s.Fatal("an append with an ended context went well")
	}
	if _, err := s.log.Last(ctx); err == nil {
		s.Fatal("last with an ended context went well")
	}
	if _, err := s.log.Read(ctx, 1); err == nil {
		s.Fatal("read with an ended context went well")
	}
	if _, err := s.log.Scan(ctx, events.KeySubjects, 1, 1); err == nil {
		s.Fatal("scan with an ended context went well")
	}
	if sequence := s.append(e); sequence != 1 || s.last() != 1 {
		s.Fatalf("the repeat has sequence %d, the log ends at %d, want 1", sequence, s.last())
	}
}

// abandoned gives up appends in the middle. Each is repeated until it is settled: then it must be there once.
func (s *suite) abandoned() {
	const n = 100
	list := s.entries(2 * n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			pair := list[2*i : 2*i+2]
			ctx, cancel := context.WithTimeout(s.ctx, time.Duration(i)*100*time.Microsecond)
			defer cancel()
			if _, err := s.log.Append(ctx, pair...); errors.Is(err, ledger.ErrConflict) {
				s.Errorf("an abandoned append gives %v, which says that nothing was stored", err)
			}
			if _, err := s.log.Append(s.ctx, pair...); err != nil {
				s.Errorf("its repeat: %v", err)
			}
		})
	}
	running.Wait()
	if last := s.last(); last != 2*n {
		s.Fatalf("the log ends at %d, want %d", last, 2*n)
	}
	seen := make(map[uuid.UUID]bool)
	for _, m := range s.collect(1, 2*n) {
		seen[m.ID] = true
	}
	for _, e := range list {
		if !seen[e.Message.ID] {
			s.Fatalf("event %s is not there", e.Message.ID)
		}
	}
}
