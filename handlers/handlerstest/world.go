// Package handlerstest starts whole servers for tests of the native API and of dialects, as net/http/httptest does for
// handlers.
package handlerstest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/handlers"
	"keyledger/handlers/webhooks"
	"keyledger/ledger"
	"keyledger/projections"
)

// RootToken is the token of every world's root key.
const RootToken = "root-token-of-the-tests-0123456789"

// Options are what a World is to be like.
type Options struct {
	// JetStream runs the server over the real thing: JetStream in this process with every write synced, and views on
	// disk. Else the ledger is in memory.
	JetStream bool

	// Waiting is how many appends may wait for JetStream; what is the default there when 0.
	Waiting int

	// Mount mounts dialects. nil: the native API is alone.
	Mount func(*handlers.Server, *ledger.Service) error

	// Webhooks changes how webhooks are delivered. nil: to every address, at once, and without a second attempt.
	Webhooks func(*webhooks.Config)

	// Idle delivers to no webhooks.
	Idle bool

	// Configure changes what the ledger and the server are made of. nil: nothing.
	Configure func(*handlers.Config, *ledger.Config)
}

// World is a server on a loopback port, over a ledger with one root key, until the test ends. Its clock moves as the
// test wants. Its tests fail when its log shows a token.
type World struct {
	URL     string // http://127.0.0.1:…
	Root    string // token of the root key
	Call    ledger.Call
	Service *ledger.Service
	Server  *handlers.Server
	Log     ledger.Log
	Queue   ledger.Queue
	Hooks   *webhooks.Dispatcher
	State   ledger.State
	Heads   *ledger.Heads // sign a head when Sign is called
	Metrics *prometheus.Registry
	Lines   Lines // of the server's log, unless Options.Configure sets another Logger

	feed     ledger.Feed
	personal *ledger.Personal
	ready    func(context.Context) error // of the ledger
	shift    atomic.Int64                // of the clock
	mu       sync.Mutex
	secrets  []string
}

// ages is longer than tests move the clock: no node is ever stale.
const ages = 100 * 365 * 24 * time.Hour

// log is what a ledger is stored in.
type log interface {
	ledger.Log
	ledger.UsageLog
	ledger.HeadLog
	ledger.ReadLog
	ledger.Memo
	ledger.Vault
	ledger.Queue
}

// New starts a World.
func New(t testing.TB, o Options) *World {
	t.Helper()
	w := &World{Root: RootToken, Metrics: prometheus.NewRegistry(), secrets: []string{RootToken}}
	var log log
	if o.JetStream {
		log = w.onJetStream(t, o.Waiting)
	} else {
		log = w.inMemory(t)
	}
	w.Log, w.Queue = log, log
	w.makeHeads(t, log)
	usage := ledger.NewUsage(log, 10*time.Millisecond)
	rules := ledger.Config{Log: log, State: w.State, Now: w.Now, MaxStaleness: ages, Usage: usage, Heads: w.Heads, Reads: log, Feed: &w.feed,
		Personal: w.personal,
		Replay: func(ctx context.Context, b ledger.Beginning) (ledger.PastState, error) {
			return projections.Past(ctx, log, w.personal, b)
		},
	}
	config := handlers.Config{
		State:      w.State,
		Memo:       log,
		Secret:     []byte("a secret of the server, 32 bytes"),
		LedgerName: "test",
		Version:    "v0",
		Logger:     slog.New(slog.NewJSONHandler(&w.Lines, nil)),
		Registerer: w.Metrics,
		Gatherer:   w.Metrics,
		Ready:      w.ready,
		Now:        w.Now,
	}
	hooks := webhooks.Config{
		State:      w.State,
		Log:        log,
		Queue:      log,
		Secret:     config.Secret,
		Network:    &webhooks.Network{Private: true},
		LedgerName: config.LedgerName,
		Version:    config.Version,
		Schedule:   []time.Duration{},
		Now:        w.Now,
		Logger:     config.Logger,
		Registerer: w.Metrics,
	}
	if o.Webhooks != nil {
		o.Webhooks(&hooks)
	}
	rules.Webhooks, config.Queue = hooks.Network.Policy(), log
	if o.Configure != nil {
		o.Configure(&config, &rules)
	}
	w.Service = ledger.New(rules)
	t.Cleanup(w.Service.Close)
	config.Service, hooks.Service = w.Service, w.Service
	var err error
	if config.Webhooks, err = webhooks.New(hooks); err != nil {
		t.Fatal(err)
	}
	w.Hooks = config.Webhooks
	server, err := handlers.New(config)
	if err == nil && o.Mount != nil {
		err = o.Mount(server, w.Service)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Server = server
	beside(t, usage.Run)
	if !o.Idle {
		beside(t, config.Webhooks.Run)
	}
	w.bootstrap(t)
	w.URL = "http://" + Serve(t, handlers.NewHTTPServer(server, slog.New(slog.DiscardHandler), nil))
	t.Cleanup(func() { w.checkLines(t) })
	return w
}

// Origin names the ledger of every world in its heads.
const Origin = "keyledger.test/world"

// makeHeads makes what signs heads of the ledger, with a key that all worlds have.
func (w *World) makeHeads(t testing.TB, log log) {
	t.Helper()
	var kept []byte
	heads, err := ledger.NewHeads(ledger.HeadsConfig{
		Log: log, Heads: log, State: w.State, Origin: Origin, Seed: make([]byte, ledger.SigningSeed),
		Keep: func(note []byte) error { kept = note; return nil },
		Kept: func() ([]byte, error) { return kept, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Heads = heads
}

// bootstrap makes the root key.
func (w *World) bootstrap(t testing.TB) {
	t.Helper()
	issued, made, err := w.Service.Bootstrap(t.Context(), ledger.NewSecret(RootToken))
	if err != nil || !made {
		t.Fatalf("bootstrap: made %v, %v", made, err)
	}
	w.Call = ledger.Call{Principal: ledger.Principal{KeyID: issued.Key.ID, Scopes: issued.Key.Scopes}}
}

// beside runs something beside the test until it ends.
func beside(t testing.TB, something func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := something(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// Serve serves on a loopback port until the test ends, with TLS when the server is configured for it, and returns the
// address.
func Serve(t testing.TB, server *http.Server) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			done <- server.ServeTLS(listener, "", "")
		} else {
			done <- server.Serve(listener)
		}
	}()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// Now is the time of the world.
func (w *World) Now() time.Time { return time.Now().Add(time.Duration(w.shift.Load())) }

// Later moves the clock.
func (w *World) Later(d time.Duration) { w.shift.Add(int64(d)) }

// Key creates a key as root, past HTTP.
func (w *World) Key(t testing.TB, in ledger.Create) ledger.Issued {
	t.Helper()
	call := w.Call
	issued, err := w.Service.Create(t.Context(), &call, &in)
	if err != nil {
		t.Fatal(err)
	}
	w.Hide(issued.Token.Reveal())
	return issued
}

// WaitForUse waits until so many uses of a key are in the views.
func (w *World) WaitForUse(t testing.TB, id uuid.UUID, count uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		use, err := w.State.LastUse(ctx, id)
		switch {
		case err != nil:
			t.Fatal(err)
		case use.Count >= count:
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d uses are seen, want %d", use.Count, count)
		case <-tick.C:
		}
	}
}

// Hide notes a secret that no line of the log may show. Tokens that Key makes are noted already.
func (w *World) Hide(secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, secret)
}

// checkLines holds the log against what it must never show.
func (w *World) checkLines(t testing.TB) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.Lines.String()
	for _, secret := range w.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the log shows a token:\n%s", text)
		}
	}
}
