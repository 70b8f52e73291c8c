package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Erasure is an event that says that the personal data before it is destroyed: of one key, or of all that a workspace has.
type Erasure struct {
	Sequence   uint64
	Event      uuid.UUID
	At         time.Time
	Subject    string // of the key, or of the workspace
	Workspace  string // of the key, or the one
	Key        bool
	Generation uint64 // of a workspace: the last one of its secret that is destroyed
}

// NewErasure is the erasure that an event is, or ok false.
func NewErasure(e *events.Event) (x Erasure, ok bool) {
	p, ok := e.Payload.(*events.Erasure)
	if !ok {
		return Erasure{}, false
	}
	return Erasure{
		Sequence: e.Sequence, Event: e.ID, At: e.Time, Subject: e.Subject, Workspace: p.Workspace,
		Key: p.KeyID != uuid.Nil, Generation: p.Generation,
	}, true
}

// place is what is erased: the subject of a key, or the workspace as it stands in a subject.
func (x *Erasure) place() string {
	if x.Key {
		return x.Subject
	}
	return workspaceOf(x.Subject)
}

// Lost tells whether the personal data of an event of the workspace is lost, though the event came after the erasure: a node
// that did not know of it yet has sealed it with the secret that was to be destroyed.
func (x *Erasure) Lost(e *events.Event) bool { return e.Sealed != 0 && e.Sealed <= x.Generation }

// Covers tells whether where a last use came from is erased with the workspace: it was not after that.
func (x *Erasure) Covers(u *LastUse) bool { return x.Sequence != 0 && !u.LastAt.After(x.At) }

// erasedMetadata stands for metadata that was erased.
const erasedMetadata = `{"` + events.ErasedText + `":true}`

func scrub(s *string) {
	if *s != "" {
		*s = events.ErasedText
	}
}

// Scrub puts "erased" in the place of the key's personal data.
func (k *Key) Scrub() {
	scrub(&k.Name)
	scrub(&k.Owner.AgentName)
	scrub(&k.RevokeReason)
	if len(k.Metadata) > 0 {
		k.Metadata = json.RawMessage(erasedMetadata)
	}
}

// Scrub puts "erased" in the place of the agent's name.
func (a *Agent) Scrub() {
	scrub(&a.Name)
	a.Erased = true
}

// Scrub puts "erased" in the place of the endpoint's personal data.
func (w *Webhook) Scrub() {
	scrub(&w.Name)
	scrub(&w.DisabledReason)
}

// Scrub puts "erased" in the place of where the last use came from.
func (u *LastUse) Scrub() {
	scrub(&u.IP)
	scrub(&u.UserAgent)
}

// notSealed says why a Service without Personal erases nothing.
const notSealed = "personal data is not sealed here, so it cannot be destroyed"

// DecideErase decides on the erasure of a key's personal data. One that was erased gives nil.
func DecideErase(k *Key) *events.Erasure {
	if !k.ErasedAt.IsZero() {
		return nil
	}
	return &events.Erasure{Workspace: k.Owner.Workspace, KeyID: k.ID}
}

// EraseKey destroys the personal data of a key, in all that was ever told of it: scope ledger:erase. The key itself stays
// what it is, but it gets no personal data any more. After CodeUnavailable it may be under way.
func (s *Service) EraseKey(ctx context.Context, c *Call, id uuid.UUID) (Key, error) {
	if s.personal == nil {
		return Key{}, conflict(notSealed)
	}
	k, err := s.change(ctx, c, id, ScopeErase, func(k *Key, _ time.Time) (events.Payload, error) {
		return fact(DecideErase(k), nil)
	})
	if err != nil {
		return Key{}, err
	}
	x := Erasure{Subject: events.KeySubject(&k.Owner, k.ID), Key: true}
	return k, s.destroy(ctx, &x)
}

