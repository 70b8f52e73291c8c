// Package jetstream keeps the ledger in NATS JetStream: the Log, UsageLog, HeadLog, ReadLog, Memo, Queue and Vault of
// package ledger, on a nats-server inside this process (Embed) or on an external NATS (Connect).
//
// # Appends
//
// A commit that comes alone is one publish. Commits that come together share an atomic batch, which the server syncs
// once, but each keeps its own guard and its own fate: when a batch is refused or its answer is lost, each commit is
// settled by itself, by repeating it and by reading back what the stream holds after its guard. See committer and
// Log.settle.
//
// # Tails
//
// A tail reads the stream through a consumer of its own and demands that sequences follow each other. See tail and
// feed.
//
// # Subscribers
//
// Server.Admit and Callout let holders of keys connect and read the events of what is theirs, in an account of their own,
// through a door that vets their requests. See grant, door and Subscribers.
//
// # Webhooks
//
// A webhook has a durable consumer of its own on the ledger, whose acknowledgements are its position; what became of its
// deliveries is noted in a stream that keeps the last note of each. See Log.Consume and Log.Note.
//
// # What is refused
//
// Open refuses a stream whose settings promise less than the ledger needs, and one that has lost messages. Embed
// refuses a data folder of another mode or of a newer version. Nothing is stored while room is short.
package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/ledger"
)

// Options say how a Log works.
type Options struct {
	// Server is the embedded server that the connection is to; nil for an external one.
	Server *Server
	// System is a connection to the system account of an external NATS: with it the settings of its servers are checked.
	// It may be nil.
	System *nats.Conn
	// Replicas is how many servers hold each message: 1 (when 0), 3 or 5.
	Replicas int
	// Fingerprint, when not empty, is kept with the stream at its creation; another one is refused later.
	Fingerprint string
	// UsageBytes bounds the usage stream, 1 GiB when 0. The oldest batches go first.
	UsageBytes int64
	// MemoBytes bounds the memo, 1 GiB when 0. A full one refuses new names until the oldest are a day old.
	MemoBytes int64
	// DeliveryBytes bounds what is noted of deliveries to webhooks, 1 GiB when 0. The oldest go first.
	DeliveryBytes int64
	// Reads is how long recorded reads are kept; 0: none are recorded, and those that there are stay as they are.
	Reads time.Duration
	// Queue is how many appends may wait or be in flight, 4096 when 0; beyond it they fail with ledger.ErrOverloaded.
	Queue int
	// Registerer takes the metrics; nil drops them.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.UsageBytes == 0 {
		o.UsageBytes = 1 << 30
	}
	if o.MemoBytes == 0 {
		o.MemoBytes = 1 << 30
	}
	if o.DeliveryBytes == 0 {
		o.DeliveryBytes = 1 << 30
	}
	if o.Queue == 0 {
		o.Queue = 4096
	}
	return o
}

// Log is the ledger in JetStream. Its methods may be called concurrently.
type Log struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	options Options
	memo    jetstream.KeyValue
	notes   jetstream.Stream // of deliveries to webhooks
	vault   jetstream.Stream
	metrics *metrics
	breaker breaker
	pulse   *pulse // nil: the ledger is in this process alone

	pending   atomic.Int64 // appends that wait or are in flight
	committer *committer
	settlers  chan struct{} // holds one for each commit that is being settled
	settling  sync.WaitGroup
	context   context.Context // ends when the log is closed
	close     context.CancelFunc
	stopped   chan struct{} // closed when the committer has ended
}

var (
	_ ledger.Log      = (*Log)(nil)
	_ ledger.UsageLog = (*Log)(nil)
	_ ledger.Memo     = (*Log)(nil)
	_ ledger.Vault    = (*Log)(nil)
	_ ledger.Queue    = (*Log)(nil)
	_ ledger.HeadLog  = (*Log)(nil)
	_ ledger.ReadLog  = (*Log)(nil)
)

