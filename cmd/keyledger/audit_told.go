package main

import (
	"context"
	"fmt"
	"iter"

	"keyledger/client"
	"keyledger/events"
)

// telling is what a server tells of the events of its ledger: it opens their personal data, which is sealed in the leaves.
type telling struct {
	next func() (client.Event, error, bool)
	stop func()
}

// newTelling begins with the first event from a sequence on.
func newTelling(ctx context.Context, c *client.Client, from uint64) *telling {
	t := &telling{}
	t.next, t.stop = iter.Pull2(c.Subscribe(ctx, client.EventFilter{UntilNow: true}, from))
	return t
}

// of gives what opens the personal data of a message, nil for a claim, which has none. It is asked in the order of the ledger.
func (t *telling) of(m *events.Message) (events.Opener, error) {
	if !m.Type.Shown() {
		return nil, nil
	}
	for {
		shown, err, ok := t.next()
		switch {
		case !ok || err == nil && shown.Sequence > m.Sequence:
			return nil, fmt.Errorf("the server tells nothing of event %d", m.Sequence)
		case err != nil:
			return nil, err
		case shown.Sequence < m.Sequence:
			continue
		}
		text, err := exchangeForm(&shown)
		return events.Told(text), err
	}
}
