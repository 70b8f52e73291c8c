package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// TestCrowd appends 10,000 commits at once, of which every second one must lose: each that was acknowledged is in the
// log, once, where it was said to be, and nothing else is.
func TestCrowd(t *testing.T) {
	const keys = 5000
	registry := prometheus.NewRegistry()
	l := open(t, t.TempDir(), jetstream.Options{Queue: 2 * keys, Registerer: registry})
	type outcome struct {
		entries  []ledger.Entry
		sequence uint64
		err      error
	}
	outcomes := make([]outcome, 2*keys)
	for i := range keys {
		a, b := entry(), entry()
		b.Message.Subject = a.Message.Subject
		outcomes[2*i].entries = []ledger.Entry{a}
		outcomes[2*i+1].entries = []ledger.Entry{b}
		if i%50 == 0 { // a commit of two
			outcomes[2*i].entries = append(outcomes[2*i].entries, entry())
		}
	}
	var running sync.WaitGroup
	for i := range outcomes {
		o := &outcomes[i]
		running.Go(func() { o.sequence, o.err = l.Append(t.Context(), o.entries...) })
	}
	running.Wait()

	want := make(map[uint64]uuid.UUID)
	for i := range keys {
		a, b := &outcomes[2*i], &outcomes[2*i+1]
		if a.err != nil {
			a, b = b, a
		}
		if a.err != nil || !errors.Is(b.err, ledger.ErrConflict) {
			t.Fatalf("of two appends to one key, one gives %v and the other %v", a.err, b.err)
		}
		for j, e := range a.entries {
			want[a.sequence-uint64(len(a.entries)-1-j)] = e.Message.ID
		}
	}
	for _, m := range collect(t, l, 1, len(want)) {
		if want[m.Sequence] != m.ID {
			t.Fatalf("message %d is %s, want %s", m.Sequence, m.ID, want[m.Sequence])
		}
	}
	if last, err := l.Last(t.Context()); err != nil || last != uint64(len(want)) {
		t.Fatalf("the log ends at %d, %v, want %d", last, err, len(want))
	}
	if n := gauge(t, registry, "keyledger_append_conflicts_total"); n != keys {
		t.Errorf("%v conflicts were counted, want %d", n, keys)
	}
}

// collect reads n messages with a tail.
func collect(t testing.TB, l *jetstream.Log, from uint64, n int) (list []events.Message) {
	t.Helper()
	done := errors.New("done")
	err := l.Tail(t.Context(), from, func(b ledger.Batch) error {
		list = append(list, b.Messages...)
		if len(list) >= n {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("tail: %v", err)
	}
	return list
}

// proxy stands between a log and its server.
type proxy struct {
	net.Listener
	backend string
	mute    atomic.Bool // what the server says is dropped
	mu      sync.Mutex
	open    []net.Conn
	dropped chan struct{} // gets one when an answer was dropped
}

func newProxy(t *testing.T, backend string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, backend: backend, dropped: make(chan struct{}, 1)}
	t.Cleanup(func() { l.Close(); p.cut() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			if server, err := net.Dial("tcp", backend); err == nil {
				p.mu.Lock()
				p.open = append(p.open, client, server)
				p.mu.Unlock()
				go io.Copy(server, client)
				go p.answers(client, server)
			}
		}
	}()
	return p
}

// answers carries what the server says to the client, unless it is muted.
func (p *proxy) answers(client, server net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			client.Close()
			return
		}
		if p.mute.Load() {
			select {
			case p.dropped <- struct{}{}:
			default:
			}
		} else if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections, and lets answers through again.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute.Store(false)
	for _, c := range p.open {
		c.Close()
	}
	p.open = nil
}

// external starts a nats-server for itself, and a proxy before it.
func external(t *testing.T) (*server.Server, *proxy) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 1 << 28,
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	until(t, "the server", func() bool { return s.ReadyForConnections(time.Second) })
	return s, newProxy(t, s.Addr().String())
}

// TestLostAnswers drops the answers of the stream under appends, then cuts the connection: the appends find out that
// they were stored, and are not stored twice.
func TestLostAnswers(t *testing.T) {
	for _, appends := range []int{1, 8, 200} {
		t.Run(fmt.Sprint(appends, " at once"), func(t *testing.T) {
			_, p := external(t)
			l := openURL(t, p.Addr().String(), jetstream.Options{})
			p.mute.Store(true)
			entries := make([][]ledger.Entry, appends)
			sequences := make([]uint64, appends)
			var running sync.WaitGroup
			for i := range entries {
				entries[i] = []ledger.Entry{entry()}
				if i%10 == 5 {
					entries[i] = append(entries[i], entry())
				}
				running.Go(func() {
					var err error
					if sequences[i], err = l.Append(t.Context(), entries[i]...); err != nil {
						t.Errorf("append: %v", err)
					}
				})
			}
			<-p.dropped
			p.cut()
			running.Wait()
			if t.Failed() {
				return
			}
			want := make(map[uint64]uuid.UUID)
			for i, list := range entries {
				for j, e := range list {
					want[sequences[i]-uint64(len(list)-1-j)] = e.Message.ID
				}
			}
			for _, m := range collect(t, l, 1, len(want)) {
				if want[m.Sequence] != m.ID {
					t.Fatalf("message %d is %s, want %s", m.Sequence, m.ID, want[m.Sequence])
				}
			}
			if last, err := l.Last(t.Context()); err != nil || last != uint64(len(want)) {
				t.Fatalf("the log ends at %d, %v, want %d", last, err, len(want))
			}
		})
	}
}

// TestOverload lets appends wait on a stream that does not answer: beyond the queue they fail at once and leave
// nothing. One whose context ends is withdrawn if it was not sent yet; else its outcome is awaited, and told.
func TestOverload(t *testing.T) {
	_, p := external(t)
	const queue = 40
	registry := prometheus.NewRegistry()
	l := openURL(t, p.Addr().String(), jetstream.Options{Queue: queue, Registerer: registry})

	p.mute.Store(true)
	var running sync.WaitGroup
	results := make([]error, queue)
	ctx, cancel := context.WithCancel(t.Context())
	for i := range queue {
		running.Go(func() { _, results[i] = l.Append(ctx, entry()) })
	}
	until(t, "all to wait", func() bool { return gauge(t, registry, "keyledger_append_waiting") == queue })
	if _, err := l.Append(t.Context(), entry()); !errors.Is(err, ledger.ErrOverloaded) {
		t.Fatalf("an append beyond the queue: %v, want ErrOverloaded", err)
	}
	if n := gauge(t, registry, "keyledger_append_overloaded_total"); n != 1 {
		t.Errorf("%v appends were counted as overloaded, want 1", n)
	}
	cancel()
	p.cut()
	running.Wait()
	stored := uint64(0)
	for _, err := range results {
		switch {
		case err == nil:
			stored++
		case !errors.Is(err, context.Canceled):
			t.Errorf("a waiting append: %v", err)
		}
	}
	if last, err := l.Last(t.Context()); err != nil || last != stored {
		t.Fatalf("the log ends at %d, %v, but %d appends were acknowledged", last, err, stored)
	}
	if _, err := l.Append(t.Context(), entry()); err != nil {
		t.Fatalf("an append afterwards: %v", err)
	}
}
