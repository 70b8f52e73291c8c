package webhooks

import (
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"keyledger/ledger"
)

const (
	// MaxReplay is how many dead letters one Replay takes.
	MaxReplay = 1000
	// replayParallel is how many of them are under way at a time.
	replayParallel = 8
)

// Replay tries the dead letters of an endpoint whose sequences are from first to last once more each, at most MaxReplay of
// them, and tells how many. It goes on when it has returned; what fails again, and what this node does not come to, stays
// dead.
func (d *Dispatcher) Replay(ctx context.Context, w *ledger.Webhook, first, last uint64) (int, error) {
	dead, err := d.dead(ctx, w.ID, first, last)
	if err != nil {
		return 0, err
	}
	endpoint := *w
	d.begun.Go(func() {
		var group errgroup.Group
		group.SetLimit(replayParallel)
		for i := range dead {
			group.Go(func() error {
				d.revive(d.context, &endpoint, &dead[i])
				return nil
			})
		}
		_ = group.Wait() // it has no errors
	})
	return len(dead), nil
}

func (d *Dispatcher) dead(ctx context.Context, id uuid.UUID, first, last uint64) (dead []ledger.Delivery, err error) {
	for after := uint64(0); ; {
		page, err := d.Queue.Deliveries(ctx, id, after, ledger.MaxPage)
		if err != nil {
			return nil, err
		}
		for i := range page {
			after = page[i].Place
			if page[i].State == ledger.Dead && page[i].Sequence >= first && page[i].Sequence <= last {
				dead = append(dead, page[i])
			}
			if len(dead) == MaxReplay {
				return dead, nil
			}
		}
		if len(page) < ledger.MaxPage {
			return dead, nil
		}
	}
}

// revive makes one more attempt at a dead letter.
func (d *Dispatcher) revive(ctx context.Context, w *ledger.Webhook, letter *ledger.Delivery) {
	if ctx.Err() != nil {
		return
	}
	messages, err := d.Log.Read(ctx, letter.Sequence)
	if err != nil {
		d.Logger.Warn("a dead letter could not be read", "webhook", w.ID, "sequence", letter.Sequence, "error", err)
		return
	}
	d.attempt(ctx, w, &messages[0], max(letter.Attempts, len(d.Schedule)))
}

// Test sends an event of type keyledger.webhook.test to an endpoint, once, and tells how it went. Nothing is noted.
func (d *Dispatcher) Test(ctx context.Context, w *ledger.Webhook) (*ledger.Delivery, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(struct {
		SpecVersion string            `json:"specversion"`
		ID          string            `json:"id"`
		Source      string            `json:"source"`
		Type        string            `json:"type"`
		Subject     string            `json:"subject"`
		Time        time.Time         `json:"time"`
		ContentType string            `json:"datacontenttype"`
		Data        map[string]string `json:"data"`
	}{
		"1.0", id.String(), d.source, "keyledger.webhook.test", w.ID.String(), d.Now().UTC(), "application/json",
		map[string]string{"webhook_id": w.ID.String(), "secret_version": strconv.FormatUint(w.SecretVersion, 10)},
	})
	if err != nil {
		return nil, err
	}
	r, err := d.sender.send(ctx, w, id.String(), body)
	if err != nil {
		return nil, err
	}
	out := &ledger.Delivery{EventID: id, Type: "webhook.test", State: ledger.Dead, Attempts: 1,
		Status: r.status, Error: r.failure, At: r.at.UTC(), Took: r.took}
	if r.delivered() {
		out.State = ledger.Delivered
	}
	return out, nil
}
