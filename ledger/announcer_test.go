package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// announcer is one of a service, for a week and a day.
func announcer(s *ledger.Service) *ledger.Announcer {
	return ledger.NewAnnouncer(s, ledger.AnnouncerConfig{Horizons: []time.Duration{day, week}, FirstUses: 200})
}

// look lets all announcers look at the same time.
func (w *world) look(all ...*ledger.Announcer) {
	w.t.Helper()
	var looking sync.WaitGroup
	for _, a := range all {
		looking.Go(func() {
			if err := a.Look(w.ctx()); err != nil {
				w.t.Error(err)
			}
		})
	}
	looking.Wait()
}

// notices are the notices of a key in the log, in a few words each.
func (w *world) notices(key uuid.UUID) (all []string) {
	w.t.Helper()
	messages := must(w.log.Scan(w.ctx(), "ledger.*.*.*."+key.String(), 1, 1_000_000))
	for i := range messages {
		e := must(events.Decode(&messages[i], nil))
		switch p := e.Payload.(type) {
		case *events.Expiring:
			all = append(all, fmt.Sprintf("expiring in %s", p.Horizon))
		case *events.Expired:
			all = append(all, "expired")
		case *events.FirstUsed:
			all = append(all, "used")
		default:
			continue
		}
		if e.Actor != "system" || e.Origin != (events.Origin{}) {
			w.t.Errorf("notice %s is by %q from %v", e.Type, e.Actor, e.Origin)
		}
	}
	return all
}

// noticed checks the notices of a key.
func (w *world) noticed(key uuid.UUID, want ...string) {
	w.t.Helper()
	if got := w.notices(key); !slices.Equal(got, want) {
		w.t.Errorf("the notices are %q, want %q", got, want)
	}
}

const (
	inWeek = "expiring in 168h0m0s"
	inDay  = "expiring in 24h0m0s"
)

// until makes a key with an expiry.
func (w *world) until(life time.Duration) uuid.UUID {
	w.t.Helper()
	return w.create(ledger.Create{Name: "ci", ExpiresAt: w.clock.Now().Add(life)}).Key.ID
}

func TestAnnounceExpiry(t *testing.T) {
	w := newWorld(t)
	a := announcer(w.Service)
	id := w.until(10 * day)
	for _, step := range []struct {
		after time.Duration
		want  []string
	}{
		{0, nil},
		{3*day - time.Microsecond, nil},
		{time.Microsecond, []string{inWeek}},
		{0, []string{inWeek}},
		{6*day - 1, []string{inWeek}},
		{1, []string{inWeek, inDay}},
		{day - time.Microsecond, []string{inWeek, inDay}},
		{time.Microsecond, []string{inWeek, inDay, "expired"}},
		{100 * day, []string{inWeek, inDay, "expired"}},
	} {
		w.clock.Advance(step.after)
		w.look(a)
		w.noticed(id, step.want...)
	}
}

// A clock that was ahead and is set back hides no expiry from those that are announced.
func TestAnnounceExpiryAfterTheClockIsSetBack(t *testing.T) {
	w := newWorld(t)
	a := announcer(w.Service)
	w.clock.Advance(30 * day)
	w.look(a)
	w.clock.Advance(-30 * day)
	id := w.until(week + time.Minute)
	w.clock.Advance(time.Minute)
	w.look(a)
	w.noticed(id, inWeek)
}

// Notices are told of a key by its events alone: a caller sees no change.
func TestNoticesChangeNothingElse(t *testing.T) {
	w := newWorld(t)
	id := w.until(2 * week)
	before := must(w.Key(w.ctx(), &w.root.Principal, id))
	w.clock.Advance(3 * week)
	w.look(announcer(w.Service))
	after := must(w.Key(w.ctx(), &w.root.Principal, id))
	if after.Revision != before.Revision || after.Sequence <= before.Sequence || !after.UpdatedAt.Equal(before.UpdatedAt) {
		t.Fatalf("before\n%+v\nafter\n%+v", before, after)
	}
	c := w.root
	c.IfSequence = before.Revision
	k := w.changed(1, func() (ledger.Key, error) { return w.Disable(w.ctx(), &c, id) })
	if k.Revision != k.Sequence {
		t.Errorf("the revision after a change is %d, its sequence %d", k.Revision, k.Sequence)
	}
	w.refused(ledger.CodePrecondition, func() error {
		_, err := w.Enable(w.ctx(), &c, id)
		return err
	})
}

