package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"keyledger/handlers"
	"keyledger/handlers/webhooks"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/projections"
)

func newServeCommand(env environment) *cobra.Command { return serveCommand(env, &config{}) }

// serveCommand runs a server by what c already says, and the flags.
func serveCommand(env environment, c *config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server",
		Long: "Run a server. Every flag may be given as the environment variable that stands beside it; a flag goes before\n" +
			"its variable. It stops at SIGINT or SIGTERM when running requests are done; a second one ends it at once.\n" + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := env.apply(cmd.Flags()); err != nil {
				return err
			}
			if err := c.check(); err != nil {
				return err
			}
			limitMemory(env)
			n := newNode(c, cmd.ErrOrStderr())
			for _, name := range env.unknown(cmd.Flags(), newKeysCommand(env).PersistentFlags()) {
				n.log.Warn("an environment variable is unknown and has no effect", "name", name)
			}
			return n.run(cmd.Context())
		},
	}
	c.flags(cmd.Flags())
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Usage += " [" + variable(f.Name) + "]" })
	return cmd
}

// takeFolder makes the data folder ours. It comes first: all else happens in it.
func (n *node) takeFolder(context.Context) error {
	var err error
	if n.folder, err = openDataFolder(n.config.data); err != nil {
		return err
	}
	n.undo.add("unlock the data folder", func(context.Context) error { return n.folder.close() })
	if _, err := os.Stat(n.folder.file(importFile)); err == nil {
		return fmt.Errorf("%w: %s", errUnfinishedImport, n.folder.path)
	}
	return advise(jetstream.MarkFolder(n.folder.path, n.config.use()))
}

// errUnfinishedImport: the ledger in the data folder is not whole.
var errUnfinishedImport = errors.New("an import into the data folder was not finished: run the same keyledger audit import again")

// externalMode is how a data folder is used whose ledger is in an external NATS: for secrets and views.
const externalMode jetstream.Mode = "external"

// readSecret takes the secret of the nodes from the configuration, else from the data folder, where the first start
// makes it.
func (n *node) readSecret(context.Context) error {
	var err error
	if n.secret = n.config.secret; n.secret == "" {
		if n.secret, _, err = n.folder.secret(secretFile, mintSecret); err != nil {
			return fmt.Errorf("server secret: %w", err)
		}
	}
	n.personal, err = ledger.NewPersonal([]byte(n.secret))
	return err
}

// secretFile holds the secret of the nodes in the data folder.
const secretFile = "server.secret"

// fingerprint tells nodes with another secret apart without telling anything about the secret.
func fingerprint(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("keyledger fingerprint"))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// listen takes the port early: so a port in use is found before the stores are touched, and /healthz answers while
// they load. Everything else answers 503 until open.
func (n *node) listen(ctx context.Context) error {
	scheme := "http"
	if n.config.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(n.config.tlsCert, n.config.tlsKey)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		n.certificate, scheme = &tls.Config{Certificates: []tls.Certificate{pair}}, "https"
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", n.config.http)
	if err != nil {
		return err
	}
	n.http = handlers.NewHTTPServer(n.gate, n.log, n.certificate)
	if listener, err = n.bound(listener); err != nil {
		return err
	}
	n.background("close the port", func(ctx context.Context) error {
		context.AfterFunc(ctx, func() { n.http.Close() })
		if n.certificate != nil {
			return n.http.ServeTLS(listener, "", "")
		}
		return n.http.Serve(listener)
	})
	n.url = scheme + "://" + reachable(listener.Addr())
	return n.announce("http.addr", listener.Addr())
}

// bound bounds the connections that a listener accepts.
func (n *node) bound(listener net.Listener) (net.Listener, error) {
	most := boundConnections(n.config.maxConnections, openFiles())
	if most < n.config.maxConnections {
		n.log.Warn("there may be fewer connections than wanted: raise the limit of open files (ulimit -n)",
			"connections", most, "wanted", n.config.maxConnections)
	}
	connections, err := handlers.NewConnections(most, n.metrics)
	if err != nil {
		return nil, err
	}
	return connections.Bound(n.http, listener), nil
}

// announce writes where this process listens to a file of the data folder, for as long as it does.
func (n *node) announce(file string, address net.Addr) error {
	if err := n.folder.write(file, address.String()); err != nil {
		return err
	}
	n.undo.add("remove "+file, func(context.Context) error { return os.Remove(n.folder.file(file)) })
	return nil
}