// Open makes the streams or checks the ones there are. It refuses a stream that promises less than the ledger needs,
// naming the field, and fails with ledger.ErrGap if the stream has lost messages. It tries until ctx ends.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Log, error) {
	l := &Log{nc: nc, options: o.withDefaults(), stopped: make(chan struct{})}
	l.settlers = make(chan struct{}, settlers)
	if err := l.checkNATS(ctx); err != nil {
		return nil, err
	}
	var err error
	if l.js, err = jetstream.New(nc); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	if err := l.ensure(ctx); err != nil {
		return nil, err
	}
	if l.options.Server == nil || l.peer() != nil {
		l.pulse = &pulse{log: l, candidate: moment{at: time.Now()}} // the stream was just looked at
	}
	if l.metrics, err = newMetrics(l, o.Registerer); err != nil {
		return nil, fmt.Errorf("jetstream: metrics: %w", err)
	}
	if l.committer, err = newCommitter(l); err != nil {
		return nil, err
	}
	l.context, l.close = context.WithCancel(context.Background())
	go l.committer.run()
	if l.pulse != nil {
		l.settling.Go(func() { l.pulse.run(l.context) })
	}
	return l, nil
}

// checkNATS refuses servers that could lose what they have acknowledged, as far as that can be seen.
func (l *Log) checkNATS(ctx context.Context) error {
	if err := checkServer(l.nc); err != nil {
		return err
	}
	if l.options.Server == nil {
		if err := checkReplicas(l.nc, l.options.Replicas); err != nil {
			return err
		}
	}
	if l.options.System == nil {
		return nil
	}
	return checkServers(ctx, l.options.System, l.options.Replicas)
}

// peer tells how the server in this process is a peer of a cluster, nil when it is not.
func (l *Log) peer() *PeerOptions {
	if l.options.Server == nil {
		return nil
	}
	return l.options.Server.Peer()
}

// staging is that of the embedded server, nil for an external one.
func (l *Log) staging() *staging {
	if l.options.Server == nil {
		return nil
	}
	return l.options.Server.staging
}

// ensure makes or checks what is stored.
func (l *Log) ensure(ctx context.Context) error {
	needed := ledgerConfig(&l.options)
	patience := ctx // the other peers may be started any time
	if l.peer() == nil {
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(ctx, peersTimeout)
		defer cancel()
	}
	stream, err := ensureStream(ctx, patience, l.js, needed)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	if err := checkLedger(&info.Config, &needed); err != nil {
		return err
	}
	if err := checkWhole(&info.State); err != nil {
		return err
	}
	for _, other := range []jetstream.StreamConfig{usageConfig(&l.options), headsConfig(&l.options)} {
		if _, err := ensureStream(ctx, patience, l.js, other); err != nil {
			return err
		}
	}
	if err := l.ensureReads(ctx, patience); err != nil {
		return err
	}
	if l.notes, err = ensureStream(ctx, patience, l.js, deliveryConfig(&l.options)); err != nil {
		return err
	}
	if err := l.openVault(ctx, patience); err != nil {
		return err
	}
	err = persist(ctx, patience, func(ctx context.Context) (err error) {
		l.memo, err = l.js.CreateOrUpdateKeyValue(ctx, memoConfig(&l.options))
		return err
	})
	if err != nil {
		return fmt.Errorf("jetstream: bucket %s: %w", MemoBucket, err)
	}
	return nil
}

// Close stops the log. Appends that were not answered yet fail with ledger.ErrUnavailable. The connection stays the
// caller's.
func (l *Log) Close() {
	l.close()
	<-l.stopped
	l.settling.Wait()
}

// apiTimeout bounds one request to the JetStream API.
const apiTimeout = 5 * time.Second

// api sends a request to the JetStream API and reads its JSON answer into answer.
func (l *Log) api(ctx context.Context, subject string, request, answer any) error {
	var data []byte
	if request != nil {
		var err error
		if data, err = json.Marshal(request); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := l.nc.RequestWithContext(limited, subject, data)
	if err != nil {
		return requestError(ctx, err)
	}
	var head struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &head); err != nil {
		return fmt.Errorf("jetstream: answer on %s: %w", subject, err)
	}
	if head.Error != nil {
		if head.Error.Code == codeNoMessage {
			return head.Error
		}
		return unavailable(head.Error) // as of a server on which the stream is being made anew
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(m.Data, answer)
}

// requestError classes the error of a request: the caller's own end, or that the log is unavailable.
func requestError(caller context.Context, err error) error {
	if caller.Err() != nil {
		return caller.Err()
	}
	return unavailable(err)
}