// EraseWorkspace destroys the personal data of all that a workspace has: scope ledger:erase, and a principal that is bound to
// nothing narrower. What the workspace gets later is new. A workspace that has nothing is CodeNotFound.
func (s *Service) EraseWorkspace(ctx context.Context, c *Call, workspace string) (x Erasure, err error) {
	if s.personal == nil {
		return Erasure{}, conflict(notSealed)
	}
	if err := s.mayErase(&c.Principal, workspace); err != nil {
		return Erasure{}, err
	}
	var event uuid.UUID
	if err := c.draw(&event); err != nil {
		return Erasure{}, err
	}
	err = s.retry(ctx, func() error {
		x, err = s.eraseWorkspace(ctx, c, event, workspace)
		return err
	})
	if err != nil {
		return Erasure{}, err
	}
	return x, s.destroy(ctx, &x)
}

func (s *Service) mayErase(p *Principal, workspace string) error {
	owner := Owner{Workspace: workspace}
	if err := CheckOwner(&owner); err != nil {
		return err
	}
	bound := p.Owner
	if bound.Workspace != "" && bound.Workspace != workspace || workspace == "" {
		return notFound("workspace")
	}
	if err := p.may(ScopeErase); err != nil {
		return err
	}
	if bound.Workspace = ""; !isUnbound(&bound) {
		return forbidden("a workspace is erased with a key that is bound to all of it, or to nothing")
	}
	return nil
}

// eraseWorkspace is one attempt. It fails with ErrConflict when another erasure got in between.
func (s *Service) eraseWorkspace(ctx context.Context, c *Call, event uuid.UUID, workspace string) (Erasure, error) {
	subject := events.WorkspaceSubject(workspace)
	last, err := s.state.Erasure(ctx, subject)
	switch {
	case err != nil:
		return Erasure{}, failed(err)
	case last.Event == event: // a repeat
		return last, nil
	case last.Sequence == 0:
		if err := s.inhabited(ctx, workspace); err != nil {
			return Erasure{}, err
		}
	}
	generation, err := s.personal.generation(ctx, workspaceOf(subject))
	if err != nil {
		return Erasure{}, failed(err)
	}
	e, err := c.event(event, &events.Erasure{Workspace: workspace, Generation: generation}, s.now())
	if err != nil {
		return Erasure{}, err
	}
	e.Subject, e.Origin = subject, events.Origin{}
	if e.Sequence, err = s.store(ctx, c, &e, last.Sequence); err != nil {
		return Erasure{}, err
	}
	if c.Entropy != nil {
		// It may be the first event, not this one, that is stored.
		if first, err := s.state.Erasure(ctx, subject); err != nil || first.Event == event {
			return first, failed(err)
		}
	}
	x, _ := NewErasure(&e)
	return x, nil
}

// inhabited is CodeNotFound for a workspace that has neither keys nor agents nor webhooks.
func (s *Service) inhabited(ctx context.Context, workspace string) error {
	keys, err := s.state.Keys(ctx, &Query{Workspace: workspace, Limit: 1, Now: s.now()})
	if err != nil || len(keys.Keys) > 0 {
		return failed(err)
	}
	agents, err := s.state.Agents(ctx, &AgentQuery{Workspace: workspace, Limit: 1})
	if err != nil || len(agents.Agents) > 0 {
		return failed(err)
	}
	hooks, err := s.state.Webhooks(ctx, &WebhookQuery{Workspace: workspace, Limit: 1})
	if err != nil || len(hooks.Webhooks) > 0 {
		return failed(err)
	}
	return notFound("workspace")
}

// destroy carries out an erasure that is stored.
func (s *Service) destroy(ctx context.Context, x *Erasure) error {
	if err := s.personal.destroy(ctx, x); err != nil {
		return &Error{
			Code:       CodeUnavailable,
			Detail:     "the erasure is stored, but not carried out yet: it will be",
			RetryAfter: retryAfter,
			Err:        err,
		}
	}
	return nil
}
