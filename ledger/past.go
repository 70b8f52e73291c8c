package ledger

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/google/uuid"
)

// Moment is a place in the history: as of it, the ledger is what it was when Sequence was its last one.
type Moment struct {
	Sequence uint64    // 0: nothing had happened yet
	Time     time.Time // what was now: expiries and grace periods are as they were then
}

// maxSkew is how much later than its place in the ledger the time of an event may be: the clocks of nodes, and commands that
// overtake each other on their way into the log.
const maxSkew = 5 * time.Second

// MomentAt is the moment of a time: the one of the last event that bears this time or an earlier one. A time to come is
// CodeInvalid.
func (s *Service) MomentAt(ctx context.Context, at time.Time) (Moment, error) {
	if at.After(s.clock()) {
		return Moment{}, invalid("at", "is in the future")
	}
	last, err := s.log.Last(ctx)
	if err != nil {
		return Moment{}, failed(err)
	}
	var failure error
	later := sort.Search(int(last), func(i int) bool {
		messages, err := s.log.Read(ctx, uint64(i)+1)
		if err != nil {
			failure = err
			return true
		}
		return messages[0].Time.After(at)
	})
	if failure != nil {
		return Moment{}, failed(failure)
	}
	sequence, err := s.lastBefore(ctx, at, uint64(later))
	return Moment{Sequence: sequence, Time: at}, failed(err)
}

// lastBefore looks from an event on for later ones that bear at or an earlier time.
func (s *Service) lastBefore(ctx context.Context, at time.Time, sequence uint64) (uint64, error) {
	for next := sequence + 1; ; {
		messages, err := s.log.Scan(ctx, ">", next, MaxPage)
		if err != nil || len(messages) == 0 {
			return sequence, err
		}
		for i := range messages {
			switch m := &messages[i]; {
			case !m.Time.After(at):
				sequence = m.Sequence
			case m.Time.Sub(at) > maxSkew:
				return sequence, nil
			}
		}
		next = messages[len(messages)-1].Sequence + 1
	}
}

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
	for from := uint64(1); from <= m.Sequence; {
		sequences, err := s.state.History(ctx, id, from, MaxPage)
		if err != nil {
			return Key{}, failed(err)
		}
		then := sort.Search(len(sequences), func(i int) bool { return sequences[i] > m.Sequence })
		list, err := s.events(ctx, sequences[:then])
		if err != nil {
			return Key{}, err
		}
		for i := range list {
			k = Evolve(k, &list[i])
		}
		if len(sequences) < MaxPage {
			break
		}
		from = sequences[MaxPage-1] + 1
	}
	if k.CreatedAt.IsZero() {
		return Key{}, notFound("key")
	}
	return k, nil
}

// PastState is a State that was made of the beginning of the log. Close lets go of it; it is not asked any more then.
type PastState interface {
	State
	Close() error
}

// Replay makes the state as of an event. It tells progress how much is done, of how much, now and then.
type Replay func(ctx context.Context, until uint64, progress func(done, total uint64)) (PastState, error)

// Past gives a Service whose reads answer as of a moment, until release is called: scope ledger:keys:read. It replays the
// ledger up to there, unless that was done a moment ago, and tells progress about it. A ledger that was too long then is
// CodeInvalid; when too many are replayed already, or one for this principal, CodeOverloaded.
func (s *Service) Past(ctx context.Context, p *Principal, m Moment, progress func(done, total uint64)) (
	then *Service, release func(), err error) {
	if err := p.may(ScopeRead); err != nil {
		return nil, nil, err
	}
	if m.Sequence > mostReplayed {
		return nil, nil, invalid("at", "the ledger had %d events then, and lists are made of at most %d: read single keys",
			m.Sequence, mostReplayed)
	}
	state, release, err := s.pasts.get(ctx, p.Name(), m.Sequence, progress)
	if err != nil {
		var refused *Error
		if errors.As(err, &refused) {
			return nil, nil, err
		}
		return nil, nil, failed(err)
	}
	return &Service{
		log:       s.log,
		state:     state,
		prefix:    s.prefix,
		staleness: s.staleness,
		feed:      s.feed,
		clock:     func() time.Time { return m.Time },
	}, release, nil
}

// Close lets go of the states of the past that are kept. Nothing of them may be asked any more.
func (s *Service) Close() { s.pasts.close() }
