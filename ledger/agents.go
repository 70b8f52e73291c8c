package ledger

import (
	"context"

	"github.com/google/uuid"

	"keyledger/events"
)

// RegisterAgent registers an agent, or returns the one of this owner and name that exists: created tells which. It needs
// the scope ledger:keys:create and an owner no wider than the principal's. A name or an id that is registered with
// another id or name is CodeConflict.
func (s *Service) RegisterAgent(ctx context.Context, c *Call, in *RegisterAgent) (a Agent, created bool, err error) {
	owner := Owner{Workspace: in.Workspace, Org: in.Org, AgentID: in.ID}
	if err := allowOwner(&c.Principal, ScopeCreate, &owner); err != nil {
		return Agent{}, false, err
	}
	var event, id uuid.UUID
	if err := c.draw(&event, &id); err != nil {
		return Agent{}, false, err
	}
	body, err := DecideRegister(in, id)
	if err != nil {
		return Agent{}, false, err
	}
	err = s.retry(ctx, func() error {
		a, created, err = s.register(ctx, c, event, body, in.ID != "")
		return err
	})
	return a, created, err
}

// register is one attempt. It fails with ErrConflict when another registration got in between.
func (s *Service) register(ctx context.Context, c *Call, event uuid.UUID, body *events.Agent, chosen bool) (Agent, bool, error) {
	a, ok, err := s.named(ctx, body.Workspace, body.Org, body.Name)
	switch {
	case err != nil:
		return Agent{}, false, failed(err)
	case ok && chosen && a.ID != body.ID:
		return Agent{}, false, conflict("an agent of this name is registered with another id")
	case ok:
		created, err := s.registered(ctx, c, event, &a)
		return a, created, err
	}
	a, ok, err = s.state.Agent(ctx, body.Workspace, body.Org, body.ID)
	switch {
	case err != nil:
		return Agent{}, false, failed(err)
	case ok && a.Name == body.Name:
		return Agent{}, false, ErrConflict // it came between the two looks
	case ok:
		return Agent{}, false, conflict("an agent of this id is registered with another name")
	}
	return s.storeAgent(ctx, c, event, body)
}

// named returns the agent that has a name, also one whose name was erased: its claim still knows.
func (s *Service) named(ctx context.Context, workspace, org, name string) (Agent, bool, error) {
	a, ok, err := s.state.AgentByName(ctx, workspace, org, name)
	if err != nil || ok {
		return a, ok, err
	}
	claim, err := s.state.Claim(ctx, claimAgent, agentClaim(workspace, org, name))
	if err != nil || !claim.Held {
		return Agent{}, false, err
	}
	a, ok, err = s.state.Agent(ctx, workspace, org, claim.Holder)
	return a, ok && a.Erased, err
}

// storeAgent appends a registration with the claim of its name.
func (s *Service) storeAgent(ctx context.Context, c *Call, event uuid.UUID, body *events.Agent) (Agent, bool, error) {
	e, err := c.event(event, body, s.now())
	if err != nil {
		return Agent{}, false, err
	}
	e.Subject = events.AgentSubject(body.Workspace, body.Org, body.ID)
	hash := agentClaim(body.Workspace, body.Org, body.Name)
	state, err := s.state.Claim(ctx, claimAgent, hash)
	if err != nil {
		return Agent{}, false, failed(err)
	}
	if state.Held {
		return Agent{}, false, ErrConflict // its agent was not there yet when it was looked for
	}
	claim, err := s.take(&e, claimAgent, hash, body.ID, state.Sequence)
	if err != nil {
		return Agent{}, false, err
	}
	if e.Sequence, err = s.store(ctx, c, &e, 0, claim); err != nil {
		return Agent{}, false, err
	}
	if c.Entropy != nil {
		// It may be the first event, not this one, that is stored: its time counts.
		if first, ok, err := s.state.Agent(ctx, body.Workspace, body.Org, body.ID); err != nil || ok {
			return first, ok, failed(err)
		}
	}
	return NewAgent(&e, body), true, nil
}

// registered tells whether the agent that is there is what this very call registered before.
func (s *Service) registered(ctx context.Context, c *Call, event uuid.UUID, a *Agent) (bool, error) {
	if c.Entropy == nil {
		return false, nil
	}
	messages, err := s.log.Read(ctx, a.Sequence)
	if err != nil {
		return false, failed(err)
	}
	return messages[0].ID == event, nil
}

// Agent returns an agent of an owner: scope ledger:keys:read. What is left out of the owner is what the principal is
// bound to.
func (s *Service) Agent(ctx context.Context, p *Principal, workspace, org, id string) (Agent, error) {
	owner, err := p.narrow(Owner{Workspace: workspace, Org: org, AgentID: id})
	if err != nil {
		return Agent{}, notFound("agent")
	}
	a, ok, err := s.state.Agent(ctx, owner.Workspace, owner.Org, id)
	if err != nil {
		return Agent{}, failed(err)
	}
	if !ok {
		return Agent{}, notFound("agent")
	}
	return a, p.may(ScopeRead)
}

// AgentNamed returns the agent of an owner that has a name: scope ledger:keys:read. What is left out of the owner is what
// the principal is bound to.
func (s *Service) AgentNamed(ctx context.Context, p *Principal, workspace, org, name string) (Agent, error) {
	owner, err := p.narrow(Owner{Workspace: workspace, Org: org})
	if err != nil {
		return Agent{}, notFound("agent")
	}
	a, ok, err := s.state.AgentByName(ctx, owner.Workspace, owner.Org, name)
	if err != nil {
		return Agent{}, failed(err)
	}
	if !ok || owner.AgentID != "" && owner.AgentID != a.ID {
		return Agent{}, notFound("agent")
	}
	return a, p.may(ScopeRead)
}

// Agents returns one page of the agents within the principal's owner, newest first: scope ledger:keys:read.
func (s *Service) Agents(ctx context.Context, p *Principal, q *AgentQuery) (AgentPage, error) {
	owner, err := p.narrow(Owner{Workspace: q.Workspace, Org: q.Org})
	if err != nil {
		return AgentPage{}, err
	}
	if err := p.may(ScopeRead); err != nil {
		return AgentPage{}, err
	}
	bound := *q
	bound.Workspace, bound.Org = owner.Workspace, owner.Org
	if err := checkLimit(q.Limit); err != nil {
		return AgentPage{}, err
	}
	if owner.AgentID != "" {
		return s.onlyAgent(ctx, &bound, owner.AgentID)
	}
	page, err := s.state.Agents(ctx, &bound)
	return page, failed(err)
}

// onlyAgent is the page for a principal that is bound to one agent.
func (s *Service) onlyAgent(ctx context.Context, q *AgentQuery, id string) (AgentPage, error) {
	a, ok, err := s.state.Agent(ctx, q.Workspace, q.Org, id)
	switch {
	case err != nil:
		return AgentPage{}, failed(err)
	case !ok || q.After != "" || q.Until != nil && a.Sequence > *q.Until || q.Name != "" && q.Name != a.Name:
		return AgentPage{}, nil
	}
	return AgentPage{Agents: []Agent{a}}, nil
}