// reachable is an address that a client on this machine can use.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// openStores opens the ledger and the views side by side, since each reads a lot at its start.
func (n *node) openStores(ctx context.Context) error {
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return n.openLedger(ctx) })
	both.Go(n.openViews)
	return both.Wait()
}

func (n *node) openLedger(ctx context.Context) error {
	var err error
	if n.nats, err = n.connect(ctx); err != nil {
		return err
	}
	n.undo.add("close the connection to NATS", func(context.Context) error { n.nats.Close(); return nil })
	if err := n.connectSystem(ctx); err != nil {
		return err
	}
	n.events, err = jetstream.Open(ctx, n.nats, jetstream.Options{
		System:      n.system,
		Replicas:    n.config.replicas,
		Fingerprint: fingerprint(n.secret),
		Server:      n.server,
		Reads:       n.config.readsRetention,
		Registerer:  n.metrics,
	})
	if err != nil {
		return n.explain(err)
	}
	n.undo.add("close the ledger", func(context.Context) error { n.events.Close(); return nil })
	for _, what := range n.events.Unverified() {
		n.log.Warn("it cannot be checked from here", "what", what)
	}
	return n.persist(func(ctx context.Context) error { return n.personal.Use(ctx, n.events) })(ctx)
}

// connectSystem connects to the system account of the external NATS, if a user of it is configured.
func (n *node) connectSystem(ctx context.Context) (err error) {
	c := n.config
	if c.natsSystem == "" {
		return nil
	}
	n.system, err = jetstream.Connect(ctx, jetstream.ConnectOptions{URL: c.natsSystem, CA: c.natsCA, Cert: c.natsCert, Key: c.natsKey})
	if err != nil {
		return fmt.Errorf("--nats-system: %w", err)
	}
	n.undo.add("close the connection to the system account", func(context.Context) error { n.system.Close(); return nil })
	return nil
}

// explain says of a refused fingerprint which setting it is about, and of a refused data folder what to do.
func (n *node) explain(err error) error {
	if errors.Is(err, jetstream.ErrFingerprint) {
		return fmt.Errorf("the secret (--secret, --secret-file or server.secret in the data folder) is not that of this ledger: %w", err)
	}
	return advise(err)
}

// connect connects to the external NATS, or starts one in this process.
func (n *node) connect(ctx context.Context) (*nats.Conn, error) {
	c := n.config
	if c.nats != "" {
		return jetstream.Connect(ctx, jetstream.ConnectOptions{
			URL: c.nats, Creds: c.natsCreds, CA: c.natsCA, Cert: c.natsCert, Key: c.natsKey,
		})
	}
	var err error
	n.server, err = jetstream.Embed(jetstream.EmbedOptions{
		Dir:     n.folder.path,
		Listen:  c.natsListen,
		TLS:     n.certificate.Clone(),
		Reserve: c.diskReserve << 20,
		Peer:    c.cluster.peer(n.secret),
		Log:     n.log,
	})
	if err != nil {
		return nil, err
	}
	n.undo.add("stop NATS", func(context.Context) error { n.server.Shutdown(); return nil })
	return n.server.Connect(ctx)
}

func (n *node) openViews() error {
	var err error
	n.views, err = projections.Open(projections.Options{
		Dir:       n.folder.file(viewsFolder),
		DiskIndex: n.config.verifyIndex == "disk",
		Treeless:  n.config.treeless,
		Metrics:   n.metrics,
		Applied:   n.feed.Publish,
		Personal:  n.personal,
		Logger:    n.log,
		Progress:  n.progress.show,
	})
	if err != nil {
		return err
	}
	n.seen = n.views.Position()
	n.undo.add("close the views", func(context.Context) error { return n.views.Close() })
	return nil
}

// accessDelay is how long access lines are gathered at most, to be written together.
const accessDelay = 200 * time.Millisecond