// A horizon that is longer than the life of a key says nothing; that it ends is said in any case.
func TestAnnounceShortLives(t *testing.T) {
	w := newWorld(t)
	a := announcer(w.Service)
	hour, threeDays, exactly := w.until(time.Hour), w.until(3*day), w.until(week)
	lapsed := w.create(ledger.Create{ExpiresAt: w.clock.Now().Add(-time.Hour), Lapsed: true}).Key.ID
	w.look(a)
	w.noticed(hour)
	w.noticed(exactly)
	w.noticed(lapsed, "expired")
	w.clock.Advance(8 * day)
	w.look(a)
	w.noticed(hour, "expired")
	w.noticed(threeDays, inDay, "expired")
	w.noticed(exactly, inDay, "expired")
}

// What this node is shown late is announced all the same: at once when it is a little late, else within an hour.
func TestAnnounceWhatComesLate(t *testing.T) {
	for _, c := range []struct{ late, then time.Duration }{{30 * time.Second, time.Second}, {10 * time.Minute, time.Hour}} {
		w := newWorld(t)
		a := announcer(w.Service)
		w.look(a)
		other := w.node()
		w.ear.Lock()
		expiry := w.clock.Now().Add(week + time.Second)
		issued := must(other.Create(w.ctx(), &w.root, &ledger.Create{ExpiresAt: expiry}))
		w.clock.Advance(c.late)
		w.look(a)
		w.ear.Unlock()
		w.level([]node{{w.Service, w.state}})
		w.noticed(issued.Key.ID)
		w.clock.Advance(c.then)
		w.look(a)
		w.noticed(issued.Key.ID, inWeek)
	}
}

// After a downtime, and on another node than before, all is announced that was not, in order.
func TestAnnounceAfterDowntime(t *testing.T) {
	w := newWorld(t)
	all, some, soon := w.until(10*day), w.until(9*day), w.until(30*day)
	w.clock.Advance(2 * day)
	w.look(announcer(w.Service))
	w.noticed(some, inWeek)
	w.clock.Advance(20 * day)
	other := w.node()
	w.look(announcer(other.Service))
	w.noticed(all, inWeek, inDay, "expired")
	w.noticed(some, inWeek, inDay, "expired")
	w.noticed(soon)
	w.clock.Advance(7*day + time.Hour)
	w.look(announcer(w.node().Service))
	w.noticed(soon, inWeek, inDay)
}

// A changed expiry is announced anew, whoever changed it and however much was announced of the one before.
func TestAnnounceChangedExpiry(t *testing.T) {
	w := newWorld(t)
	a := announcer(w.Service)
	updated, rotated, kept, ended := w.until(10*day), w.until(10*day), w.until(10*day), w.until(10*day)
	w.clock.Advance(4 * day)
	w.look(a)
	later := w.clock.Now().Add(10 * day)
	must(w.Update(w.ctx(), &w.root, updated, &ledger.Update{ExpiresAt: &later}))
	must(w.Rotate(w.ctx(), &w.root, rotated, &ledger.Rotate{ExpiresAt: &later}))
	must(w.Rotate(w.ctx(), &w.root, kept, &ledger.Rotate{Grace: time.Hour}))
	must(w.Update(w.ctx(), &w.root, ended, &ledger.Update{ExpiresAt: &time.Time{}}))
	w.look(a)
	for _, id := range []uuid.UUID{updated, rotated, kept, ended} {
		w.noticed(id, inWeek)
	}
	w.clock.Advance(30 * day)
	w.look(a)
	for _, id := range []uuid.UUID{updated, rotated} {
		w.noticed(id, inWeek, inWeek, inDay, "expired")
	}
	w.noticed(kept, inWeek, inDay, "expired")
	w.noticed(ended, inWeek)

	again := w.clock.Now().Add(time.Hour) // an expired key comes back
	must(w.Update(w.ctx(), &w.root, kept, &ledger.Update{ExpiresAt: &again}))
	w.clock.Advance(time.Hour)
	w.look(a)
	w.noticed(kept, inWeek, inDay, "expired", "expired")
}

// A revoked key is announced no more; a disabled one is: it expires all the same.
func TestAnnounceEndedKeys(t *testing.T) {
	w := newWorld(t)
	a := announcer(w.Service)
	revoked, disabled := w.until(10*day), w.until(10*day)
	w.clock.Advance(4 * day)
	w.look(a)
	must(w.Revoke(w.ctx(), &w.root, revoked, ""))
	must(w.Disable(w.ctx(), &w.root, disabled))
	w.clock.Advance(30 * day)
	w.look(a)
	w.noticed(revoked, inWeek)
	w.noticed(disabled, inWeek, inDay, "expired")
}

