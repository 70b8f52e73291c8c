package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// WebhookQuery selects endpoints. Empty fields select all.
type WebhookQuery struct {
	Workspace, Org, Agent string
	Exact                 bool // empty parts of the owner select those for all
	Limit                 int
	After                 uuid.UUID // ID of the last one of the page before
}

// Matches tells whether q selects w, whatever the place.
func (q *WebhookQuery) Matches(w *Webhook) bool {
	is := func(want, has string) bool { return want == has || want == "" && !q.Exact }
	return is(q.Workspace, w.Workspace) && is(q.Org, w.Org) && is(q.Agent, w.Agent)
}

// WebhookPage is one page of endpoints. Next is zero on the last one.
type WebhookPage struct {
	Webhooks []Webhook
	Next     uuid.UUID
}

// WebhookPolicy says which URLs an endpoint may have.
type WebhookPolicy struct {
	// Plain allows http beside https.
	Plain bool
	// Target refuses hosts, with an error of CodeInvalid and Field "url"; nil: none.
	Target func(ctx context.Context, url string) error
}

// CreateWebhook makes an endpoint: scope ledger:webhooks, and an owner no wider than the principal's, as for a key.
func (s *Service) CreateWebhook(ctx context.Context, c *Call, in *CreateWebhook) (Webhook, error) {
	if c.Principal.Owner.Peer != "" || c.Principal.Owner.Session != "" {
		return Webhook{}, forbidden(webhookOwners)
	}
	owner := Owner{Workspace: in.Workspace, Org: in.Org, AgentID: in.Agent}
	if err := allowOwner(&c.Principal, ScopeWebhooks, &owner); err != nil {
		return Webhook{}, err
	}
	var event, id uuid.UUID
	if err := c.draw(&event, &id); err != nil {
		return Webhook{}, err
	}
	body, err := DecideCreateWebhook(in, id, s.hooks.Plain)
	if err != nil {
		return Webhook{}, err
	}
	if err := s.checkTarget(ctx, &in.URL); err != nil {
		return Webhook{}, err
	}
	var w Webhook
	err = s.retry(ctx, func() error {
		w, err = s.addWebhook(ctx, c, event, body)
		return err
	})
	return w, err
}

// addWebhook is one attempt to create an endpoint. It fails with ErrConflict when it is there and not yet seen here.
func (s *Service) addWebhook(ctx context.Context, c *Call, event uuid.UUID, in *events.Webhook) (Webhook, error) {
	if w, ok, err := s.state.Webhook(ctx, in.ID); err != nil || ok {
		return w, failed(err) // a repeat
	}
	page, err := s.state.Webhooks(ctx, &WebhookQuery{
		Workspace: in.Workspace, Org: in.Org, Agent: in.Agent, Exact: true, Limit: MaxWebhooks,
	})
	if err != nil {
		return Webhook{}, failed(err)
	}
	if len(page.Webhooks) == MaxWebhooks {
		return Webhook{}, conflict("there are as many webhooks as one owner may have: delete one first")
	}
	return s.storeWebhook(ctx, c, &Webhook{ID: in.ID, Workspace: in.Workspace, Org: in.Org, Agent: in.Agent}, event, in)
}

func (s *Service) checkTarget(ctx context.Context, url *string) error {
	if url == nil || s.hooks.Target == nil {
		return nil
	}
	return s.hooks.Target(ctx, *url)
}

// UpdateWebhook changes an endpoint: scope ledger:webhooks.
func (s *Service) UpdateWebhook(ctx context.Context, c *Call, id uuid.UUID, in *UpdateWebhook) (Webhook, error) {
	checked := false
	return s.changeWebhook(ctx, c, id, func(w *Webhook, _ time.Time) (events.Payload, error) {
		out, err := DecideUpdateWebhook(w, in, s.hooks.Plain)
		if err == nil && out != nil && out.URL != nil && !checked {
			err, checked = s.checkTarget(ctx, out.URL), true
		}
		return fact(out, err)
	})
}

// RotateWebhook gives an endpoint a new secret: scope ledger:webhooks. The one before signs too for the time of overlap,
// at most MaxOverlap.
func (s *Service) RotateWebhook(ctx context.Context, c *Call, id uuid.UUID, overlap time.Duration) (Webhook, error) {
	return s.changeWebhook(ctx, c, id, func(w *Webhook, now time.Time) (events.Payload, error) {
		return fact(DecideRotateWebhook(w, overlap, now))
	})
}

// DisableWebhook tells an endpoint nothing more until it is enabled: scope ledger:webhooks.
func (s *Service) DisableWebhook(ctx context.Context, c *Call, id uuid.UUID, reason string) (Webhook, error) {
	return s.changeWebhook(ctx, c, id, func(w *Webhook, _ time.Time) (events.Payload, error) {
		if !w.DisabledAt.IsZero() {
			return nil, nil
		}
		return fact(&events.WebhookUpdate{ID: w.ID, Disabled: new(true), Reason: reason}, checkReason(reason))
	})
}

