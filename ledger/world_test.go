package ledger_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// clock is a time that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the time on.
func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ear is a log as one node hears it: while it is locked, nothing new reaches the node.
type ear struct {
	*ledgertest.Log
	sync.Mutex
}

func (e *ear) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	return e.Log.Tail(ctx, from, func(b ledger.Batch) error {
		e.Lock()
		defer e.Unlock()
		return handle(b)
	})
}

// world is a ledger with one root key.
type world struct {
	*ledger.Service
	t        testing.TB
	log      *ledgertest.Log
	ear      *ear
	state    *ledgertest.State
	personal *ledger.Personal
	clock    *clock
	root     ledger.Call
	first    ledger.Issued // the root key
}

// ages is longer than tests move the clock.
const ages = 100 * 365 * 24 * time.Hour

// newBareWorld gives an empty ledger in memory that is never stale.
func newBareWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, log: ledgertest.NewLog(), clock: newClock()}
	w.ear = &ear{Log: w.log}
	feed := new(ledger.Feed)
	w.personal = ledgertest.Personal(t, w.log)
	w.state = ledgertest.FollowSealed(t, w.ear, w.clock.Now, w.personal, feed)
	w.Service = ledger.New(ledger.Config{
		Log: w.log, State: w.state, Now: w.clock.Now, MaxStaleness: ages, Feed: feed, Personal: w.personal,
	})
	return w
}

// newWorld gives a ledger with a root key.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := newBareWorld(t)
	issued, made, err := w.Bootstrap(t.Context(), ledger.Secret{})
	if err != nil || !made {
		t.Fatalf("bootstrap: made %v, %v", made, err)
	}
	w.first = issued
	w.root = ledger.Call{Principal: w.principal(issued.Token)}
	return w
}

// node is a node of a ledger.
type node struct {
	*ledger.Service
	state *ledgertest.State
}

// node is another node of the same ledger.
func (w *world) node() node {
	w.t.Helper()
	personal := ledgertest.Personal(w.t, w.log)
	state := ledgertest.FollowSealed(w.t, w.log, w.clock.Now, personal)
	return node{
		ledger.New(ledger.Config{Log: w.log, State: state, Now: w.clock.Now, MaxStaleness: ages, Personal: personal}),
		state,
	}
}

// nodes are the first node of a ledger and others.
func (w *world) nodes(n int) []node {
	w.t.Helper()
	list := []node{{w.Service, w.state}}
	for len(list) < n {
		list = append(list, w.node())
	}
	return list
}

// level waits until all nodes show what the log holds.
func (w *world) level(nodes []node) {
	w.t.Helper()
	last := must(w.log.Last(w.ctx()))
	for _, n := range nodes {
		if err := n.state.WaitFor(w.ctx(), last); err != nil {
			w.t.Fatal(err)
		}
	}
}

// ctx ends with the test.
func (w *world) ctx() context.Context { return w.t.Context() }

// principal authenticates a token.
func (w *world) principal(token ledger.Secret) ledger.Principal {
	w.t.Helper()
	p, err := w.Authenticate(w.ctx(), token.Reveal(), events.Origin{})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// create makes a key as root.
func (w *world) create(in ledger.Create) ledger.Issued {
	w.t.Helper()
	issued, err := w.Create(w.ctx(), &w.root, &in)
	if err != nil {
		w.t.Fatal(err)
	}
	w.visible(issued.Key)
	return issued
}

// caller is a call with a key that root makes.
func (w *world) caller(in ledger.Create) *ledger.Call {
	w.t.Helper()
	return &ledger.Call{Principal: w.principal(w.create(in).Token)}
}

// visible checks that what a command returned is what the State made of the stored event.
func (w *world) visible(k ledger.Key) {
	w.t.Helper()
	stored, ok, err := w.state.Key(w.ctx(), k.ID)
	if err != nil || !ok {
		w.t.Fatalf("key %s is not there: %v", k.ID, err)
	}
	stored.Use = ledger.Use{}
	if !reflect.DeepEqual(stored, k) {
		w.t.Fatalf("the command returned\n%+v\nbut the log holds\n%+v", k, stored)
	}
}

// changed checks a command on a key that goes well: it appends so many events, and returns what is then stored.
func (w *world) changed(appended int, do func() (ledger.Key, error)) ledger.Key {
	w.t.Helper()
	before := w.log.Len()
	k, err := do()
	if err != nil {
		w.t.Fatal(err)
	}
	if n := w.log.Len() - before; n != appended {
		w.t.Fatalf("%d events were appended, want %d", n, appended)
	}
	w.visible(k)
	return k
}

// refused checks a command that is refused with a code, and appends nothing.
func (w *world) refused(code ledger.Code, do func() error) *ledger.Error {
	w.t.Helper()
	before := w.log.Len()
	err := do()
	if ledger.CodeOf(err) != code {
		w.t.Fatalf("got %q (%v), want %q", ledger.CodeOf(err), err, code)
	}
	if n := w.log.Len() - before; n != 0 {
		w.t.Fatalf("a refused command appended %d events", n)
	}
	e, ok := err.(*ledger.Error)
	if !ok {
		w.t.Fatalf("%v is a %T, not an *Error", err, err)
	}
	return e
}

// decision is what the ledger decides about a token, for root.
func (w *world) decision(token ledger.Secret) ledger.Decision {
	w.t.Helper()
	return w.verify(ledger.VerifyRequest{Token: token.Reveal()}).Decision
}

// verify decides for root.
func (w *world) verify(r ledger.VerifyRequest) ledger.Verification {
	w.t.Helper()
	v, err := w.Verify(w.ctx(), &w.root.Principal, &r)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// ptr is a pointer to a copy of v.
func ptr[T any](v T) *T { return &v }

// must is v when there is no error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// nobody is the id of no key.
var nobody = uuid.MustParse("00000000-0000-7000-8000-000000000000")
