package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/handlers/webhooks"
	"keyledger/ledger"
)

// Defaults of a Config.
const (
	DefaultMaxBody = 64 << 10 // bytes
	DefaultTimeout = 10 * time.Second
)

// Config is what a Server is made of. Fields without a default are required.
type Config struct {
	Service    *ledger.Service
	State      ledger.State         // the same that Service has: for its position and for waiting on it
	Memo       ledger.Memo          // of the answers to idempotent requests
	Webhooks   *webhooks.Dispatcher // delivers; its Run is the caller's
	Queue      ledger.Queue         // the same that Webhooks has: for what became of deliveries
	Reads      *ledger.Reads        // records what is read; its Run is the caller's; nil: nothing is recorded
	Secret     []byte               // at least 32 bytes, the same on every node of a ledger: seals what Memo and cursors carry
	LedgerName string               // in the source of events: "/keyledger/<name>"
	Version    string               // of the program, for /healthz

	Logger        *slog.Logger          // of the access lines
	Registerer    prometheus.Registerer // takes the metrics of the server
	Gatherer      prometheus.Gatherer   // what /metrics shows
	MetricsPublic bool                  // /metrics without a token; else it takes scope ledger:audit without an owner

	// Ready is nil when the node can serve. The text of its error is shown to anyone who asks /readyz.
	Ready func(context.Context) error

	// TrustedProxies are believed about whom they speak for (X-Forwarded-For). Empty: nobody is.
	TrustedProxies []netip.Prefix

	// AuthFailures is how many wrong tokens from one address are answered 401 in a minute, the others 429; an IPv6 address
	// counts with its /64. A right token is never refused. 0: all are answered 401.
	AuthFailures int

	MaxBody int64            // bytes of a request's body; DefaultMaxBody when 0
	Timeout time.Duration    // of what waits for the log; DefaultTimeout when 0
	Stream  StreamConfig     // of streams of events
	Now     func() time.Time // time.Now when nil
}

func (c *Config) check() error {
	switch {
	case c.Service == nil, c.State == nil, c.Memo == nil, c.Logger == nil, c.Ready == nil,
		c.Registerer == nil, c.Gatherer == nil, c.Webhooks == nil, c.Queue == nil:
		return errors.New("handlers: Service, State, Memo, Webhooks, Queue, Logger, Ready, Registerer and Gatherer are required")
	case len(c.Secret) < 32:
		return errors.New("handlers: Secret has less than 32 bytes")
	case c.LedgerName == "":
		return errors.New("handlers: LedgerName is required")
	case c.Timeout > claimAge/2:
		return fmt.Errorf("handlers: Timeout is over %v", claimAge/2)
	}
	return nil
}

// Server is the HTTP API: an http.Handler.
type Server struct {
	config    Config
	router    *mux.Router
	endpoints map[*mux.Route]*endpoint
	exchanges sync.Pool
	metrics   *metrics
	failures  *failures
	unmatched slog.Handler // of the access lines of requests that no route matched
	once      *idempotency
	streams   context.Context // ends when EndStreams is called
	end       context.CancelFunc

	// Header values that every answer shares.
	noStore, noSniff, noBuffering, jsonType []string
}

// New gives a Server with the native API mounted.
func New(c Config) (*Server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Stream.fill()
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	keys, err := deriveKeys(c.Secret)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:      c,
		router:      mux.NewRouter().UseEncodedPath(),
		endpoints:   make(map[*mux.Route]*endpoint),
		metrics:     m,
		failures:    newFailures(c.AuthFailures, c.Now),
		once:        &idempotency{memo: c.Memo, keys: keys, now: c.Now},
		noStore:     []string{"no-store"},
		noSniff:     []string{"nosniff"},
		noBuffering: []string{"no"},
		jsonType:    []string{"application/json"},
	}
	s.streams, s.end = context.WithCancel(context.Background())
	s.unmatched = s.routeLog("")
	if err := s.Mount(nativeRoutes(s, keys), RenderProblem); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP answers one request: the only place that sends, counts and logs.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, ok := s.exchanges.Get().(*Exchange)
	if !ok {
		x = new(Exchange)
	}
	x.begin(s, w, r)
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()
	if x.err = s.answer(x); x.err != nil {
		x.err = s.failures.refused(x, x.err)
		x.refuse()
	}
	if s.config.Reads != nil {
		s.record(x)
	}
	x.send()
	if errors.Is(x.err, context.Canceled) {
		x.Status = statusCancelled
	}
	took := time.Since(x.started)
	s.metrics.count(x, took)
	cut := false
	if x.Stream != nil && x.Request.Method != http.MethodHead {
		cut = s.stream(x)
		took = time.Since(x.started)
	}
	s.logAccess(x, took)
	x.end()
	s.exchanges.Put(x)
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// answer runs the request and turns a panic into an error.
func (s *Server) answer(x *Exchange) (err error) {
	defer caught(&err)
	if err := s.match(x); err != nil {
		return err
	}
	if !x.route.Public {
		if err := x.authenticate(); err != nil {
			return err
		}
	}
	if err := x.readQuery(); err != nil {
		return err
	}
	if !x.route.Command && !x.route.Remote {
		return x.route.Handle(x)
	}
	request := x.Request
	ctx, cancel := x.limited()
	defer func() { // the deadline is not that of a stream
		cancel()
		x.Request = request
	}()
	x.Request = request.WithContext(ctx)
	if x.route.Command {
		return s.command(x)
	}
	return x.route.Handle(x)
}

// caught turns a panic into an error. It is deferred.
func caught(err *error) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}

// command runs a route that changes something, once per Idempotency-Key. A public one does not know its principal yet.
func (s *Server) command(x *Exchange) error {
	if x.route.Conditional {
		if err := x.readIfMatch(); err != nil {
			return err
		}
	}
	handle := func() error { return x.route.Handle(x) }
	keys := x.Request.Header["Idempotency-Key"]
	if len(keys) == 0 || x.route.Public {
		return handle()
	}
	body, err := x.RawInput() // whether it may be of its media type is for the handler to say
	if err != nil {
		return err
	}
	return s.once.run(x, keys, []string{string(body)}, handle)
}

// Once runs a change that a public Command makes, after its principal is known: once per principal and Idempotency-Key,
// and a repeat gets the first answer, as on every other Command. Without a principal, or without that header, it just
// runs it. asked is what the change depends on beside the method, the target, If-Match and the body.
func (x *Exchange) Once(change func() error, asked ...string) error {
	keys := x.Request.Header["Idempotency-Key"]
	if len(keys) == 0 || x.Principal.Name() == "" {
		return change()
	}
	body, err := x.RawInput()
	if err != nil {
		return err
	}
	return x.server.once.run(x, keys, append(asked, string(body)), change)
}

// refuse makes the answer of x.err, dropping what the handler has begun.
func (x *Exchange) refuse() {
	h := x.Header()
	for _, name := range []string{"Etag", "Location", "Content-Type", "Cache-Control", "Keyledger-Sequence"} {
		delete(h, name)
	}
	x.Body, x.Stream = x.Body[:0], nil
	x.render(x, x.err)
}
