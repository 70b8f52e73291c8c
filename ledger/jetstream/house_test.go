package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
)

// house is a ledger whose keys may subscribe over NATS.
type house struct {
	*ledger.Service
	t    testing.TB
	url  string
	nc   *nats.Conn // of the ledger itself
	js   natsjs.JetStream
	root ledger.Call
	logs *syncBuffer
	ears *ears
}

// ears is a State that can be made to have heard nothing.
type ears struct {
	ledger.State
	deaf atomic.Bool
}

func (e *ears) Heard() time.Time {
	if e.deaf.Load() {
		return time.Time{}
	}
	return e.State.Heard()
}

// syncBuffer is a buffer that is read while it is written to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newHouse runs an embedded server with a client port, and admits subscribers.
func newHouse(t testing.TB) *house {
	t.Helper()
	return newHouseWith(t, jetstream.EmbedOptions{})
}

// newHouseWith is newHouse with options of the server.
func newHouseWith(t testing.TB, o jetstream.EmbedOptions) *house {
	t.Helper()
	h := &house{t: t, logs: new(syncBuffer)}
	o.Dir, o.Listen = t.TempDir(), "127.0.0.1:0"
	o.Log = slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := jetstream.Embed(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	h.url = "nats://" + s.Addr().String()
	if h.nc, err = s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.nc.Close)
	h.settle(jetstream.Options{Server: s})
	subscribers, err := s.Admit(h.nc, h.Service)
	if err != nil {
		t.Fatal(err)
	}
	h.runs(subscribers)
	return h
}

// settle makes the ledger with its root key.
func (h *house) settle(o jetstream.Options) {
	h.t.Helper()
	l, err := jetstream.Open(h.t.Context(), h.nc, o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(l.Close)
	h.ears = &ears{State: ledgertest.Follow(h.t, l, time.Now)}
	h.Service = ledger.New(ledger.Config{Log: l, State: h.ears, MaxStaleness: time.Hour})
	issued, _, err := h.Bootstrap(h.t.Context(), ledger.Secret{})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.root.Principal, err = h.Authenticate(h.t.Context(), issued.Token.Reveal(), events.Origin{}); err != nil {
		h.t.Fatal(err)
	}
	if h.js, err = natsjs.New(h.nc); err != nil {
		h.t.Fatal(err)
	}
}

// runs runs the admission of subscribers until the test ends.
func (h *house) runs(s *jetstream.Subscribers) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
}

// key makes a key.
func (h *house) key(owner ledger.Owner, scopes ...string) ledger.Issued {
	h.t.Helper()
	return h.create(ledger.Create{Name: "subscriber", Owner: owner, Scopes: scopes})
}

func (h *house) create(in ledger.Create) ledger.Issued {
	h.t.Helper()
	call := h.root
	issued, err := h.Create(h.t.Context(), &call, &in)
	if err != nil {
		h.t.Fatal(err)
	}
	return issued
}

// reader is a connected subscriber.
type reader struct {
	*nats.Conn
	t          testing.TB
	js         natsjs.JetStream
	key        string
	violations chan string
	closed     chan struct{}
}

// connect connects with the token of a key, as the documentation says.
func (h *house) connect(k ledger.Issued, options ...nats.Option) *reader {
	h.t.Helper()
	r := &reader{t: h.t, key: k.Key.ID.String(), violations: make(chan string, 100), closed: make(chan struct{})}
	options = append([]nats.Option{
		nats.Token(k.Token.Reveal()),
		nats.CustomInboxPrefix("_INBOX.key." + r.key),
		nats.MaxReconnects(0),
		nats.ClosedHandler(func(*nats.Conn) { close(r.closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				r.violations <- err.Error()
			}
		}),
	}, options...)
	var err error
	if r.Conn, err = nats.Connect(h.url, options...); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(r.Close)
	if r.js, err = natsjs.New(r.Conn); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// read reads the subjects of all that a consumer gives now.
func (r *reader) read(c natsjs.ConsumerConfig) []string {
	r.t.Helper()
	consumer, err := r.js.CreateOrUpdateConsumer(r.t.Context(), jetstream.LedgerStream, c)
	if err != nil {
		r.t.Fatal(err)
	}
	pending := consumer.CachedInfo().NumPending
	batch, err := consumer.Fetch(int(pending)+1, natsjs.FetchMaxWait(time.Second))
	if err != nil {
		r.t.Fatal(err)
	}
	var subjects []string
	for m := range batch.Messages() {
		subjects = append(subjects, m.Subject())
		if uint64(len(subjects)) == pending {
			break
		}
	}
	if uint64(len(subjects)) != pending {
		r.t.Fatalf("%d messages instead of %d, %v", len(subjects), pending, batch.Error())
	}
	if err := r.js.DeleteConsumer(r.t.Context(), jetstream.LedgerStream, consumer.CachedInfo().Name); err != nil {
		r.t.Fatal(err)
	}
	return subjects
}

// subjects is where events of keys are, in order.
func subjects(keys ...ledger.Issued) []string {
	var list []string
	for _, k := range keys {
		list = append(list, events.KeySubject(&k.Key.Owner, k.Key.ID))
	}
	return list
}
