package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"slices"
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
	m, err := events.Encode(&e, nil)
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

// scanned compares a scan with a plain look through the list.
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
