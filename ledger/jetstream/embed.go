package jetstream

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// EmbedOptions say how to run a nats-server in this process.
type EmbedOptions struct {
	// Dir is the data folder.
	Dir string
	// Listen is host:port of a client port, empty for none. Who may connect to it from outside this process is told by
	// Admit; before, nobody may.
	Listen string
	// TLS, when not nil, is asked of every connection from outside.
	TLS *tls.Config
	// MaxBytes bounds the store on disk; 0 is DefaultMaxStore.
	MaxBytes int64
	// Reserve is the room, in bytes, below which nothing more is stored: free space of the disk, and what is left
	// of MaxBytes. Half of it may be used by what is on its way. 0 is DefaultReserve.
	Reserve int64
	// Peer makes the server a peer of a cluster; nil: it stands alone.
	Peer *PeerOptions
	// Log takes the server's log lines; nil drops them.
	Log *slog.Logger
}

const (
	// DefaultMaxStore bounds the store where nothing else is said, in bytes: one tebibyte. The disk is watched besides.
	DefaultMaxStore = 1 << 40
	// DefaultReserve is the room that is kept free where nothing else is said, in bytes: 128 MiB. It is for what is
	// on its way when the limit is met, for the server's index, and for the views on the same disk.
	DefaultReserve = 128 << 20
)

// tlsTimeout bounds the TLS handshake of a connection from outside.
const tlsTimeout = 5 * time.Second

// startTimeout bounds the start of the embedded server, which reads its whole store after a crash.
const startTimeout = 10 * time.Minute

// Server is a nats-server in this process, with every write synced to disk before it is acknowledged.
type Server struct {
	options EmbedOptions
	token   string // of this process: whoever has it may do everything
	lock    *flock.Flock
	ns      atomic.Pointer[server.Server]
	staging *staging // nil: the server stages batches on disk

	subscribers atomic.Pointer[Subscribers] // nil: nobody else may connect

	trouble  atomic.Pointer[error] // why nothing can be stored now
	spent    atomic.Bool           // the nats-server has shut its JetStream down for want of room
	left     atomic.Int64          // bytes that may be stored until the next look at the room
	failed   chan error
	stop     context.CancelFunc
	watching sync.WaitGroup
}