// newAPI makes the service and its HTTP API. The gate lets only the routes of operations through to it.
func (n *node) newAPI(context.Context) error {
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := n.makeHeads(); err != nil {
		return err
	}
	n.usage = ledger.NewUsage(n.events, 0)
	n.makeReads()
	network := &webhooks.Network{Private: n.config.webhookPrivate}
	n.service = ledger.New(ledger.Config{
		Log:          n.events,
		State:        n.views,
		Prefix:       n.config.tokenPrefix,
		MaxStaleness: n.config.maxStaleness,
		Usage:        n.usage,
		Heads:        n.heads,
		Reads:        n.events,
		Feed:         &n.feed,
		FirstUses:    n.config.firstUsedRate > 0,
		Webhooks:     network.Policy(),
		Replay: func(ctx context.Context, b ledger.Beginning) (ledger.PastState, error) {
			return projections.Past(ctx, n.events, n.personal, b)
		},
		PastEvents: n.config.asOfEvents,
		Personal:   n.personal,
	})
	n.undo.add("drop states of the past", func(context.Context) error { n.service.Close(); return nil })
	var err error
	if n.webhooks, err = webhooks.New(webhooks.Config{
		Service:    n.service,
		State:      n.views,
		Log:        n.events,
		Queue:      n.events,
		Secret:     []byte(n.secret),
		Network:    network,
		LedgerName: n.config.name,
		Version:    version(),
		Schedule:   n.config.webhookSchedule,
		Logger:     n.log,
		Registerer: n.metrics,
	}); err != nil {
		return err
	}
	lines := handlers.NewLogWriter(n.progress, accessDelay)
	n.undo.add("write the last access lines", func(context.Context) error { return lines.Close() })
	api, err := handlers.New(handlers.Config{
		Service:        n.service,
		State:          n.views,
		Memo:           n.events,
		Webhooks:       n.webhooks,
		Queue:          n.events,
		Reads:          n.reads,
		Secret:         []byte(n.secret),
		LedgerName:     n.config.name,
		Version:        version(),
		Logger:         newLogger(n.config, lines),
		Registerer:     n.metrics,
		Gatherer:       n.metrics,
		MetricsPublic:  n.config.metricsPublic,
		Ready:          n.ready,
		TrustedProxies: n.config.trustedProxies,
		AuthFailures:   n.config.authFailures,
	})
	if err != nil {
		return err
	}
	if err := n.mountDialects(api); err != nil {
		return err
	}
	n.http.RegisterOnShutdown(api.EndStreams)
	n.gate.pass(api)
	return nil
}

// follow lets the views follow the ledger and usage be flushed to it.
func (n *node) follow(ctx context.Context) error {
	seen := n.views.Position()
	last, err := ledger.Reached(ctx, n.events, seen, n.config.patience())
	if err != nil {
		return err
	}
	if last < seen {
		return fmt.Errorf("%w: it ends at event %d, but event %d was seen: it was cut, is an older copy or another one; "+
			"only if it is the right one, delete %s", ledger.ErrGap, last, seen, n.folder.file(viewsFolder))
	}
	n.background("stop the views", func(ctx context.Context) error { return n.views.Run(ctx, n.events, n.events) })
	n.background("flush usage", n.flushUsage)
	if n.reads != nil {
		n.background("store recorded reads", n.reads.Run)
	}
	if n.server != nil {
		n.background("stop watching NATS", n.watchServer)
	}
	n.background("stop webhooks", n.webhooks.Run)
	n.undo.add("finish requests", n.http.Shutdown)
	return nil
}

const viewsFolder = "views"

// flushUsage flushes usage until ctx ends. The last uses may be lost, on a full disk for example: that does not make the
// stop fail.
func (n *node) flushUsage(ctx context.Context) error {
	err := n.usage.Run(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	n.log.Warn("the last uses of keys were not stored", "error", err)
	return nil
}

// destroyErased destroys the keys of what the ledger says is erased, before anything is served: a node may have died in
// between. Then it does so as the ledger says it.
func (n *node) destroyErased(ctx context.Context) error {
	if err := n.personal.DestroyAll(ctx, n.views); err != nil {
		return err
	}
	n.background("stop destroying", func(ctx context.Context) error {
		return n.personal.Run(ctx, n.views, func(err error) {
			n.log.Warn("keys of erased data cannot be destroyed: it is tried again", "error", err)
		})
	})
	return nil
}

// storeNotices lets the notices of keys be stored: the views must hold what the ledger holds, else most would be there already.
func (n *node) storeNotices(context.Context) error {
	announcer := ledger.NewAnnouncer(n.service, ledger.AnnouncerConfig{
		Horizons:  n.config.horizons,
		FirstUses: n.config.firstUsedRate,
		Failed:    func(err error) { n.log.Warn("notices of keys cannot be stored: it is tried again", "error", err) },
	})
	n.background("stop announcing", announcer.Run)
	return nil
}

// open opens the gate. What was only needed to get here goes back to the system.
func (n *node) open(context.Context) error {
	n.gate.open.Store(true)
	n.background("stop returning memory", func(ctx context.Context) error { releaseMemory(ctx); return nil })
	return nil
}
