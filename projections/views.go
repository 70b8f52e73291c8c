package projections

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/events"
	"keyledger/ledger"
)

// Options are what Open needs to know.
type Options struct {
	// Dir is the folder of the views, made when it is not there. Whatever is in it can be built anew from the ledger.
	Dir string

	// FS is where Dir is; nil: the disk. With vfs.NewMem() the views are in memory and gone with the process.
	FS vfs.FS

	// DiskIndex answers keys from Pebble instead of from a table in memory, which takes some 150 bytes a key.
	DiskIndex bool

	// CacheSize is how many bytes of blocks Pebble keeps in memory; 0: 32 MiB.
	CacheSize int64

	// Metrics is where the metrics of the views are registered until Close; nil: nowhere.
	Metrics prometheus.Registerer

	// Applied is called with the events of every commit after the views show them, in order and one call at a time, for
	// which the next commit waits. The events' Payload may be kept, the slice may not. nil: nobody is told.
	Applied func([]events.Event)

	// Personal opens what is sealed in events, and is told of erasures; nil: it stays sealed.
	Personal *ledger.Personal

	// Treeless views keep no Merkle tree: that is for measuring what it costs.
	Treeless bool

	past bool // the views are for lists of the past: see Past

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nothing is logged

	// Progress is called while something takes longer than two seconds, a few times a second and once at the end of it.
	// what says what is done, in a few words; done and total count it.
	Progress func(what string, done, total uint64)
}

// Views is the state of the ledger as of a position. It implements ledger.State; all of that may be called by any
// goroutine from Open to Close.
type Views struct {
	options Options
	db      *pebble.DB
	lock    *pebble.Lock
	views   []view
	table   *table // nil with DiskIndex
	tree    tree
	times   times
	metrics *metrics

	writing sync.Mutex           // held by whoever changes Pebble and the table
	parts   []*pebble.Batch      // what each view adds to the current batch
	pending map[uuid.UUID][]byte // packed keys of the current batch that only Pebble is going to have
	packed  []byte
	burst   burst // of events of this process
	strays  int   // uses of keys that are not there yet
	failed  error // a change that was not committed: the table may be ahead of Pebble for good

	keys     atomic.Int64
	position atomic.Uint64
	known    atomic.Uint64 // the last sequence that the log is known to have
	heard    heard
	waiters  waiters
	own      own

	webhooksAt      atomic.Uint64 // sequence of the last event of an endpoint, as far as shown
	webhookWaiters  waiters
	changedWebhook  uint64                       // the same, as far as applied
	pendingWebhooks map[uuid.UUID]ledger.Webhook // that the current batch has changed

	erasures erasures

	uses       atomic.Uint64 // position in the log of uses
	useWaiters waiters

	broken   chan error    // what Pebble could not do in the background
	goal     atomic.Uint64 // what the log had when Run began
	diskFull atomic.Bool
	dirty    atomic.Bool // changes were committed since the last flush
}

var _ ledger.State = (*Views)(nil)

// Open opens the views in a folder and loads what is kept in memory. They answer as of where they were when they were
// closed, or a little before if they were not; Run brings them up to date.
func Open(o Options) (*Views, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Applied == nil {
		o.Applied = func([]events.Event) {}
	}
	if o.Progress == nil {
		o.Progress = func(string, uint64, uint64) {}
	}
	v := &Views{
		options:         o,
		pending:         map[uuid.UUID][]byte{},
		pendingWebhooks: map[uuid.UUID]ledger.Webhook{},
		broken:          make(chan error, 1),
		erasures:        erasures{compact: make(chan struct{}, 1)},
	}
	if !o.DiskIndex {
		v.table = newTable()
	}
	v.views = v.layout()
	v.metrics = newMetrics(v)
	if err := v.openPebble(); err != nil {
		return nil, err
	}
	for range v.views {
		v.parts = append(v.parts, v.db.NewBatch())
	}
	if err := v.load(); err != nil {
		return nil, errors.Join(err, v.closePebble())
	}
	if err := v.metrics.register(o.Metrics); err != nil {
		return nil, errors.Join(err, v.closePebble())
	}
	return v, nil
}

