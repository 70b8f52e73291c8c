package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// repeatWindow is how long a command may be repeated: the day for which a Memo keeps answers, and some skew.
const repeatWindow = 25 * time.Hour

// outcome returns the key as an earlier run of the same command left it: that run's event bears the same id.
func (s *Service) outcome(ctx context.Context, cmd *command) (Key, bool, error) {
	k, ok, err := s.state.Key(ctx, cmd.key)
	switch {
	case err != nil:
		return Key{}, false, failed(err)
	case !ok:
		return Key{}, false, nil
	case k.LastEvent == cmd.event:
		return k, true, nil
	case s.now().Sub(k.UpdatedAt) > repeatWindow:
		return Key{}, false, nil
	}
	sequences, err := s.history(ctx, k.ID)
	if err != nil {
		return Key{}, false, failed(err)
	}
	n, err := s.search(ctx, sequences, cmd.event)
	if err != nil || n == 0 {
		return Key{}, false, failed(err)
	}
	k, err = s.replay(ctx, sequences[:n])
	return k, err == nil, failed(err)
}

// history returns the sequences of all events of a key.
func (s *Service) history(ctx context.Context, id uuid.UUID) (all []uint64, err error) {
	for from := uint64(1); ; {
		page, err := s.state.History(ctx, id, from, MaxPage)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < MaxPage {
			return all, nil
		}
		from = page[len(page)-1] + 1
	}
}

// search looks for an event in the log, newest first, as far back as a repeat may come. It returns how many of the
// sequences lead up to it, 0 when it is not there.
func (s *Service) search(ctx context.Context, sequences []uint64, event uuid.UUID) (int, error) {
	const chunk = 32
	for end := len(sequences); end > 0; end -= chunk {
		start := max(0, end-chunk)
		messages, err := s.log.Read(ctx, sequences[start:end]...)
		if err != nil {
			return 0, err
		}
		for i, m := range slices.Backward(messages) {
			if m.ID == event {
				return start + i + 1, nil
			}
			if s.now().Sub(m.Time) > repeatWindow {
				return 0, nil
			}
		}
	}
	return 0, nil
}

// replay is the key after the events with these sequences.
func (s *Service) replay(ctx context.Context, sequences []uint64) (k Key, err error) {
	for page := range slices.Chunk(sequences, MaxPage) {
		list, err := s.events(ctx, page)
		if err != nil {
			return Key{}, err
		}
		for i := range list {
			k = Evolve(k, &list[i])
		}
	}
	return k, nil
}

// events reads and decodes events.
func (s *Service) events(ctx context.Context, sequences []uint64) ([]events.Event, error) {
	messages, err := s.log.Read(ctx, sequences...)
	if err != nil {
		return nil, failed(err)
	}
	return s.decode(messages)
}

// Decode decodes a message of the log, and opens its personal data.
func (s *Service) Decode(m *events.Message) (events.Event, error) {
	return events.Decode(m, s.opener())
}

// decode decodes messages.
func (s *Service) decode(messages []events.Message) ([]events.Event, error) {
	list := make([]events.Event, len(messages))
	for i := range messages {
		e, err := s.Decode(&messages[i])
		if err != nil {
			return nil, failed(err)
		}
		list[i] = e
	}
	return list, nil
}
