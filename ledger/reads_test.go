package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// recorder is a Reads with its log.
type recorder struct {
	*ledger.Reads
	t    *testing.T
	log  *ledgertest.Log
	stop func() error
}

func newRecorder(t *testing.T, interval time.Duration) *recorder {
	t.Helper()
	log := ledgertest.NewLog()
	r := &recorder{Reads: ledger.NewReads(log, interval), t: t, log: log}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = func() error { cancel(); return <-done }
	return r
}

// record records a read by an actor.
func (r *recorder) record(actor string) error {
	return r.Record(&events.Read{Time: time.Now().UTC().Truncate(time.Microsecond), Actor: actor, Route: "GET /v1/keys", Status: 200})
}

// stored are the actors of the reads that are stored, in order.
func (r *recorder) stored() (actors []string) {
	r.t.Helper()
	for _, b := range must(r.log.ReadBatches(r.t.Context(), 1, 1000)) {
		for _, read := range must(events.DecodeReads(b.Data)) {
			actors = append(actors, read.Actor)
		}
	}
	return actors
}

func TestReadsAreStored(t *testing.T) {
	r := newRecorder(t, never)
	var want []string
	for i := range 3*events.MaxReads + 7 {
		want = append(want, fmt.Sprint("actor ", i))
		if err := r.record(want[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if got := r.stored(); !slices.Equal(got, want) {
		t.Errorf("%d reads are stored of %d", len(got), len(want))
	}
	if s := r.Stats(); s != (ledger.ReadStats{Recorded: uint64(len(want))}) {
		t.Errorf("%+v", s)
	}
}

// A read is refused rather than answered unrecorded: at once when too many wait. What waited is stored when the log is
// back, once, also when it was stored and the answer got lost.
func TestReadsAreRefusedWhenTheyCannotBeRecorded(t *testing.T) {
	r := newRecorder(t, time.Millisecond)
	r.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpAppendReads {
			return ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: true}
		}
		return ledgertest.Fault{}
	})
	var want []string
	var err error
	for err == nil && len(want) < 1<<20 {
		actor := fmt.Sprint("actor ", len(want))
		if err = r.record(actor); err == nil {
			want = append(want, actor)
		}
	}
	if ledger.CodeOf(err) != ledger.CodeUnavailable || len(want) != 1<<14 {
		t.Fatalf("after %d reads: %v", len(want), err)
	}
	if s := r.Stats(); s.Refused != 1 || s.Waiting != len(want) {
		t.Errorf("%+v", s)
	}
	r.log.Inject(nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if got := r.stored(); !slices.Equal(got, want) {
		t.Errorf("%d reads are stored of %d", len(got), len(want))
	}
}

// A read is also refused when the log has taken nothing for 10 s, however few wait.
func TestReadsAreRefusedWhenTheLogIsGoneForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder(t, time.Second)
		r.log.Crash()
		for range 10 {
			if err := r.record("actor"); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
		}
		<-time.After(2 * time.Second)
		if err := r.record("refused"); ledger.CodeOf(err) != ledger.CodeUnavailable {
			t.Errorf("after 12 s: %v", err)
		}
		r.log.Restart()
		<-time.After(2 * time.Second)
		if err := r.record("recorded"); err != nil {
			t.Error(err)
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		if got := r.stored(); len(got) != 11 || got[10] != "recorded" {
			t.Errorf("got %q", got)
		}
	})
}