// load reads the positions and fills the table.
func (v *Views) load() error {
	if err := v.migrate(); err != nil {
		return err
	}
	var position, keys, uses uint64
	err := errors.Join(v.numbers(positionKey, &position, &keys), v.numbers(usagePositionKey, &uses))
	if err != nil {
		return v.openError(err)
	}
	v.position.Store(position)
	v.known.Store(position)
	v.webhooksAt.Store(position)
	v.keys.Store(int64(keys))
	v.uses.Store(uses)
	if err := errors.Join(v.loadTree(position), v.loadErasures(), v.loadTimes(), v.loadTable()); err != nil {
		return v.openError(err)
	}
	return nil
}

// Close writes what is not yet on disk and closes the files. Run must have returned, and nothing may be asked any more.
func (v *Views) Close() error {
	v.waiters.stop(errClosed)
	v.useWaiters.stop(errClosed)
	v.webhookWaiters.stop(errClosed)
	v.metrics.unregister(v.options.Metrics)
	v.writing.Lock()
	defer v.writing.Unlock()
	v.failed = errClosed
	if v.diskFull.Load() { // to flush would be to wait
		return fmt.Errorf("projections: close: %w", errDiskFull)
	}
	if err := errors.Join(v.db.Flush(), v.closePebble()); err != nil {
		return fmt.Errorf("projections: close: %w", err)
	}
	return nil
}

var (
	errClosed   = errors.New("projections: the views are closed")
	errDiskFull = errors.New("the disk is full: what is not on it will be read from the ledger again")
)

// Position is the sequence of the last event in the views.
func (v *Views) Position() uint64 { return v.position.Load() }

// Lag is how many events the log is known to hold beyond Position. Until Run has asked the log, it is 0.
func (v *Views) Lag() uint64 {
	known, position := v.known.Load(), v.position.Load()
	return max(known, position) - position
}

// WaitFor returns when Position has reached sequence, when ctx ends, or with the error that Run ended with.
func (v *Views) WaitFor(ctx context.Context, sequence uint64) error {
	if v.position.Load() >= sequence {
		return nil
	}
	return v.waiters.wait(ctx, sequence, &v.position)
}

// get calls use with the value under key, if there is one. The value is valid until use returns.
func (v *Views) get(key []byte, use func(value []byte) error) (ok bool, err error) {
	value, closer, err := v.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("projections: read: %w", err)
	}
	err = use(value)
	return true, errors.Join(err, closer.Close())
}

// numbers sets the numbers that packNumbers put under a key, if it is there.
func (v *Views) numbers(key string, into ...*uint64) error {
	_, err := v.get([]byte(key), func(value []byte) error {
		if len(value) != 8*len(into) {
			return errDamaged
		}
		for i, n := range into {
			*n = binary.BigEndian.Uint64(value[8*i:])
		}
		return nil
	})
	return err
}

func packNumbers(numbers ...uint64) (value []byte) {
	for _, n := range numbers {
		value = binary.BigEndian.AppendUint64(value, n)
	}
	return value
}

// scan calls each with all entries whose key begins with prefix, in order. Keys and values are valid until it returns.
func (v *Views) scan(prefix string, each func(key, value []byte) error) (err error) {
	it, err := v.iterate(context.Background(), []byte(prefix))
	if err != nil {
		return err
	}
	defer closeIterator(it, &err)
	for it.First(); it.Valid(); it.Next() {
		if err := each(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return nil
}

// iterate gives an iterator over the entries whose key begins with prefix.
func (v *Views) iterate(ctx context.Context, prefix []byte) (*pebble.Iterator, error) {
	it, err := v.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, fmt.Errorf("projections: read: %w", err)
	}
	return it, nil
}

// closeIterator closes an iterator and adds to err what stopped it before its end, if anything did.
func closeIterator(it *pebble.Iterator, err *error) {
	if e := it.Close(); e != nil {
		*err = errors.Join(*err, fmt.Errorf("projections: read: %w", e))
	}
}

// after is the least key above all that begin with prefix, which has a byte below 0xff.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	end[len(end)-1]++
	return end
}
