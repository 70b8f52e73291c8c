package projections

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// webhookView holds every endpoint by its id. There are few of them, so that lists filter it.
func (v *Views) webhookView() view {
	return view{name: "webhooks", version: 1, prefixes: string(webhookPrefix), apply: v.applyWebhook}
}

// applyWebhook reads what it changes from the batch: an endpoint may be changed twice in one.
func (v *Views) applyWebhook(b *pebble.Batch, c *change) error {
	switch c.event.Payload.(type) {
	case *events.Webhook, *events.WebhookUpdate, *events.WebhookDelete:
	default:
		return nil
	}
	s, err := events.ParseSubject(c.event.Subject)
	if err != nil {
		return err
	}
	v.changedWebhook = c.event.Sequence
	before, known := v.pendingWebhooks[s.Webhook]
	if !known {
		if before, _, err = v.Webhook(context.Background(), s.Webhook); err != nil {
			return err
		}
	}
	after := ledger.EvolveWebhook(before, c.event)
	if v.lost(after.Workspace, c.event) {
		after.Scrub()
	}
	v.pendingWebhooks[s.Webhook] = after
	if after.ID == uuid.Nil {
		return b.Delete(webhookKey(s.Webhook), nil)
	}
	return b.Set(webhookKey(s.Webhook), packWebhook(&after), nil)
}

// showWebhooks tells of the endpoints that a commit has changed.
func (v *Views) showWebhooks() {
	if v.changedWebhook > v.webhooksAt.Load() {
		clear(v.pendingWebhooks)
		v.webhooksAt.Store(v.changedWebhook)
		v.webhookWaiters.release(v.changedWebhook)
	}
}

func webhookKey(id uuid.UUID) []byte { return append([]byte{webhookPrefix}, id[:]...) }

func packWebhook(w *ledger.Webhook) []byte {
	b := append(append([]byte(nil), w.ID[:]...), w.LastEvent[:]...)
	for _, n := range [...]uint64{w.From, w.SecretVersion, w.Sequence} {
		b = binary.AppendUvarint(b, n)
	}
	for _, t := range webhookTimes(w) {
		b = binary.AppendUvarint(b, uint64(max(0, t.UnixMicro())))
	}
	return appendTexts(b, w.Workspace, w.Org, w.Agent, w.URL, w.Types, w.Name, w.CreatedBy, w.DisabledReason)
}

func webhookTimes(w *ledger.Webhook) [4]*time.Time {
	return [4]*time.Time{&w.CreatedAt, &w.UpdatedAt, &w.PreviousUntil, &w.DisabledAt}
}

func unpackWebhook(value []byte) (w ledger.Webhook, err error) {
	r := unpacker{src: append([]byte(nil), value...)}
	copy(w.ID[:], r.take(16))
	copy(w.LastEvent[:], r.take(16))
	w.From, w.SecretVersion, w.Sequence = r.uvarint(), r.uvarint(), r.uvarint()
	for _, t := range webhookTimes(&w) {
		if micros := r.uvarint(); micros > 0 {
			*t = time.UnixMicro(int64(micros)).UTC()
		}
	}
	for _, s := range [...]*string{&w.Workspace, &w.Org, &w.Agent, &w.URL, &w.Types, &w.Name, &w.CreatedBy, &w.DisabledReason} {
		*s = alias(r.take(r.uvarint()))
	}
	if r.bad {
		return ledger.Webhook{}, errDamaged
	}
	return w, nil
}

// Webhook returns an endpoint, or ok false.
func (v *Views) Webhook(_ context.Context, id uuid.UUID) (w ledger.Webhook, ok bool, err error) {
	ok, err = v.get(webhookKey(id), func(value []byte) error {
		w, err = unpackWebhook(value)
		return err
	})
	return w, ok, err
}

// Webhooks returns one page of endpoints, newest first.
func (v *Views) Webhooks(ctx context.Context, q *ledger.WebhookQuery) (page ledger.WebhookPage, err error) {
	it, err := v.iterate(ctx, []byte{webhookPrefix})
	if err != nil {
		return page, err
	}
	defer closeIterator(it, &err)
	if it.Last(); q.After != uuid.Nil {
		it.SeekLT(webhookKey(q.After))
	}
	for ; it.Valid(); it.Prev() {
		w, err := unpackWebhook(it.Value())
		if err != nil {
			return page, err
		}
		if !q.Matches(&w) {
			continue
		}
		if len(page.Webhooks) == max(q.Limit, 1) {
			page.Next = page.Webhooks[len(page.Webhooks)-1].ID
			break
		}
		page.Webhooks = append(page.Webhooks, w)
	}
	return page, nil
}

// WebhooksChanged returns when the views have an event of an endpoint after a sequence, with the sequence of the last one.
func (v *Views) WebhooksChanged(ctx context.Context, after uint64) (uint64, error) {
	if err := v.webhookWaiters.wait(ctx, after+1, &v.webhooksAt); err != nil {
		return 0, err
	}
	return v.webhooksAt.Load(), nil
}