// Thousands are due at the same moment, and several nodes announce them at the same time: each once, in order.
func TestAnnounceOnManyNodes(t *testing.T) {
	const keys = 2000
	w := newWorld(t)
	w.clock.Advance(time.Hour)
	ids := make([]uuid.UUID, keys)
	for i := range ids {
		ids[i] = must(w.Create(w.ctx(), &w.root, &ledger.Create{ExpiresAt: w.clock.Now().Add(10 * day)})).Key.ID
	}
	nodes := w.nodes(3)
	w.level(nodes)
	w.clock.Advance(20 * day)
	w.look(announcer(nodes[0].Service), announcer(nodes[1].Service), announcer(nodes[2].Service))
	if got, want := w.log.Len(), 1+1+4*keys; got != want { // the root key and its claim
		t.Errorf("the log has %d messages, want %d", got, want)
	}
	for _, id := range ids[:50] {
		w.noticed(id, inWeek, inDay, "expired")
	}
	w.level(nodes)
	for _, id := range ids {
		for i, n := range nodes {
			if k := must(n.Key(w.ctx(), &w.root.Principal, id)); !k.Announced.Equal(k.ExpiresAt) {
				t.Fatalf("on node %d, the expiry of key %s at %s is announced up to %s", i, id, k.ExpiresAt, k.Announced)
			}
		}
	}
}

// Whatever fails, by refusing or after storing, in the end each notice is there once and in order.
func TestAnnounceWithFaults(t *testing.T) {
	w := newWorld(t)
	ids := make([]uuid.UUID, 100)
	for i := range ids {
		ids[i] = w.until(10 * day)
	}
	w.clock.Advance(20 * day)
	rng := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	w.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if op != ledgertest.OpAppend && op != ledgertest.OpLast || rng.IntN(20) != 0 {
			return ledgertest.Fault{}
		}
		if rng.IntN(2) == 0 {
			return ledgertest.Fault{Err: ledger.ErrOverloaded}
		}
		return ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: rng.IntN(2) == 0}
	})
	a, failed := announcer(w.Service), 0
	for a.Look(w.ctx()) != nil {
		failed++
	}
	if failed == 0 {
		t.Error("no look failed")
	}
	w.log.Inject(nil)
	for _, id := range ids {
		w.noticed(id, inWeek, inDay, "expired")
	}
}

// A change that comes between the decision of a notice and its append wins: the notice is decided anew.
func TestAnnounceLosesToAChange(t *testing.T) {
	w := newWorld(t)
	id := w.until(10 * day)
	w.clock.Advance(20 * day)
	later := w.clock.Now().Add(30 * day)
	var once sync.Once
	w.log.Inject(func(ctx context.Context, op ledgertest.Op) (f ledgertest.Fault) {
		if op == ledgertest.OpAppend {
			once.Do(func() {
				w.log.Inject(nil)
				must(w.node().Update(ctx, &w.root, id, &ledger.Update{ExpiresAt: &later}))
			})
		}
		return f
	})
	w.look(announcer(w.Service))
	w.noticed(id)
}

// Run looks again and again, and tells of a series of failures once.
func TestAnnouncerRuns(t *testing.T) {
	w := newWorld(t)
	id := w.until(time.Hour)
	w.clock.Advance(2 * time.Hour)
	failures := make(chan error, 100)
	a := ledger.NewAnnouncer(w.Service, ledger.AnnouncerConfig{Failed: func(err error) { failures <- err }})
	broken := errors.New("broken")
	appends := make(chan struct{}, 100)
	w.log.Inject(func(_ context.Context, op ledgertest.Op) (f ledgertest.Fault) {
		if op == ledgertest.OpAppend {
			appends <- struct{}{}
			f.Err = broken
		}
		return f
	})
	ctx, cancel := context.WithCancel(w.ctx())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	<-appends
	<-appends
	w.log.Inject(nil)
	if err := w.state.WaitFor(w.ctx(), uint64(w.log.Len()+1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
	w.noticed(id, "expired")
	if err := <-failures; !strings.Contains(err.Error(), "broken") || len(failures) > 0 {
		t.Errorf("it told of %v and %d more", err, len(failures))
	}
}
