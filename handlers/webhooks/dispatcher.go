package webhooks

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// Dispatcher tells the endpoints of a ledger what happens. Several nodes may run one each: they share the events.
type Dispatcher struct {
	Config
	source  string
	secrets secrets
	sender  *sender
	metrics *metrics

	context context.Context // of what is begun by a call and goes on after it
	cancel  context.CancelFunc
	begun   sync.WaitGroup

	mu      sync.Mutex
	workers map[uuid.UUID]*worker         // of every endpoint that was seen
	latest  map[uuid.UUID]ledger.Delivery // delivered at once, to be noted
}

// worker reads the events of one endpoint.
type worker struct {
	cancel  context.CancelFunc // nil: the endpoint is disabled
	ended   chan struct{}      // closed when it has ended; nil: it never ran
	pending atomic.Uint64      // events that wait in the ledger, as of the last one read
}

// New gives a Dispatcher, which delivers while Run runs.
func New(c Config) (*Dispatcher, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	keys, err := newSecrets(c.Secret)
	if err != nil {
		return nil, err
	}
	d := &Dispatcher{
		Config:  c,
		source:  "/keyledger/" + c.LedgerName,
		secrets: keys,
		sender:  newSender(&c, keys),
		workers: make(map[uuid.UUID]*worker),
		latest:  make(map[uuid.UUID]ledger.Delivery),
	}
	d.context, d.cancel = context.WithCancel(context.Background())
	d.metrics, err = newMetrics(d, c.Registerer)
	return d, err
}

// Secret is the secret that signs what is sent to an endpoint.
func (d *Dispatcher) Secret(w *ledger.Webhook) ledger.Secret {
	return d.secrets.secret(w.ID, w.SecretVersion)
}

// Times of a Dispatcher.
const (
	pause      = time.Second      // before what failed here is tried again
	lookAround = 30 * time.Second // between two looks at the endpoints while none is changed
	flushEvery = time.Second
)

// Run follows the endpoints in the state and delivers to those that are enabled, until ctx ends. It must not be called
// again.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer d.close()
	d.begun.Go(func() { d.flush(ctx) })
	d.begun.Go(func() { d.forgetOrphans(ctx) })
	for seen := uint64(0); ; {
		if err := d.look(ctx); err != nil && ctx.Err() == nil {
			d.Logger.Warn("the webhooks could not be read", "error", err)
		}
		limited, cancel := context.WithTimeout(ctx, lookAround)
		changed, err := d.State.WebhooksChanged(limited, seen)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			seen = changed
		case limited.Err() == nil:
			return err // the state has ended
		}
	}
}

// close waits for all that was begun.
func (d *Dispatcher) close() {
	d.cancel()
	d.begun.Wait()
	d.sender.client.CloseIdleConnections()
}

// look starts and stops workers as the state says.
func (d *Dispatcher) look(ctx context.Context) error {
	there := make(map[uuid.UUID]bool)
	for q := (ledger.WebhookQuery{Limit: ledger.MaxPage}); ; {
		page, err := d.State.Webhooks(ctx, &q)
		if err != nil {
			return err
		}
		for i := range page.Webhooks {
			w := &page.Webhooks[i]
			there[w.ID] = true
			d.set(ctx, w, w.DisabledAt.IsZero())
		}
		if q.After = page.Next; page.Next == uuid.Nil {
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, w := range d.workers {
		if !there[id] {
			delete(d.workers, id)
			delete(d.latest, id)
			d.begun.Go(func() { d.forget(ctx, id, w) })
		}
	}
	return nil
}

// set has a worker run for an endpoint, or not.
func (d *Dispatcher) set(ctx context.Context, w *ledger.Webhook, run bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	have := d.workers[w.ID]
	if have == nil {
		have = &worker{}
		d.workers[w.ID] = have
	}
	switch {
	case run && have.cancel == nil:
		before := have.ended
		ctx, cancel := context.WithCancel(ctx)
		have.cancel, have.ended = cancel, make(chan struct{})
		endpoint, ended := *w, have.ended
		d.begun.Go(func() {
			defer close(ended)
			if before != nil {
				<-before
			}
			d.work(ctx, &endpoint, &have.pending)
		})
	case !run && have.cancel != nil:
		have.cancel()
		have.cancel = nil
	}
}

// work reads the events of an endpoint until ctx ends.
func (d *Dispatcher) work(ctx context.Context, w *ledger.Webhook, pending *atomic.Uint64) {
	for ctx.Err() == nil {
		err := d.Queue.Consume(ctx, w, parallel, func(ctx context.Context, h *ledger.Handover) (bool, time.Duration) {
			pending.Store(h.Pending)
			return d.deliver(ctx, w.ID, h)
		})
		if ctx.Err() != nil {
			return
		}
		d.metrics.interruptions.Inc()
		d.Logger.Debug("a webhook's queue is interrupted", "webhook", w.ID, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		// It may have been deleted by another node, and its queue with it: to open it again would be to start it anew.
		if gone, err := d.gone(ctx, w.ID); gone && err == nil {
			return
		}
	}
}

// gone tells that an endpoint is not in the ledger any more, as of now.
func (d *Dispatcher) gone(ctx context.Context, id uuid.UUID) (bool, error) {
	last, err := d.Log.Last(ctx)
	if err != nil {
		return false, err
	}
	if err := d.State.WaitFor(ctx, last); err != nil {
		return false, err
	}
	_, ok, err := d.State.Webhook(ctx, id)
	return !ok && err == nil, err
}

// forget drops the queue of an endpoint that was deleted.
func (d *Dispatcher) forget(ctx context.Context, id uuid.UUID, w *worker) {
	if w != nil && w.cancel != nil {
		w.cancel()
	}
	if w != nil && w.ended != nil {
		<-w.ended
	}
	for ctx.Err() == nil {
		err := d.Queue.Forget(ctx, id)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// forgetOrphans drops the queues of endpoints that were deleted while nobody looked. It looks at the queues first: whoever
// has one was in the ledger before.
func (d *Dispatcher) forgetOrphans(ctx context.Context) {
	queues, err := d.Queue.Consumed(ctx)
	if err != nil {
		return // the next start finds them
	}
	for _, id := range queues {
		if gone, err := d.gone(ctx, id); err == nil && gone {
			d.forget(ctx, id, nil)
		}
	}
}

// flush notes from time to time what was delivered at once, the last of each endpoint.
func (d *Dispatcher) flush(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.mu.Lock()
		latest := d.latest
		d.latest = make(map[uuid.UUID]ledger.Delivery, len(latest))
		d.mu.Unlock()
		for id, delivery := range latest {
			if err := d.Queue.Note(ctx, id, &delivery); err != nil {
				d.metrics.unnoted.Inc()
			}
		}
	}
}
