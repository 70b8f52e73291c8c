package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/events"
	"keyledger/ledger"
)

// subscribe gives a subscription of root.
func (w *world) subscribe(q ledger.Selection) *ledger.Subscription {
	w.t.Helper()
	sub, err := w.Subscribe(w.ctx(), &w.root.Principal, q)
	if err != nil {
		w.t.Fatal(err)
	}
	return sub
}

// toTheEnd is how many events sequences takes of a subscription that has an end.
const toTheEnd = -1

// sequences are those of the next n events.
func (w *world) sequences(sub *ledger.Subscription, n int) (list []uint64) {
	w.t.Helper()
	for n == toTheEnd || len(list) < n {
		page, err := sub.Next(w.ctx(), time.Second)
		if n == toTheEnd && errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, p := range page {
			list = append(list, p.Sequence)
		}
	}
	return list
}

// Wherever they begin, before and in what the feed still has, subscriptions get what the log has of what they select.
func TestSubscriptionsJoinLogAndFeed(t *testing.T) {
	w := newWorld(t)
	var keys []uuid.UUID
	for i := range 3 {
		keys = append(keys, w.create(ledger.Create{Owner: ledger.Owner{Workspace: fmt.Sprint("w", i%2)}}).Key.ID)
	}
	for i := range 5000 { // more than the feed holds
		must(w.Update(w.ctx(), &w.root, keys[i%3], &ledger.Update{Name: new(fmt.Sprint(i))}))
	}
	log := must(w.log.Scan(w.ctx(), events.OwnerFilter("", "", ""), 1, 10000))
	want := func(q ledger.Selection) (list []uint64) {
		for i := range log {
			about := must(events.ParseSubject(log[i].Subject))
			if log[i].Sequence >= q.From && (q.Key == uuid.Nil || about.Key == q.Key) &&
				(q.Owner.Workspace == "" || about.Workspace == q.Owner.Workspace) &&
				(len(q.Types) == 0 || slices.Contains(q.Types, log[i].Type)) {
				list = append(list, log[i].Sequence)
			}
		}
		return list
	}
	last := must(w.log.Last(w.ctx()))
	rapid.Check(t, func(rt *rapid.T) {
		q := ledger.Selection{
			From:  rapid.Uint64Range(1, last+1).Draw(rt, "from"),
			Types: rapid.SampledFrom([][]events.Type{nil, {events.KeyCreated}, {events.KeyUpdated, events.KeyRevoked}}).Draw(rt, "types"),
		}
		switch rapid.IntRange(0, 2).Draw(rt, "selects") {
		case 0:
			q.Key = rapid.SampledFrom(keys).Draw(rt, "key")
		case 1:
			q.Owner.Workspace = rapid.SampledFrom([]string{"w0", "w1", "w2"}).Draw(rt, "workspace")
		}
		bounded := q
		bounded.UntilNow = true
		if got := w.sequences(w.subscribe(bounded), toTheEnd); !slices.Equal(got, want(q)) {
			rt.Fatalf("got %d, want %d", len(got), len(want(q)))
		}
		if got := w.sequences(w.subscribe(q), len(want(q))); !slices.Equal(got, want(q)) {
			rt.Fatalf("without an end: got %d, want %d", len(got), len(want(q)))
		}
	})
}

// Subscribers that wait are woken by what they want, each when it comes, and by nothing else.
func TestSubscriptionsWait(t *testing.T) {
	w := newWorld(t)
	acme := w.subscribe(ledger.Selection{Owner: ledger.Owner{Workspace: "acme"}})
	all := w.subscribe(ledger.Selection{})
	ctx, cancel := context.WithTimeout(w.ctx(), 10*time.Second)
	defer cancel()
	got := make(chan []*ledger.Published)
	go func() {
		page, err := acme.Next(ctx, time.Minute)
		if err != nil {
			t.Error(err)
		}
		got <- page
	}()
	var sequences []uint64
	for range 3000 { // more than the feed holds
		sequences = append(sequences, w.create(ledger.Create{}).Key.Sequence)
	}
	mine := w.create(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}}).Key.Sequence
	if page := <-got; len(page) != 1 || page[0].Sequence != mine || acme.Seen() != mine {
		t.Errorf("acme's is woken by %d events and has seen %d, want %d", len(page), acme.Seen(), mine)
	}
	if got := w.sequences(all, len(sequences)+1); !slices.Equal(got, append(sequences, mine)) {
		t.Errorf("all get %d of %d", len(got), len(sequences)+1)
	}
	cancelled, stop := context.WithCancel(w.ctx())
	stop()
	if page, err := all.Next(cancelled, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, %v", page, err)
	}
	if page, err := all.Next(w.ctx(), time.Microsecond); err != nil || len(page) > 0 {
		t.Errorf("without patience: %v, %v", page, err)
	}
}

