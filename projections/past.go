package projections

import (
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"keyledger/events"
	"keyledger/ledger"
)

const (
	pastCache = 8 << 20 // bytes
	pastPage  = 1000    // messages that are read together
)

// past are the views of a ledger.Beginning.
type past struct {
	*Views
	count int
}

// Past builds the views that lists are read from in memory, of the beginning of a log and by the code that builds those of
// the present. Uses of keys are not in the log, so there are none. Personal data is what personal can open now, whatever the
// moment; nil: it stays sealed. It ends with ctx. ledger.ErrGap: a message is missing, which is seen when b has all subjects.
func Past(ctx context.Context, log ledger.Log, personal *ledger.Personal, b ledger.Beginning) (ledger.PastState, error) {
	v, err := Open(Options{Dir: "past", FS: vfs.NewMem(), DiskIndex: true, CacheSize: pastCache, Personal: personal, past: true})
	if err != nil {
		return nil, err
	}
	p := &past{Views: v}
	bursts := make(chan *burst, 2)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(bursts)
		return p.read(ctx, log, &b, bursts)
	})
	g.Go(func() error {
		for all := range bursts {
			if err := v.commit([]*burst{all}); err != nil {
				return err
			}
			b.Progress(v.Position())
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		_ = v.Close()
		return nil, fmt.Errorf("projections: past of %d: %w", b.Until, err)
	}
	v.position.Store(b.Until)
	return p, nil
}

// Events implements ledger.PastState.
func (p *past) Events() int { return p.count }

// read decodes the messages of a beginning and sends them on.
func (p *past) read(ctx context.Context, log ledger.Log, b *ledger.Beginning, bursts chan<- *burst) error {
	for next := uint64(1); next <= b.Until; {
		messages, err := log.Scan(ctx, b.Filter, next, pastPage)
		if err != nil {
			return err
		}
		last := len(messages) < pastPage
		if i := slices.IndexFunc(messages, func(m events.Message) bool { return m.Sequence > b.Until }); i >= 0 {
			messages, last = messages[:i], true
		}
		if p.count += len(messages); p.count > b.Most {
			return ledger.ErrTooLong
		}
		all := &burst{make([]events.Event, len(messages)), make([]tlog.Hash, len(messages))}
		for i := range messages {
			if b.Filter == ">" && messages[i].Sequence != next {
				return fmt.Errorf("%w: %d follows %d", ledger.ErrGap, messages[i].Sequence, next-1)
			}
			if all.events[i], err = events.Decode(&messages[i], p.opener()); err != nil {
				return err
			}
			next = messages[i].Sequence + 1
		}
		select {
		case bursts <- all:
		case <-ctx.Done():
			return ctx.Err()
		}
		if last && b.Filter == ">" && next <= b.Until {
			return fmt.Errorf("%w: it ends at %d, before %d", ledger.ErrGap, next-1, b.Until)
		}
		if last {
			return nil
		}
	}
	return nil
}
