package ledger

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"keyledger/events"
)

// Times and bounds of an Announcer.
const (
	lookInterval = time.Second
	lateness     = time.Minute // how late an expiry may be shown here and yet be found by the next look
	sweepEvery   = time.Hour   // how often all is looked at again, whatever was looked at before
	mostNotices  = 64          // that are appended at a time
)

// AnnouncerConfig is what an Announcer is told.
type AnnouncerConfig struct {
	// Horizons are how long before its expiry a key is announced to be expiring, in whole seconds. That it has expired
	// is announced in any case.
	Horizons []time.Duration

	// FirstUses is how many first uses are announced in a second at most; 0: none. The Service must note them:
	// Config.FirstUses.
	FirstUses int

	// Failed is told why a look failed, once until one succeeds again; nil: nobody is. What was not announced then, a
	// later look does.
	Failed func(error)
}

// Announcer appends the notices: key.expiring, key.expired and key.first_used. Every node of a ledger has one, and all of
// them do the same: a notice is appended with the guard of its key's last event, so the first one wins, and the others
// find it given. So each is given once, by whichever node comes first, however long none was running; and an update
// that comes in between wins over a notice that it makes wrong.
type Announcer struct {
	service *Service
	config  AnnouncerConfig
	budget  int // first uses of a look

	horizons []time.Duration // longest first; the last is 0
	seen     []time.Time     // for each horizon: all expiries before it were looked at
	swept    time.Time       // when seen was last forgotten
	uses     useSweep
}

// NewAnnouncer gives an Announcer of a ledger.
func NewAnnouncer(s *Service, c AnnouncerConfig) *Announcer {
	horizons := append(slices.Clone(c.Horizons), 0)
	slices.Sort(horizons)
	horizons = slices.Compact(horizons)
	slices.Reverse(horizons)
	if c.Failed == nil {
		c.Failed = func(error) {}
	}
	return &Announcer{
		service:  s,
		config:   c,
		budget:   c.FirstUses * int(lookInterval/time.Second),
		horizons: horizons,
		seen:     make([]time.Time, len(horizons)),
	}
}

// Run looks about every second for what is to be announced, until ctx ends.
func (a *Announcer) Run(ctx context.Context) error {
	next := time.NewTimer(rand.N(lookInterval)) // nodes that start together need not look together
	defer next.Stop()
	for failing := false; ; next.Reset(lookInterval) {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		err := a.Look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			a.config.Failed(err)
		}
		failing = err != nil
	}
}

// Look announces what is to be announced now. Of a key it announces the longest horizon first, and all that have passed:
// when a look fails, the next one begins with what is missing. It is not to be called while Run runs.
func (a *Announcer) Look(ctx context.Context) error {
	now := a.service.now()
	if since := now.Sub(a.swept); since < 0 || since >= sweepEvery { // below 0: the clock was set back
		a.swept = now
		clear(a.seen)
	}
	for i, horizon := range a.horizons {
		if err := a.announceExpiries(ctx, &a.seen[i], horizon, now); err != nil {
			return err
		}
	}
	return a.announceFirstUses(ctx, now)
}

// announceExpiries announces the expiries that come within a horizon, from those on that were not seen.
func (a *Announcer) announceExpiries(ctx context.Context, seen *time.Time, horizon time.Duration, now time.Time) error {
	until := now.Add(horizon)
	for after := (Place{At: *seen}); ; {
		page, err := a.service.state.Expiries(ctx, after, until, MaxPage)
		if err != nil {
			return failed(err)
		}
		var due []uuid.UUID
		for i := range page {
			if page[i].Due(horizon, now) {
				due = append(due, page[i].ID)
			}
		}
		err = a.notifyAll(ctx, due, func(k *Key, now time.Time) events.Payload { return DecideExpiry(k, horizon, now) })
		if err != nil {
			return err
		}
		if len(page) < MaxPage {
			break
		}
		after = page[len(page)-1].Place
	}
	if until = until.Add(-lateness); until.After(*seen) {
		*seen = until
	}
	return nil
}

// notifyAll appends a notice for each key of which decide gives one. The order is random, for other nodes do the same.
func (a *Announcer) notifyAll(ctx context.Context, keys []uuid.UUID, decide func(*Key, time.Time) events.Payload) error {
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(mostNotices)
	for _, id := range keys {
		all.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return a.service.notify(ctx, id, decide)
		})
	}
	return all.Wait()
}

// notify appends the notice that decide gives of a key, if any. When something else happened to the key in between, it
// looks again.
func (s *Service) notify(ctx context.Context, key uuid.UUID, decide func(*Key, time.Time) events.Payload) error {
	var call Call
	var event uuid.UUID
	if err := call.draw(&event); err != nil {
		return err
	}
	return s.retry(ctx, func() error {
		k, ok, err := s.state.Key(ctx, key)
		if err != nil || !ok {
			return failed(err)
		}
		now := s.now()
		body := decide(&k, now)
		if body == nil {
			return nil
		}
		e, err := call.event(event, body, now)
		if err != nil {
			return err
		}
		e.Subject = events.KeySubject(&k.Owner, k.ID)
		_, err = s.store(ctx, &call, &e, k.Sequence)
		return err
	})
}
