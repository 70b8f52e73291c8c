package ledger_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// meter is a Usage with its log and a State that follows it.
type meter struct {
	*ledger.Usage
	log   *ledgertest.Log
	state *ledgertest.State
}

// never is longer than a test takes: uses are flushed at the end only, or when too many wait.
const never = time.Hour

func newMeter(t testing.TB, interval time.Duration) *meter {
	log := ledgertest.NewLog()
	return &meter{ledger.NewUsage(log, interval), log, ledgertest.Follow(t, log, time.Now)}
}

// run runs the Usage until stop, which returns its error.
func (m *meter) run() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// sees waits until so many uses of a key have come through the log, and returns the last one.
func (m *meter) sees(t *testing.T, key uuid.UUID, count uint64) ledger.LastUse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := m.state.WaitForUses(ctx, key, count); err != nil {
		t.Fatalf("%d uses of %s did not come: %v", count, key, err)
	}
	return must(m.state.LastUse(ctx, key))
}

func TestUsage(t *testing.T) {
	m := newMeter(t, time.Millisecond)
	stop := m.run()
	one, two := uuid.New(), uuid.New()
	m.Touch(one, now.Add(2*time.Second), events.Origin{IP: "192.0.2.1", UserAgent: "a"})
	m.Touch(one, now.Add(3*time.Second), events.Origin{})                              // an unknown origin does not hide a known one
	m.Touch(one, now.Add(time.Second), events.Origin{IP: "192.0.2.2", UserAgent: "b"}) // comes late
	m.Touch(two, now, events.Origin{IP: "192.0.2.3"})
	if got, want := m.sees(t, one, 3), now.Add(3*time.Second); got.Count != 3 || !got.LastAt.Equal(want) {
		t.Fatalf("got %+v, want 3 uses, the last at %v", got, want)
	}
	m.sees(t, two, 1)
	m.Touch(one, now.Add(time.Minute), events.Origin{IP: "192.0.2.4", UserAgent: "c"})
	got := m.sees(t, one, 4)
	want := ledger.LastUse{Use: ledger.Use{LastAt: now.Add(time.Minute), Count: 4}, IP: "192.0.2.4", UserAgent: "c"}
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := m.Stats(); s.Flushed == 0 || s.Failed != 0 || s.Dropped != 0 {
		t.Fatalf("stats: %+v", s)
	}
}

func TestUsageMerges(t *testing.T) {
	m := newMeter(t, never)
	key := uuid.New()
	m.Touch(key, now.Add(2*time.Second), events.Origin{IP: "192.0.2.1", UserAgent: strings.Repeat("x", 10_000)})
	m.Touch(key, now.Add(3*time.Second), events.Origin{})
	m.Touch(key, now.Add(time.Second), events.Origin{IP: "192.0.2.2"})
	if err := m.run()(); err != nil {
		t.Fatal(err)
	}
	got := m.sees(t, key, 3)
	want := ledger.LastUse{Use: ledger.Use{LastAt: now.Add(3 * time.Second), Count: 3}, IP: "192.0.2.1", UserAgent: strings.Repeat("x", 256)}
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if s := m.Stats(); s.Flushed != 1 {
		t.Fatalf("%d batches for one key", s.Flushed)
	}
}

// Nothing is written when nothing was used.
func TestUsageOfNothing(t *testing.T) {
	m := newMeter(t, time.Millisecond)
	m.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpAppendUsage {
			t.Error("an empty batch was stored")
		}
		return ledgertest.Fault{}
	})
	if err := m.run()(); err != nil {
		t.Fatal(err)
	}
}

func TestUsageIsKeptWhenTheLogFails(t *testing.T) {
	m := newMeter(t, time.Millisecond)
	failed := make(chan struct{})
	var once sync.Once
	down := func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op != ledgertest.OpAppendUsage {
			return ledgertest.Fault{}
		}
		once.Do(func() { close(failed) })
		return ledgertest.Fault{Err: ledger.ErrUnavailable}
	}
	m.log.Inject(down)
	stop := m.run()
	key := uuid.New()
	m.Touch(key, now, events.Origin{IP: "192.0.2.1"})
	<-failed
	m.Touch(key, now.Add(time.Second), events.Origin{IP: "192.0.2.1"})
	m.log.Inject(nil)
	got := m.sees(t, key, 2)
	if want := (ledger.LastUse{Use: ledger.Use{LastAt: now.Add(time.Second), Count: 2}, IP: "192.0.2.1"}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if s := m.Stats(); s.Failed == 0 || s.Dropped != 0 {
		t.Fatalf("stats: %+v", s)
	}
	m.log.Inject(down)
	m.Touch(key, now, events.Origin{})
	if err := stop(); !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatalf("the last flush failed with %v, want ErrUnavailable", err)
	}
}

// A batch that was stored, but whose answer was lost, is counted again: never less than what happened.
func TestUsageWhenTheAnswerIsLost(t *testing.T) {
	m := newMeter(t, never)
	m.log.FailNext(ledgertest.OpAppendUsage, ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: true})
	key := uuid.New()
	m.Touch(key, now, events.Origin{})
	if err := m.run()(); !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if err := m.run()(); err != nil {
		t.Fatal(err)
	}
	if got := m.sees(t, key, 2); got.Count != 2 {
		t.Fatalf("got %+v", got)
	}
}