// EnableWebhook ends that: scope ledger:webhooks. It is told of what happened meanwhile.
func (s *Service) EnableWebhook(ctx context.Context, c *Call, id uuid.UUID) (Webhook, error) {
	return s.changeWebhook(ctx, c, id, func(w *Webhook, _ time.Time) (events.Payload, error) {
		if w.DisabledAt.IsZero() {
			return nil, nil
		}
		return &events.WebhookUpdate{ID: w.ID, Disabled: new(false)}, nil
	})
}

// DeleteWebhook ends an endpoint for good: scope ledger:webhooks.
func (s *Service) DeleteWebhook(ctx context.Context, c *Call, id uuid.UUID) error {
	_, err := s.changeWebhook(ctx, c, id, func(w *Webhook, _ time.Time) (events.Payload, error) {
		return &events.WebhookDelete{ID: w.ID}, nil
	})
	return err
}

// Webhook returns an endpoint: scope ledger:webhooks.
func (s *Service) Webhook(ctx context.Context, p *Principal, id uuid.UUID) (Webhook, error) {
	w, ok, err := s.state.Webhook(ctx, id)
	if err != nil {
		return Webhook{}, failed(err)
	}
	owner := w.Owner()
	if !ok || !p.covers(&owner) {
		return Webhook{}, notFound("webhook")
	}
	return w, p.may(ScopeWebhooks)
}

// Webhooks returns one page of the endpoints within the principal's owner, newest first: scope ledger:webhooks.
func (s *Service) Webhooks(ctx context.Context, p *Principal, q *WebhookQuery) (WebhookPage, error) {
	owner, err := p.narrow(Owner{Workspace: q.Workspace, Org: q.Org, AgentID: q.Agent})
	if err != nil {
		return WebhookPage{}, err
	}
	if err := p.may(ScopeWebhooks); err != nil {
		return WebhookPage{}, err
	}
	if err := checkLimit(q.Limit); err != nil {
		return WebhookPage{}, err
	}
	if owner.Peer != "" || owner.Session != "" {
		return WebhookPage{}, nil
	}
	bound := *q
	bound.Workspace, bound.Org, bound.Agent = owner.Workspace, owner.Org, owner.AgentID
	page, err := s.state.Webhooks(ctx, &bound)
	return page, failed(err)
}

// changeWebhook runs a command on an endpoint. decide gives nil when there is nothing to change.
func (s *Service) changeWebhook(ctx context.Context, c *Call, id uuid.UUID,
	decide func(*Webhook, time.Time) (events.Payload, error),
) (w Webhook, err error) {
	var event uuid.UUID
	if err := c.draw(&event); err != nil {
		return Webhook{}, err
	}
	err = s.retry(ctx, func() error {
		var repeat bool
		if w, repeat, err = s.readWebhook(ctx, c, id, event); err != nil || repeat {
			return err
		}
		if c.IfSequence != 0 && c.IfSequence != w.Sequence {
			return &Error{Code: CodePrecondition, Detail: "the webhook has changed since you read it"}
		}
		body, err := decide(&w, s.now())
		if err != nil || body == nil {
			return err
		}
		w, err = s.storeWebhook(ctx, c, &w, event, body)
		return err
	})
	return w, err
}

// readWebhook returns the endpoint that a command changes; or, as a repeat, as the same command left it before.
func (s *Service) readWebhook(ctx context.Context, c *Call, id, event uuid.UUID) (w Webhook, repeat bool, err error) {
	s.await(ctx, c.IfSequence)
	w, err = s.Webhook(ctx, &c.Principal, id)
	if err != nil || c.Entropy == nil {
		return w, false, err
	}
	messages, err := s.log.Scan(ctx, events.WebhookSubject(w.Workspace, w.Org, w.Agent, id), 1, MaxPage)
	if err != nil {
		return Webhook{}, false, failed(err)
	}
	list, err := s.decode(messages)
	var before Webhook
	for i := range list {
		if before = EvolveWebhook(before, &list[i]); list[i].ID == event {
			return before, true, nil
		}
	}
	return w, false, err
}

// storeWebhook appends an event of w and returns what it makes of it.
func (s *Service) storeWebhook(ctx context.Context, c *Call, w *Webhook, id uuid.UUID, body events.Payload) (Webhook, error) {
	e, err := c.event(id, body, s.now())
	if err != nil {
		return Webhook{}, err
	}
	e.Subject = events.WebhookSubject(w.Workspace, w.Org, w.Agent, w.ID)
	if e.Sequence, err = s.store(ctx, c, &e, w.Sequence); err != nil {
		return Webhook{}, err
	}
	if c.Entropy != nil {
		// It may be the first event, not this one, that is stored: its time counts.
		if first, ok, err := s.state.Webhook(ctx, w.ID); err != nil || ok && first.LastEvent == id {
			return first, failed(err)
		}
	}
	return EvolveWebhook(*w, &e), nil
}
