package ledger

import (
	"context"

	"github.com/google/uuid"

	"keyledger/events"
)

// Key returns a key: scope ledger:keys:read.
func (s *Service) Key(ctx context.Context, p *Principal, id uuid.UUID) (Key, error) {
	return s.find(ctx, p, ScopeRead, id)
}

// LastUse returns the last use of a key and where it came from: scope ledger:keys:read.
func (s *Service) LastUse(ctx context.Context, p *Principal, id uuid.UUID) (LastUse, error) {
	if _, err := s.find(ctx, p, ScopeRead, id); err != nil {
		return LastUse{}, err
	}
	use, err := s.state.LastUse(ctx, id)
	return use, failed(err)
}

// Keys returns one page of the keys within the principal's owner, in the order of q: scope ledger:keys:read. A zero Now
// is the present. An owner outside the principal's is CodeNotFound.
func (s *Service) Keys(ctx context.Context, p *Principal, q *Query) (Page, error) {
	owner, err := p.narrow(Owner{Workspace: q.Workspace, Org: q.Org, AgentID: q.Agent, Peer: q.Peer, Session: q.Session})
	if err != nil {
		return Page{}, err
	}
	if err := p.may(ScopeRead); err != nil {
		return Page{}, err
	}
	bound := *q
	bound.Workspace, bound.Org, bound.Agent = owner.Workspace, owner.Org, owner.AgentID
	bound.Peer, bound.Session = owner.Peer, owner.Session
	if err := checkLimit(q.Limit); err != nil {
		return Page{}, err
	}
	if q.Now.IsZero() {
		bound.Now = s.clock()
	}
	page, err := s.state.Keys(ctx, &bound)
	return page, failed(err)
}

// KeyEvents returns up to limit events of a key from sequence from on: scope ledger:events:read.
func (s *Service) KeyEvents(ctx context.Context, p *Principal, id uuid.UUID, from uint64, limit int) ([]events.Event, error) {
	if _, err := s.find(ctx, p, ScopeEvents, id); err != nil {
		return nil, err
	}
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	sequences, err := s.state.History(ctx, id, from, limit)
	if err != nil {
		return nil, failed(err)
	}
	return s.events(ctx, sequences)
}

// Events returns up to limit events of an owner within the principal's, from sequence from on: scope
// ledger:events:read. Events are stored by workspace, org and agent: an owner narrower than that, asked for or bound to,
// has none here (CodeInvalid, CodeForbidden); KeyEvents gives those of its keys.
func (s *Service) Events(ctx context.Context, p *Principal, owner Owner, from uint64, limit int) ([]events.Event, error) {
	owner, err := s.eventOwner(p, owner)
	if err != nil {
		return nil, err
	}
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return s.scan(ctx, owner, from, limit)
}

// eventOwner is the owner whose events p gets when it asks for those of owner.
func (s *Service) eventOwner(p *Principal, owner Owner) (Owner, error) {
	if owner.Peer != "" || owner.Session != "" {
		return Owner{}, invalid("peer_id", "events can be selected by workspace, org and agent")
	}
	owner, err := p.narrow(owner)
	if err != nil {
		return Owner{}, err
	}
	if err := p.may(ScopeEvents); err != nil {
		return Owner{}, err
	}
	if owner.Peer != "" || owner.Session != "" {
		return Owner{}, forbidden("your key is bound to a peer or a session: read the events of its keys")
	}
	return owner, CheckOwner(&owner)
}

// scan reads up to limit events of an owner from the log.
func (s *Service) scan(ctx context.Context, owner Owner, from uint64, limit int) ([]events.Event, error) {
	messages, err := s.log.Scan(ctx, events.OwnerFilter(owner.Workspace, owner.Org, owner.AgentID), from, limit)
	if err != nil {
		return nil, failed(err)
	}
	return s.decode(messages)
}

// checkLimit refuses a limit of a page that is not 1 to MaxPage.
func checkLimit(limit int) error {
	if limit < 1 || limit > MaxPage {
		return invalid("limit", "must be 1 to %d", MaxPage)
	}
	return nil
}