// numberedKey is a key for each number.
func numberedKey(i int) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
	return id
}

// Very many keys are flushed early, in batches that a message can hold; without a log they are dropped and counted.
func TestUsageIsBounded(t *testing.T) {
	m := newMeter(t, never)
	const keys = 350_000
	for i := range keys {
		m.Touch(numberedKey(i), now, events.Origin{UserAgent: "ua"})
	}
	stats := m.Stats()
	if stats.Dropped == 0 || stats.Dropped > keys/2 || stats.Flushed != 0 {
		t.Fatalf("%d keys without a flush: %+v", keys, stats)
	}
	stop := m.run() // does not wait for the interval
	m.sees(t, numberedKey(0), 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	seen, origins, batches := make(map[uuid.UUID]bool), 0, m.Stats().Flushed
	enough := errors.New("enough")
	err := m.log.TailUsage(t.Context(), 1, func(sequence uint64, data []byte) error {
		if len(data) > 1<<20 {
			t.Errorf("a batch of %d bytes", len(data))
		}
		err := events.DecodeUsage(data, func(u events.Use) {
			seen[u.KeyID] = true
			if u.UserAgent != "" {
				origins++
			}
		})
		if err == nil && sequence == batches {
			return enough
		}
		return err
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if len(seen) != keys-int(stats.Dropped) {
		t.Fatalf("%d keys came, want all of %d but the %d dropped", len(seen), keys, stats.Dropped)
	}
	if origins == 0 || origins > 100_000 {
		t.Fatalf("%d origins were kept", origins)
	}
}

func TestUsageCountsEverything(t *testing.T) {
	m := newMeter(t, time.Microsecond)
	stop := m.run()
	var running sync.WaitGroup
	const each = 20_000
	for range 4 {
		running.Go(func() {
			for i := range each {
				m.Touch(numberedKey(i%5), now, events.Origin{IP: "192.0.2.1"})
			}
		})
	}
	running.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if got := m.sees(t, numberedKey(i), 4*each/5); got.Count != 4*each/5 {
			t.Fatalf("key %d: %d uses, want %d", i, got.Count, 4*each/5)
		}
	}
}

func TestTouchDoesNotAllocate(t *testing.T) {
	m := newMeter(t, never)
	from := events.Origin{IP: "192.0.2.1", UserAgent: "curl"}
	key := uuid.New()
	m.Touch(key, now, from)
	if n := testing.AllocsPerRun(1000, func() { m.Touch(key, now, from) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Verifications count as uses, whoever asks; refusals do not.
func TestVerificationsAreUses(t *testing.T) {
	w := newWorld(t)
	usage := ledger.NewUsage(w.log, time.Millisecond)
	s := ledger.New(ledger.Config{Log: w.log, State: w.state, Now: w.clock.Now, MaxStaleness: ages, Usage: usage})
	m := &meter{usage, w.log, w.state}
	stop := m.run()
	issued := w.create(ledger.Create{Scopes: []string{ledger.ScopeVerify}})
	id, token := issued.Key.ID, issued.Token.Reveal()
	from := events.Origin{IP: "192.0.2.9", UserAgent: "app"}
	p := must(s.Authenticate(w.ctx(), token, from))
	must(s.Verify(w.ctx(), &p, &ledger.VerifyRequest{Token: token, Origin: from}))
	must(s.Authorize(w.ctx(), &ledger.VerifyRequest{Token: token, Origin: from}))
	for _, refused := range []ledger.VerifyRequest{{Token: token, Workspace: "acme"}, {Token: token, Scopes: []string{"x"}}, {Token: mint()}} {
		must(s.Authorize(w.ctx(), &refused))
	}
	m.sees(t, id, 3)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := ledger.LastUse{Use: ledger.Use{LastAt: w.clock.Now(), Count: 3}, IP: "192.0.2.9", UserAgent: "app"}
	if got := must(w.LastUse(w.ctx(), &w.root.Principal, id)); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if k := must(w.Key(w.ctx(), &w.root.Principal, id)); k.Use != want.Use {
		t.Fatalf("the key says %+v", k.Use)
	}
	if got := w.list(&w.root, ledger.Query{UsedBefore: w.clock.Now().Add(1), Limit: 10}); len(got) != 1 {
		t.Fatalf("the list of used keys is %v", got)
	}
}

func BenchmarkTouch(b *testing.B) {
	u := ledger.NewUsage(ledgertest.NewLog(), never)
	from := events.Origin{IP: "192.0.2.1", UserAgent: "curl"}
	keys := make([]uuid.UUID, 1000)
	for i := range keys {
		keys[i] = uuid.New()
		u.Touch(keys[i], now, from)
	}
	b.Run("one key", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				u.Touch(keys[0], now, from)
			}
		})
	})
	b.Run("many keys", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				u.Touch(keys[i%len(keys)], now, from)
			}
		})
	})
}
