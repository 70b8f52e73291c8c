package projections_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// webhook makes, changes or deletes an endpoint.
func (h *history) webhook(t *rapid.T) {
	ctx := t.Context()
	if len(h.hooks) == 0 || rapid.Bool().Draw(t, "new") {
		o := owners().Draw(t, "owner")
		w, err := h.service.CreateWebhook(ctx, h.call, &ledger.CreateWebhook{
			Workspace: o.Workspace, Org: o.Org, Agent: o.AgentID, URL: "https://example.com/" + o.Peer,
			Types: rapid.SampledFrom([][]string{nil, {"key.*"}}).Draw(t, "types"), Name: names().Draw(t, "name"),
			From: uint64(rapid.IntRange(0, 3).Draw(t, "from")),
		})
		if done(t, err) {
			h.hooks = append(h.hooks, w.ID)
		}
		return
	}
	id := rapid.SampledFrom(h.hooks).Draw(t, "webhook")
	var err error
	switch rapid.IntRange(0, 4).Draw(t, "change") {
	case 0:
		name := names().Draw(t, "name")
		_, err = h.service.UpdateWebhook(ctx, h.call, id, &ledger.UpdateWebhook{Name: &name})
	case 1:
		_, err = h.service.RotateWebhook(ctx, h.call, id, time.Duration(rapid.IntRange(0, 2).Draw(t, "overlap"))*time.Hour)
	case 2:
		_, err = h.service.DisableWebhook(ctx, h.call, id, "r")
	case 3:
		_, err = h.service.EnableWebhook(ctx, h.call, id)
	default:
		err = h.service.DeleteWebhook(ctx, h.call, id)
	}
	if ledger.CodeOf(err) != ledger.CodeNotFound { // it was deleted before
		done(t, err)
	}
}

// compareWebhooks compares some lists of endpoints, in pages.
func (h *history) compareWebhooks(t *rapid.T, name string, got, want ledger.State) {
	for _, q := range []ledger.WebhookQuery{{Limit: 100}, {Limit: 2}, {Workspace: "acme", Limit: 1}, {Org: "o1", Agent: "bot", Limit: 3},
		{Workspace: "acme", Exact: true, Limit: 2}} {
		for more := true; more; more = q.After != uuid.Nil {
			g, gotErr := got.Webhooks(t.Context(), &q)
			w, wantErr := want.Webhooks(t.Context(), &q)
			if !reflect.DeepEqual(g, w) || gotErr != nil || wantErr != nil {
				t.Fatalf("%s: webhooks of %+v:\n got %+v, %v\nwant %+v, %v", name, q, g, gotErr, w, wantErr)
			}
			q.After = w.Next
		}
	}
}

// Whoever waits for a change of endpoints is told of it, and of no other event.
func TestWebhooksChanged(t *testing.T) {
	log := ledgertest.NewLog()
	v := open(t, projections.Options{FS: vfs.NewMem()})
	run(t, v, log)
	service, call := rooted(t, v, log, time.Now)
	call.Principal.Scopes = ledger.ScopeAll
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if at, err := v.WebhooksChanged(ended, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("changed at %d, %v", at, err)
	}
	last := uint64(0)
	for i := range 3 {
		told := make(chan uint64, 1)
		go func() {
			at, err := v.WebhooksChanged(t.Context(), last)
			if err != nil {
				t.Error(err)
			}
			told <- at
		}()
		w, err := service.CreateWebhook(t.Context(), call, &ledger.CreateWebhook{URL: fmt.Sprint("https://example.com/", i)})
		if err != nil {
			t.Fatal(err)
		}
		if at := <-told; at != w.Sequence {
			t.Errorf("changed at %d, want %d", at, w.Sequence)
		}
		last = w.Sequence
	}
}
