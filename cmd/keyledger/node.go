package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/handlers/webhooks"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/projections"
)

// node is one running server: its parts in the order in which they come to life.
type node struct {
	config   *config
	progress *progress // and standard error
	log      *slog.Logger
	undo     *cleanups
	failed   chan error // what ended in the background, though it should not

	folder      *dataFolder
	secret      string
	personal    *ledger.Personal
	certificate *tls.Config // nil: no TLS
	metrics     *prometheus.Registry
	gate        *gate
	http        *http.Server
	url         string
	natsURL     string            // of subscribers; empty when the NATS is external or does not listen
	server      *jetstream.Server // nil: the NATS is external
	broken      atomic.Pointer[error]
	draining    atomic.Bool
	nats        *nats.Conn
	system      *nats.Conn // to the system account of the external NATS; nil: none is configured
	events      *jetstream.Log
	views       *projections.Views
	seen        uint64 // position of the views before this start
	heads       *ledger.Heads
	feed        ledger.Feed
	usage       *ledger.Usage
	reads       *ledger.Reads // nil: they are not recorded
	service     *ledger.Service
	webhooks    *webhooks.Dispatcher
	rootToken   string // minted at this start, to be shown
}

func newNode(c *config, stderr io.Writer) *node {
	bar := &progress{stderr: stderr} // the log has lines of its own for what takes long
	log := newLogger(c, bar)
	return &node{
		config:   c,
		progress: bar,
		log:      log,
		undo:     &cleanups{log: log},
		failed:   make(chan error, 1),
		metrics:  prometheus.NewRegistry(),
		gate:     &gate{},
	}
}

func newLogger(c *config, stderr io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.logLevel}
	if c.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(stderr, options))
	}
	return slog.New(slog.NewTextHandler(stderr, options))
}

// run starts the node, lets it serve until ctx ends or it fails, and stops it.
func (n *node) run(ctx context.Context) error {
	err := n.start(ctx)
	if err == nil {
		n.greet()
		if err = n.wait(ctx); ctx.Err() != nil {
			n.drain()
		}
	}
	if ctx.Err() != nil {
		n.log.Info("stopping")
		if !errors.Is(err, context.Canceled) {
			n.log.Warn("this was given up", "error", err)
		}
		err = nil // it was told to stop, whatever it was doing
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.config.shutdownTimeout)
	defer cancel()
	return errors.Join(err, n.undo.run(stop))
}

// slowStep is how long a step of the start may take before it is told which one it is.
const slowStep = 2 * time.Second

// start brings the parts to life. What each step has made is undone, in the opposite order, when the node stops or a
// later step fails: requests are finished, then usage is flushed, then the views stop, then the stores are closed.
func (n *node) start(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"taking the data folder", n.takeFolder},
		{"reading the secret", n.readSecret},
		{"taking the port", n.listen},
		{"opening the ledger and the views", n.openStores},
		{"making the API", n.newAPI},
		{"following the ledger", n.persist(n.follow)},
		{"catching up with the ledger", n.persist(n.catchUp)},
		{"awaiting the replicas of this peer", n.awaitReplicas},
		{"comparing the ledger with its last head", n.persist(n.checkHeads)},
		{"making the root key", n.makeRoot},
		{"signing the head of the ledger", n.signHeads},
		{"admitting subscribers", n.admit},
		{"destroying what was erased", n.persist(n.destroyErased)},
		{"announcing notices", n.storeNotices},
		{"opening the gate", n.open},
	} {
		begin := time.Now()
		slow := time.AfterFunc(slowStep, func() { n.log.Info("still starting", "step", step.name) })
		err := step.do(ctx)
		slow.Stop()
		if err != nil {
			return err
		}
		n.log.Debug("started", "step", step.name, "took", time.Since(begin))
	}
	return nil
}

// wait returns when ctx ends or a part fails.
func (n *node) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-n.failed:
		return err
	}
}

// drain goes on serving for a while, not ready: so balancers have turned away when the port is closed.
func (n *node) drain() {
	if n.config.drain == 0 {
		return
	}
	n.draining.Store(true)
	n.log.Info("draining", "for", n.config.drain)
	select {
	case err := <-n.failed:
		n.log.Warn("this failed meanwhile", "error", err)
	case <-time.After(n.config.drain):
	}
}

// background runs a part until the cleanup of this name, which waits for its end. A part that ends before is a failure
// of the node.
func (n *node) background(cleanup string, part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := part(ctx)
		if ctx.Err() == nil {
			select {
			case n.failed <- fmt.Errorf("ended unexpectedly: %w", err):
			default: // another part failed first
			}
			err = nil
		}
		ended <- err
	}()
	n.undo.add(cleanup, func(context.Context) error {
		cancel()
		err := <-ended
		if errors.Is(err, context.Canceled) || errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
}