// Embed starts a nats-server in this process on a data folder, which it marks as that of a standalone server or of the
// peer that it is. It refuses a folder of another mode, peer or newer version, and one that another server uses.
func Embed(o EmbedOptions) (*Server, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxStore
	}
	if o.Reserve == 0 {
		o.Reserve = DefaultReserve
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := MarkFolder(o.Dir, o.use()); err != nil {
		return nil, err
	}
	if o.Peer != nil {
		quicken()
	}
	s := &Server{
		options: o,
		token:   rand.Text(),
		lock:    flock.New(filepath.Join(o.Dir, "nats.lock")),
		failed:  make(chan error, 1),
	}
	if locked, err := s.lock.TryLock(); err != nil {
		return nil, fmt.Errorf("jetstream: data folder: %w", err)
	} else if !locked {
		return nil, fmt.Errorf("jetstream: data folder %s is in use by another server", o.Dir)
	}
	var err error
	if o.Peer == nil {
		err = dropStaleSnapshot(storeDir(o.Dir))
	} else { // so that the server reads all blocks, and what is damaged is a gap that whole finds, not one that reads pass over
		s.dropIndex()
	}
	if err = errors.Join(err, s.start()); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	if o.Peer == nil { // see staging
		s.staging = newStaging(storeDir(o.Dir))
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.check()
	s.watching.Go(func() { s.watch(ctx) })
	if o.Peer != nil {
		s.watching.Go(func() { s.watchDisk(ctx) })
	}
	return s, nil
}

// use is how the data folder is used.
func (o *EmbedOptions) use() Use {
	if o.Peer == nil {
		return Use{Mode: Standalone}
	}
	return Use{Mode: Clustered, Cluster: o.Peer.Cluster, Node: o.Peer.Node}
}

// start runs the server and returns when it takes connections.
func (s *Server) start() error {
	options, err := s.serverOptions()
	if err != nil {
		return err
	}
	if err := checkBlocks(storeDir(s.options.Dir)); err != nil {
		return err
	}
	ns, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("jetstream: embedded server: %w", err)
	}
	s.spent.Store(false)
	log := bridge{log: s.options.Log, fatal: make(chan string, 1), spent: &s.spent}
	ns.SetLoggerV2(log, false, false, false)
	ns.Start() // opens the store and the port, or says what is fatal, before it returns
	reason := "it is not ready"
	select {
	case reason = <-log.fatal:
	default:
		if ns.ReadyForConnections(startTimeout) && ns.JetStreamEnabled() {
			if err := addSubscribersAccount(ns); err != nil {
				reason = err.Error()
				break
			}
			s.ns.Store(ns)
			return nil
		}
	}
	ns.Shutdown()
	ns.WaitForShutdown()
	return fmt.Errorf("jetstream: embedded server on %s: %s", s.options.Dir, reason)
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
		// Asked before all else, and the only way in.
		CustomClientAuthentication: guard{s},
	}
	if !o.DontListen {
		if err := s.listenTo(o); err != nil {
			return nil, fmt.Errorf("jetstream: listen address: %w", err)
		}
	}
	if s.options.Peer != nil {
		if err := s.options.Peer.configure(o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// listenTo sets the client port.
func (s *Server) listenTo(o *server.Options) error {
	if s.options.TLS != nil {
		o.TLS, o.TLSConfig, o.TLSTimeout = true, s.options.TLS, tlsTimeout.Seconds()
	}
	var port string
	var err error
	if o.Host, port, err = net.SplitHostPort(s.options.Listen); err != nil {
		return err
	}
	if o.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	return nil
}

// InProcessConn gives a connection to the server without a network. It implements nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.Load().InProcessConn() }

// Connect connects this process to the server. It may do everything there.
func (s *Server) Connect(ctx context.Context) (*nats.Conn, error) {
	return connect(ctx, nats.DefaultURL, nats.InProcessServer(s), nats.Token(s.token))
}

// Addr is the address of the client port, nil when there is none.
func (s *Server) Addr() net.Addr {
	if s.options.Listen == "" {
		return nil
	}
	return s.ns.Load().Addr()
}

// Shutdown stops the server and returns when its store is closed.
func (s *Server) Shutdown() {
	s.stop()
	s.watching.Wait()
	s.halt()
	s.staging.close()
	_ = s.lock.Close()
}

// halt stops the nats-server.
func (s *Server) halt() {
	broken := s.health() != nil
	ns := s.ns.Load()
	if s.options.Peer != nil {
		ns.LameDuckShutdown() // the other peers lead before this one is gone
	}
	ns.Shutdown()
	ns.WaitForShutdown()
	if broken {
		s.dropIndex()
	}
}

// bridge hands the server's log to slog.
type bridge struct {
	log   *slog.Logger
	fatal chan string // takes the first reason why the server cannot run
	spent *atomic.Bool
}

func (b bridge) Noticef(format string, v ...any) { b.log.Debug(fmt.Sprintf(format, v...)) }
func (b bridge) Warnf(format string, v ...any)   { b.log.Warn(fmt.Sprintf(format, v...)) }

// Errorf tells of trouble of the server. That somebody was refused is none: the guard has told of it.
func (b bridge) Errorf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	if strings.HasPrefix(line, "JetStream out of ") { // nothing else tells that this is why it is shut down
		b.spent.Store(true)
	}
	level := levelOfPeer(line)
	if strings.Contains(line, server.ErrAuthentication.Error()) {
		level = slog.LevelDebug
	}
	b.log.Log(context.Background(), level, line)
}
func (b bridge) Debugf(format string, v ...any) { b.log.Debug(fmt.Sprintf(format, v...)) }
func (b bridge) Tracef(format string, v ...any) { b.log.Debug(fmt.Sprintf(format, v...)) }

// Fatalf does not end the process, as the interface allows: start takes the reason, later trouble is found by health.
func (b bridge) Fatalf(format string, v ...any) {
	select {
	case b.fatal <- fmt.Sprintf(format, v...):
	default:
	}
	b.log.Error(fmt.Sprintf(format, v...))
}
