package ledgertest

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// applyWebhook adds an event of an endpoint, which the subject names.
func (s *State) applyWebhook(e *events.Event) {
	subject, err := events.ParseSubject(e.Subject)
	if err != nil {
		return
	}
	s.hooked = e.Sequence
	w := ledger.EvolveWebhook(s.hooks[subject.Webhook], e)
	if s.lost(w.Workspace, e) {
		w.Scrub()
	}
	if w.ID == uuid.Nil {
		delete(s.hooks, subject.Webhook)
		return
	}
	s.hooks[w.ID] = w
}

// Webhook implements ledger.State.
func (s *State) Webhook(_ context.Context, id uuid.UUID) (ledger.Webhook, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	w, ok := s.hooks[id]
	return w, ok, nil
}

// Webhooks implements ledger.State.
func (s *State) Webhooks(_ context.Context, q *ledger.WebhookQuery) (page ledger.WebhookPage, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, w := range s.hooks {
		if q.Matches(&w) && (q.After == uuid.Nil || bytes.Compare(id[:], q.After[:]) < 0) {
			page.Webhooks = append(page.Webhooks, w)
		}
	}
	slices.SortFunc(page.Webhooks, func(a, b ledger.Webhook) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	if len(page.Webhooks) > q.Limit {
		page.Webhooks = page.Webhooks[:q.Limit]
		page.Next = page.Webhooks[q.Limit-1].ID
	}
	return page, nil
}

// WebhooksChanged implements ledger.State.
func (s *State) WebhooksChanged(ctx context.Context, after uint64) (last uint64, err error) {
	err = s.until(ctx, func() bool {
		last = s.hooked
		return last > after
	})
	return last, err
}
