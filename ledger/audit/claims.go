package audit

import (
	"slices"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// webhook holds an event of a webhook against what the webhook was.
func (r *rules) webhook(e *events.Event, id uuid.UUID) {
	name := id.String()
	_, isCreation := e.Payload.(*events.Webhook)
	state, known := r.hooks.get(handle(id))
	switch {
	case !known && !isCreation && !r.partial:
		r.wrong(e, name, "%s of a webhook that was not created before", e.Type)
		return
	case known && isCreation:
		r.wrong(e, name, "the webhook is created again")
		return
	case !known:
		state.Subject = r.subjectHash(e.Subject)
	case state.Deleted:
		r.wrong(e, name, "%s of a webhook that is deleted", e.Type)
		return
	case state.Subject != r.subjectHash(e.Subject):
		r.wrong(e, name, "the webhook has another owner than before: %s", e.Subject)
		return
	}
	if p, ok := e.Payload.(*events.WebhookUpdate); ok && state.Hook.ID != uuid.Nil {
		if version := state.Hook.SecretVersion; p.SecretVersion != 0 && p.SecretVersion != version+1 {
			r.wrong(e, name, "version %d of the secret follows %d", p.SecretVersion, version)
		}
	}
	_, state.Deleted = e.Payload.(*events.WebhookDelete)
	state.Hook = ledger.EvolveWebhook(state.Hook, e)
	r.hooks.put(handle(id), state)
}

// agent holds that an agent is registered once.
func (r *rules) agent(e *events.Event, p *events.Agent) {
	subject := handleOf(e.Subject)
	if _, ok := r.agents.get(subject); ok {
		r.wrong(e, p.ID, "the agent is registered again")
		return
	}
	r.agents.put(subject, true)
	r.agentIDs.put(handleOf(p.ID), true)
}

// take holds that what is claimed was free. The claim of root keys is moved while it is held.
func (r *rules) take(e *events.Event, p *events.Claim) {
	name := claimName{p.Kind, p.Hash}
	held, taken := r.claims.get(name.handle())
	if taken {
		r.held(&held, -1)
	}
	if taken && p.Kind != claimOfRoot {
		r.wrong(e, name.String(), "the claim is taken, and has been held by %s since event %d", held.Holder, held.Sequence)
	}
	held = claim{p.Kind, p.Hash, p.Holder, e.Sequence}
	r.held(&held, 1)
	r.claims.put(name.handle(), held)
	r.open = append(r.open, name)
}

// held counts the claims of names that somebody holds.
func (r *rules) held(c *claim, more int) {
	if c.Kind == claimOfName {
		holder := handleOf(c.Holder)
		n, _ := r.holders.get(holder)
		r.holders.put(holder, n+more)
	}
}

// release holds that what is given up was held, and can be given up: a name.
func (r *rules) release(e *events.Event, p *events.Release) {
	name := claimName{p.Kind, p.Hash}
	held, taken := r.claims.get(name.handle())
	switch {
	case p.Kind != claimOfName:
		r.wrong(e, name.String(), "a claim of kind %s is released, which is for ever", p.Kind)
	case !taken && !r.partial:
		r.wrong(e, name.String(), "a claim is released that is not held")
	}
	if taken {
		r.held(&held, -1)
		r.claims.delete(name.handle())
	}
	r.open = append(r.open, name)
}

// String is the claim without what would be a digest.
func (c claimName) String() string {
	if c.kind == events.TokenClaim {
		return c.kind
	}
	return c.kind + "." + c.hash
}

// end holds claims and keys against each other, when all events were read: they are stored together, the claims first. Of
// claims at the very end the event may not have been read.
func (r *rules) end() {
	if r.partial {
		return
	}
	for _, c := range r.claims.all() {
		if name := (claimName{c.Kind, c.Hash}); !slices.Contains(r.open, name) && !r.isHeld(&c) {
			r.found(Finding{Severity: Error, Sequence: c.Sequence, Subject: name.String(), Text: "the claim is held by " + c.Holder +
				", which has no such thing"})
		}
	}
	for id, k := range r.named.all() {
		holder := uuid.UUID(id).String()
		if n, _ := r.holders.get(handleOf(holder)); k.Hidden && n > 0 {
			continue
		}
		name := claimName{claimOfName, k.claim()}
		if c, ok := r.claims.get(name.handle()); !slices.Contains(r.open, name) && (!ok || c.Holder != holder) {
			r.found(Finding{Severity: Error, Subject: holder, Text: "the key must have its name to itself, and does not hold the claim of it"})
		}
	}
}

// isHeld tells whether a claim is held by what needs it.
func (r *rules) isHeld(c *claim) bool {
	if c.Kind == claimOfAgent {
		_, ok := r.agentIDs.get(handleOf(c.Holder))
		return ok
	}
	id, err := uuid.Parse(c.Holder)
	if err != nil {
		return c.Kind != claimOfName && c.Kind != claimOfRoot && c.Kind != events.TokenClaim
	}
	_, isKey := r.keys.get(handle(id))
	switch c.Kind {
	case claimOfName:
		_, orphan := r.orphans.get(handle(id))
		k, ok := r.named.get(handle(id))
		return orphan || ok && k.mayHold(c.Hash)
	case events.TokenClaim:
		d, ok := digestOf(c.Hash)
		if !ok || !isKey {
			return false
		}
		sequence, _ := r.digests.get(handle(d[:16]))
		return sequence > c.Sequence
	case claimOfRoot:
		return isKey
	}
	return true // a kind of a newer program
}
