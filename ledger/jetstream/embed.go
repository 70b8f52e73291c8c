package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// EmbedOptions say how to run a nats-server in this process.
type EmbedOptions struct {
	// Dir is the data folder. Only one process may use it at a time: the caller holds a lock on it.
	Dir string
	// Listen is host:port of a client port, empty for none. For now nobody but this process has an account on it:
	// every connection from outside is refused.
	Listen string
	// MaxBytes bounds the store on disk; 0 is DefaultMaxStore.
	MaxBytes int64
	// Log takes the server's log lines; nil drops them.
	Log *slog.Logger
}

// DefaultMaxStore bounds the store of an embedded server, in bytes, where nothing else is said: one tebibyte. The
// free space of the disk is watched besides.
const DefaultMaxStore = 1 << 40

// startTimeout bounds the start of the embedded server, which reads its whole store after a crash.
const startTimeout = 5 * time.Minute

// Server is a nats-server in this process, with every write synced to disk before it is acknowledged.
type Server struct {
	options  EmbedOptions
	user     string
	password string
	ns       *server.Server
}

// Embed starts a nats-server in this process on a data folder, which it marks as standalone. It refuses a folder
// of another mode or of a newer version, and one that another server of this process uses.
func Embed(o EmbedOptions) (*Server, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxStore
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := MarkFolder(o.Dir, Standalone); err != nil {
		return nil, err
	}
	s := &Server{options: o, user: "keyledger", password: rand.Text()}
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, nil
}

// start runs the server and returns when it takes connections.
func (s *Server) start() error {
	options, err := s.serverOptions()
	if err != nil {
		return err
	}
	ns, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("jetstream: embedded server: %w", err)
	}
	ns.SetLoggerV2(bridge{s.options.Log}, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(startTimeout) || !ns.JetStreamEnabled() {
		ns.Shutdown()
		ns.WaitForShutdown()
		return fmt.Errorf("jetstream: embedded server did not start on %s", s.options.Dir)
	}
	s.ns = ns
	return nil
}

// serverOptions are the options of the embedded server.
func (s *Server) serverOptions() (*server.Options, error) {
	o := &server.Options{
		ServerName:        "keyledger",
		DontListen:        s.options.Listen == "",
		NoSigs:            true,
		JetStream:         true,
		StoreDir:          storeDir(s.options.Dir),
		SyncAlways:        true,
		JetStreamMaxStore: s.options.MaxBytes,
		// JetStream keeps the state of the tails' consumers in memory.
		JetStreamMaxMemory: 64 << 20,
		Users:              []*server.User{{Username: s.user, Password: s.password}},
	}
	if o.DontListen {
		return o, nil
	}
	host, port, err := net.SplitHostPort(s.options.Listen)
	if err != nil {
		return nil, fmt.Errorf("jetstream: listen address: %w", err)
	}
	o.Host = host
	if o.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("jetstream: listen address: %w", err)
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	return o, nil
}

// InProcessConn gives a connection to the server without a network. It implements nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// Connect connects this process to the server. It is the only account on it.
func (s *Server) Connect(ctx context.Context) (*nats.Conn, error) {
	return connect(ctx, nats.DefaultURL, nats.InProcessServer(s), nats.UserInfo(s.user, s.password))
}

// Addr is the address of the client port, nil when there is none.
func (s *Server) Addr() net.Addr { return s.ns.Addr() }

// Shutdown stops the server and returns when its store is closed.
func (s *Server) Shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// bridge hands the server's log to slog.
type bridge struct{ log *slog.Logger }

func (b bridge) Noticef(format string, v ...any) { b.log.Debug(fmt.Sprintf(format, v...)) }
func (b bridge) Warnf(format string, v ...any)   { b.log.Warn(fmt.Sprintf(format, v...)) }
func (b bridge) Errorf(format string, v ...any)  { b.log.Error(fmt.Sprintf(format, v...)) }
func (b bridge) Debugf(format string, v ...any)  { b.log.Debug(fmt.Sprintf(format, v...)) }
func (b bridge) Tracef(format string, v ...any)  { b.log.Debug(fmt.Sprintf(format, v...)) }

// Fatalf does not end the process, as the interface allows: a server that cannot go on is found by its health.
func (b bridge) Fatalf(format string, v ...any) { b.log.Error(fmt.Sprintf(format, v...)) }

var errNoServer = errors.New("jetstream: no server to connect to")
