package ledger

import (
	"context"
	"sort"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Moment is a place in the history: as of it, the ledger is what it was when Sequence was its last one.
type Moment struct {
	Sequence uint64    // 0: nothing had happened yet
	Time     time.Time // what was now: expiries and grace periods are as they were then
}

// MomentAt is the moment of a time: that of the longest beginning of the ledger in which no event bears a later time. So it
// is the same whenever it is asked for, once there is an event that bears a later one. A time to come is CodeInvalid.
func (s *Service) MomentAt(ctx context.Context, at time.Time) (Moment, error) {
	if at.After(s.clock()) {
		return Moment{}, invalid("at", "is in the future")
	}
	sequence, err := s.state.Before(ctx, at)
	if err != nil {
		return Moment{}, failed(err)
	}
	for {
		messages, err := s.log.Scan(ctx, ">", sequence+1, momentPage)
		if err != nil {
			return Moment{}, failed(err)
		}
		for i := range messages {
			if messages[i].Time.After(at) {
				return Moment{Sequence: sequence, Time: at}, nil
			}
			sequence = messages[i].Sequence
		}
		if len(messages) < momentPage {
			return Moment{Sequence: sequence, Time: at}, nil
		}
	}
}

// momentPage is how many messages are looked at together: as many as State.Before may leave.
const momentPage = 8

// MomentOf is the moment of the event with a sequence. One that is not there is CodeInvalid.
func (s *Service) MomentOf(ctx context.Context, sequence uint64) (Moment, error) {
	last, err := s.log.Last(ctx)
	if err != nil {
		return Moment{}, failed(err)
	}
	if sequence < 1 || sequence > last {
		return Moment{}, invalid("at_seq", "must be 1 to %d, the last sequence of the ledger", last)
	}
	messages, err := s.log.Read(ctx, sequence)
	if err != nil {
		return Moment{}, failed(err)
	}
	return Moment{Sequence: sequence, Time: messages[0].Time}, nil
}

// KeyAt returns a key as of a moment, without its uses, which are not in the ledger: scope ledger:keys:read. It folds
// the events of the key and no others. A key that was created later is CodeNotFound.
func (s *Service) KeyAt(ctx context.Context, p *Principal, id uuid.UUID, m Moment) (Key, error) {
	if _, err := s.find(ctx, p, ScopeRead, id); err != nil {
		return Key{}, err
	}
	if err := s.state.WaitFor(ctx, m.Sequence); err != nil {
		return Key{}, failed(err)
	}
	var k Key
	for from := uint64(1); from != 0; {
		sequences, err := s.state.History(ctx, id, from, MaxPage)
		if err != nil {
			return Key{}, failed(err)
		}
		from = 0
		if len(sequences) == MaxPage {
			from = sequences[MaxPage-1] + 1
		}
		if n := sort.Search(len(sequences), func(i int) bool { return sequences[i] > m.Sequence }); n < len(sequences) {
			sequences, from = sequences[:n], 0
		}
		list, err := s.events(ctx, sequences)
		if err != nil {
			return Key{}, err
		}
		for i := range list {
			k = Evolve(k, &list[i])
		}
	}
	if k.CreatedAt.IsZero() {
		return Key{}, notFound("key")
	}
	return k, nil
}

// AgentAt is Agent as of a moment: agents are registered and never change.
func (s *Service) AgentAt(ctx context.Context, p *Principal, workspace, org, id string, m Moment) (Agent, error) {
	if err := s.state.WaitFor(ctx, m.Sequence); err != nil {
		return Agent{}, failed(err)
	}
	a, err := s.Agent(ctx, p, workspace, org, id)
	if err == nil && a.Sequence > m.Sequence {
		return Agent{}, notFound("agent")
	}
	return a, err
}

// AgentsAt is Agents as of a moment.
func (s *Service) AgentsAt(ctx context.Context, p *Principal, q *AgentQuery, m Moment) (AgentPage, error) {
	if err := s.state.WaitFor(ctx, m.Sequence); err != nil {
		return AgentPage{}, failed(err)
	}
	then := *q
	then.Until = &m.Sequence
	return s.Agents(ctx, p, &then)
}

// Past is the ledger as of a moment, for reads of lists. Close lets go of it.
type Past struct {
	service *Service
	moment  Moment
	state   *past
}

// Past gives the ledger as of a moment, as far as lists of what belongs to an owner need it: scope names what the lists
// need. It is made of the messages of that owner alone, unless it was a moment ago. It does not wait for that: see
// Past.Made. CodeBusy: try again. An owner outside the principal's is CodeNotFound.
func (s *Service) Past(p *Principal, scope string, owner Owner, m Moment) (*Past, error) {
	owner, err := p.narrow(owner)
	if err != nil {
		return nil, err
	}
	if err := p.may(scope); err != nil {
		return nil, err
	}
	filter := ">" // all of them: that none is missing is seen
	if owner.Workspace != "" || owner.Org != "" || owner.AgentID != "" {
		filter = events.OwnerFilter(short(owner.Workspace), short(owner.Org), short(owner.AgentID))
	} else if m.Sequence > uint64(s.pasts.most) {
		return nil, tooLong(s.pasts.most)
	}
	state, err := s.pasts.use(p.Name(), pastName{filter: filter, until: m.Sequence, erasures: s.erasures()})
	if err != nil {
		return nil, err
	}
	return &Past{service: s, moment: m, state: state}, nil
}

// short is an id as it may be in a subject. What is longer belongs to nobody: the list will be empty.
func short(id string) string { return id[:min(len(id), MaxID)] }

// Made is closed when the lists can be read. Until then, Done tells up to which sequence they are made.
func (p *Past) Made() <-chan struct{} { return p.state.made }

// Done tells up to which sequence of the moment's the lists are made.
func (p *Past) Done() uint64 { return p.state.done.Load() }

// Service gives, after Made, the Service whose lists are as of the moment. ErrTooLong is CodeInvalid.
func (p *Past) Service() (*Service, error) {
	if p.state.err != nil {
		return nil, p.state.err
	}
	s := *p.service
	s.state = p.state.state
	s.clock = func() time.Time { return p.moment.Time }
	return &s, nil
}

// Close lets go of it. Its Service is not asked any more then.
func (p *Past) Close() { p.service.pasts.release(p.state) }

// Close lets go of the states of the past that are kept. Nothing of them may be asked any more.
func (s *Service) Close() { s.pasts.close() }
