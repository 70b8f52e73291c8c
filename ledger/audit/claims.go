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
	state := r.hooks[id]
	switch {
	case state == nil && !isCreation && !r.partial:
		r.wrong(e, name, "%s of a webhook that was not created before", e.Type)
		return
	case state != nil && isCreation:
		r.wrong(e, name, "the webhook is created again")
		return
	case state == nil:
		state = &hookState{subject: r.subjectHash(e.Subject)}
		r.hooks[id] = state
	case state.deleted:
		r.wrong(e, name, "%s of a webhook that is deleted", e.Type)
		return
	case state.subject != r.subjectHash(e.Subject):
		r.wrong(e, name, "the webhook has another owner than before: %s", e.Subject)
		return
	}
	if p, ok := e.Payload.(*events.WebhookUpdate); ok && state.hook.ID != uuid.Nil {
		if version := state.hook.SecretVersion; p.SecretVersion != 0 && p.SecretVersion != version+1 {
			r.wrong(e, name, "version %d of the secret follows %d", p.SecretVersion, version)
		}
	}
	_, state.deleted = e.Payload.(*events.WebhookDelete)
	state.hook = ledger.EvolveWebhook(state.hook, e)
}

// agent holds that an agent is registered once.
func (r *rules) agent(e *events.Event, p *events.Agent) {
	subject := r.subjectHash(e.Subject)
	if _, ok := r.agents[subject]; ok {
		r.wrong(e, p.ID, "the agent is registered again")
		return
	}
	r.agents[subject] = p.ID
}

// take holds that what is claimed was free. The claim of root keys is moved while it is held.
func (r *rules) take(e *events.Event, p *events.Claim) {
	name := claimName{p.Kind, p.Hash}
	if held := r.claims[name]; held != nil && p.Kind != claimOfRoot {
		r.wrong(e, name.String(), "the claim is taken, and has been held by %s since event %d", held.holder, held.sequence)
	}
	r.claims[name] = &claimHolder{p.Holder, e.Sequence}
	r.open = append(r.open, name)
}

// release holds that what is given up was held, and can be given up: a name.
func (r *rules) release(e *events.Event, p *events.Release) {
	name := claimName{p.Kind, p.Hash}
	switch {
	case p.Kind != claimOfName:
		r.wrong(e, name.String(), "a claim of kind %s is released, which is for ever", p.Kind)
	case r.claims[name] == nil && !r.partial:
		r.wrong(e, name.String(), "a claim is released that is not held")
	}
	delete(r.claims, name)
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
	agents := make(map[string]bool, len(r.agents))
	for _, id := range r.agents {
		agents[id] = true
	}
	for name, claim := range r.claims {
		if !slices.Contains(r.open, name) && !r.isHeld(name, claim, agents) {
			r.found(Finding{Severity: Error, Sequence: claim.sequence, Subject: name.String(), Text: "the claim is held by " + claim.holder +
				", which has no such thing"})
		}
	}
	holders := r.nameHolders()
	for id, k := range r.named {
		if k.hidden && holders[id.String()] {
			continue
		}
		name := claimName{claimOfName, k.NameClaim()}
		if claim := r.claims[name]; !slices.Contains(r.open, name) && (claim == nil || claim.holder != id.String()) {
			r.found(Finding{Severity: Error, Subject: id.String(), Text: "the key must have its name to itself, and does not hold the claim of it"})
		}
	}
}

// isHeld tells whether a claim is held by what needs it.
func (r *rules) isHeld(name claimName, claim *claimHolder, agents map[string]bool) bool {
	id, err := uuid.Parse(claim.holder)
	switch name.kind {
	case claimOfAgent:
		return agents[claim.holder]
	case claimOfName:
		k := r.named[id]
		return err == nil && (r.orphans[id] || k != nil && k.mayHold(name.hash))
	case events.TokenClaim:
		d, ok := digestOf(name.hash)
		return ok && err == nil && r.digests[shortDigest(d[:16])] > claim.sequence && r.keys.get(id) != nil
	case claimOfRoot:
		return err == nil && r.keys.get(id) != nil
	}
	return true // a kind of a newer program
}