func TestReadsThatAreLostAtTheStopAreTold(t *testing.T) {
	r := newRecorder(t, never)
	if err := r.record("actor"); err != nil {
		t.Fatal(err)
	}
	r.log.Crash()
	if err := r.stop(); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// readWorld is a service over a log with recorded reads, and its auditor.
type readWorld struct {
	*ledger.Service
	log     *ledgertest.Log
	auditor ledger.Principal
	reads   []events.Read
}

// newReadWorld has batches of the sizes, each read a second after the one before.
func newReadWorld(t *testing.T, sizes ...int) *readWorld {
	t.Helper()
	w := &readWorld{log: ledgertest.NewLog()}
	w.Service = ledger.New(ledger.Config{Log: w.log, State: ledgertest.Follow(t, w.log, time.Now), Reads: w.log, MaxStaleness: time.Hour})
	issued, _, err := w.Bootstrap(t.Context(), ledger.NewSecret("a-root-token-of-32-characters-ok"))
	if err != nil {
		t.Fatal(err)
	}
	w.auditor = ledger.Principal{KeyID: issued.Key.ID, Scopes: issued.Key.Scopes}
	at := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	for _, size := range sizes {
		var batch []events.Read
		for range size {
			n := len(w.reads)
			r := events.Read{Time: at.Add(time.Duration(n) * time.Second), Actor: fmt.Sprint("actor ", n%3), Route: "GET /v1/keys/{id}", Status: 200}
			r.KeyID[15] = byte(1 + n%5)
			w.reads, batch = append(w.reads, r), append(batch, r)
		}
		if err := w.log.AppendReads(t.Context(), must(events.EncodeReads(batch))); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// all follows the pages of a query.
func (w *readWorld) all(t *testing.T, q ledger.ReadQuery) (all []events.Read) {
	t.Helper()
	for range 10_000 {
		page, err := w.Reads(t.Context(), &w.auditor, &q)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, page.Reads...); !page.More {
			return all
		}
		q.After = page.Next
	}
	t.Fatal("the pages do not end")
	return nil
}

func TestReadsAreSelected(t *testing.T) {
	w := newReadWorld(t, 1, 7, 200, 1, 1, 30)
	key := w.reads[3].KeyID
	from, until := w.reads[50].Time, w.reads[120].Time
	for name, test := range map[string]struct {
		query ledger.ReadQuery
		want  func(r *events.Read) bool
	}{
		"all":      {ledger.ReadQuery{}, func(*events.Read) bool { return true }},
		"by actor": {ledger.ReadQuery{Actor: "actor 1"}, func(r *events.Read) bool { return r.Actor == "actor 1" }},
		"of key":   {ledger.ReadQuery{Key: key}, func(r *events.Read) bool { return r.KeyID == key }},
		"from":     {ledger.ReadQuery{From: from}, func(r *events.Read) bool { return !r.Time.Before(from) }},
		"until":    {ledger.ReadQuery{Until: until}, func(r *events.Read) bool { return r.Time.Before(until) }},
		"all of it": {ledger.ReadQuery{Actor: "actor 1", Key: key, From: from, Until: until}, func(r *events.Read) bool {
			return r.Actor == "actor 1" && r.KeyID == key && !r.Time.Before(from) && r.Time.Before(until)
		}},
		"by nobody":  {ledger.ReadQuery{Actor: "nobody"}, func(*events.Read) bool { return false }},
		"of no key":  {ledger.ReadQuery{Key: uuid.New()}, func(*events.Read) bool { return false }},
		"from later": {ledger.ReadQuery{From: time.Now().Add(time.Hour)}, func(*events.Read) bool { return false }},
	} {
		var want []events.Read
		for i := range w.reads {
			if test.want(&w.reads[i]) {
				want = append(want, w.reads[i])
			}
		}
		for _, limit := range []int{1, 7, 240, ledger.MaxPage} {
			test.query.Limit = limit
			if got := w.all(t, test.query); !slices.Equal(got, want) {
				t.Errorf("%s, pages of %d: %d reads, want %d", name, limit, len(got), len(want))
			}
		}
	}
}

// A page looks at a bounded number of batches.
func TestPagesOfManyBatches(t *testing.T) {
	w := newReadWorld(t, slices.Repeat([]int{1}, 2500)...)
	page, err := w.Reads(t.Context(), &w.auditor, &ledger.ReadQuery{Actor: "nobody", Limit: 10})
	if err != nil || len(page.Reads) != 0 || !page.More || page.Next.Batch != 1025 {
		t.Errorf("%+v, %v", page, err)
	}
	if got := w.all(t, ledger.ReadQuery{Actor: "actor 2", Limit: 1000}); len(got) != 833 {
		t.Errorf("%d reads", len(got))
	}
}

func TestReadsAreForAuditors(t *testing.T) {
	w := newReadWorld(t, 1)
	call := &ledger.Call{Principal: w.auditor}
	for name, in := range map[string]ledger.Create{
		"another scope": {Scopes: []string{ledger.ScopeRead, ledger.ScopeEvents}},
		"an owner":      {Scopes: []string{ledger.ScopeAudit}, Owner: ledger.Owner{Workspace: "acme"}},
	} {
		k := must(w.Create(t.Context(), call, &in)).Key
		p := &ledger.Principal{KeyID: k.ID, Owner: k.Owner, Scopes: k.Scopes}
		if _, err := w.Reads(t.Context(), p, &ledger.ReadQuery{Limit: 1}); ledger.CodeOf(err) != ledger.CodeForbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
	k := must(w.Create(t.Context(), call, &ledger.Create{Scopes: []string{ledger.ScopeAudit}})).Key
	p := &ledger.Principal{KeyID: k.ID, Scopes: k.Scopes}
	if page, err := w.Reads(t.Context(), p, &ledger.ReadQuery{Limit: 1}); err != nil || len(page.Reads) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	must(w.Revoke(t.Context(), call, k.ID, ""))
	if _, err := w.Reads(t.Context(), p, &ledger.ReadQuery{Limit: 1}); ledger.CodeOf(err) != ledger.CodeUnauthenticated {
		t.Errorf("revoked: %v", err)
	}
	if _, err := w.Reads(t.Context(), &w.auditor, &ledger.ReadQuery{}); ledger.CodeOf(err) != ledger.CodeInvalid {
		t.Errorf("no limit: %v", err)
	}
}
