package jetstream_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// BenchmarkAppend measures durable appends by a number of concurrent callers on an embedded server: see benchmarkAppend.
func BenchmarkAppend(b *testing.B) {
	l, nc := openConn(b, b.TempDir(), jetstream.Options{})
	benchmarkAppend(b, l, nc, 1)
}

// BenchmarkClusterAppend is BenchmarkAppend on three servers in this process.
func BenchmarkClusterAppend(b *testing.B) {
	url := cluster(b)[0].ClientURL()
	nc, err := jetstream.Connect(b.Context(), jetstream.ConnectOptions{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	benchmarkAppend(b, openURL(b, url, jetstream.Options{Replicas: 3}), nc, 3)
}

// benchmarkAppend measures appends, and in the same run plain acknowledged publishes of as many publishers to a like
// stream of the same server: ratio is the one divided by the other.
func benchmarkAppend(b *testing.B, l *jetstream.Log, nc *nats.Conn, replicas int) {
	js, err := nc.JetStream()
	if err != nil {
		b.Fatal(err)
	}
	raw := &nats.StreamConfig{Name: "RAW", Subjects: []string{"raw.>"}, Discard: nats.DiscardNew, Replicas: replicas}
	if _, err := js.AddStream(raw); err != nil {
		b.Fatal(err)
	}
	for _, callers := range []int{1, 8, 12, 16, 24, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			n := max(b.N, 20*callers)
			raw, _ := measure(b, callers, n, func() error {
				m := nats.NewMsg("raw." + uuid.NewString())
				m.Data = make([]byte, 300)
				m.Header.Set(nats.MsgIdHdr, uuid.NewString())
				_, err := js.PublishMsg(m)
				return err
			})
			appends, p50 := measure(b, callers, n, func() error {
				_, err := l.Append(b.Context(), entry())
				return err
			})
			b.ReportMetric(raw, "raw/s")
			b.ReportMetric(appends, "appends/s")
			b.ReportMetric(appends/raw, "ratio")
			b.ReportMetric(float64(p50.Microseconds()), "p50-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// measure calls do n times from a number of callers. It gives the calls per second and the median time of one.
func measure(b *testing.B, callers, n int, do func() error) (perSecond float64, p50 time.Duration) {
	var calls atomic.Int64
	var wg sync.WaitGroup
	times := make([][]time.Duration, callers)
	start := time.Now()
	for i := range callers {
		wg.Go(func() {
			for calls.Add(1) <= int64(n) {
				begin := time.Now()
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				times[i] = append(times[i], time.Since(begin))
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	all := slices.Sorted(slices.Values(slices.Concat(times...)))
	return float64(n) / took.Seconds(), all[len(all)/2]
}

// BenchmarkTail measures a replay, and in the same run that of the client's own ordered consumer, which decodes nothing.
func BenchmarkTail(b *testing.B) {
	const events = 100_000
	l, nc := openConn(b, b.TempDir(), jetstream.Options{})
	fill(b, l, events)
	js, err := natsjs.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	var raw, tail time.Duration
	for b.Loop() {
		raw += replayRaw(b, js, events)
		tail += replay(b, l, events)
	}
	n := float64(b.N) * events
	b.ReportMetric(n/raw.Seconds(), "raw/s")
	b.ReportMetric(n/tail.Seconds(), "events/s")
	b.ReportMetric(raw.Seconds()/tail.Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

// fill appends n events.
func fill(t testing.TB, l *jetstream.Log, n int) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(1000)
	for range n {
		group.Go(func() error {
			_, err := l.Append(t.Context(), entry())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// replay reads n events with a tail.
func replay(t testing.TB, l *jetstream.Log, n int) time.Duration {
	t.Helper()
	start, got := time.Now(), 0
	done := errors.New("done")
	err := l.Tail(t.Context(), 1, func(b ledger.Batch) error {
		if got += len(b.Messages); got >= n {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
	return time.Since(start)
}

// replayRaw reads n messages with an ordered consumer.
func replayRaw(t testing.TB, js natsjs.JetStream, n int) time.Duration {
	t.Helper()
	start := time.Now()
	consumer, err := js.OrderedConsumer(t.Context(), jetstream.LedgerStream, natsjs.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	got := 0
	consuming, err := consumer.Consume(func(natsjs.Msg) {
		if got++; got == n {
			close(done)
		}
	}, natsjs.PullMaxMessages(5000))
	if err != nil {
		t.Fatal(err)
	}
	<-done
	consuming.Stop()
	return time.Since(start)
}

// BenchmarkTailLatency measures the time from an append's return to the call of a tail's handler with the event.
func BenchmarkTailLatency(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l, _ := openConn(b, b.TempDir(), jetstream.Options{})
			var mu sync.Mutex
			seen := make(map[uuid.UUID]time.Time)
			go l.Tail(b.Context(), 1, func(batch ledger.Batch) error {
				now := time.Now()
				mu.Lock()
				defer mu.Unlock()
				for _, m := range batch.Messages {
					seen[m.ID] = now
				}
				return nil
			})
			returned := make(map[uuid.UUID]time.Time)
			var rmu sync.Mutex
			measure(b, callers, max(b.N, 2*callers), func() error {
				e := entry()
				_, err := l.Append(b.Context(), e)
				rmu.Lock()
				returned[e.Message.ID] = time.Now()
				rmu.Unlock()
				return err
			})
			until(b, "the tail to hand over all that was appended", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(seen) >= len(returned)
			})
			mu.Lock()
			defer mu.Unlock()
			var late []time.Duration
			for id, at := range returned {
				late = append(late, seen[id].Sub(at))
			}
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}