// A node that is behind shows nothing in a stream that its reads do not show, and a stream that goes on from another
// node waits for it.
func TestSubscriptionOfALaggingNode(t *testing.T) {
	w := newWorld(t)
	ahead := w.node()
	w.ear.Lock()
	sub := w.subscribe(ledger.Selection{From: 1})
	position := w.state.Position()
	list := w.sequences(sub, int(position-1)) // root's claim is not shown
	issued := must(ahead.Create(w.ctx(), &w.root, &ledger.Create{}))
	if page, err := sub.Next(w.ctx(), time.Millisecond); err != nil || len(page) > 0 {
		t.Errorf("after %v it shows %d events, %v", list, len(page), err)
	}
	resumed := w.subscribe(ledger.Selection{From: issued.Key.Sequence + 1})
	second := make(chan []uint64)
	later := must(ahead.Create(w.ctx(), &w.root, &ledger.Create{}))
	go func() { second <- w.sequences(resumed, 1) }()
	w.ear.Unlock()
	if got := w.sequences(sub, 2); !slices.Equal(got, []uint64{issued.Key.Sequence, later.Key.Sequence}) {
		t.Errorf("then it shows %v", got)
	}
	if got := <-second; !slices.Equal(got, []uint64{later.Key.Sequence}) {
		t.Errorf("the one that was resumed gets %v", got)
	}
}

// A stream ends when this node has not heard of the log for longer than it may.
func TestSubscriptionEndsWhenStale(t *testing.T) {
	w := newWorld(t)
	strict := ledger.New(ledger.Config{Log: w.log, State: w.state, Now: w.clock.Now, MaxStaleness: 5 * time.Second})
	sub := must(strict.Subscribe(w.ctx(), &w.root.Principal, ledger.Selection{}))
	w.ear.Lock()
	defer w.ear.Unlock()
	if _, err := sub.Next(w.ctx(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(6 * time.Second)
	if _, err := sub.Next(w.ctx(), time.Millisecond); ledger.CodeOf(err) != ledger.CodeStale {
		t.Errorf("got %v", err)
	}
}

func TestSubscribeRefuses(t *testing.T) {
	w := newWorld(t)
	foreign := w.create(ledger.Create{Owner: ledger.Owner{Workspace: "other"}}).Key.ID
	bound := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeEvents}})
	reader := w.caller(ledger.Create{Scopes: []string{ledger.ScopeRead}})
	for _, c := range []struct {
		by   *ledger.Call
		q    ledger.Selection
		code ledger.Code
	}{
		{bound, ledger.Selection{Owner: ledger.Owner{Workspace: "other"}}, ledger.CodeNotFound},
		{bound, ledger.Selection{Key: foreign}, ledger.CodeNotFound},
		{reader, ledger.Selection{}, ledger.CodeForbidden},
		{reader, ledger.Selection{Key: foreign}, ledger.CodeForbidden},
		{&w.root, ledger.Selection{From: 1000}, ledger.CodeConflict},
		{&w.root, ledger.Selection{From: 1000, UntilNow: true}, ledger.CodeConflict},
		{&w.root, ledger.Selection{Types: []events.Type{"key.stolen"}}, ledger.CodeInvalid},
		{&w.root, ledger.Selection{Types: []events.Type{events.ClaimTaken}}, ledger.CodeInvalid},
		{&w.root, ledger.Selection{Owner: ledger.Owner{Peer: "p"}}, ledger.CodeInvalid},
	} {
		w.refused(c.code, func() error { _, err := w.Subscribe(w.ctx(), &c.by.Principal, c.q); return err })
	}
}
