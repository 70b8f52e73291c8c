package ledgertest

import (
	"context"
	"slices"
	"sort"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// applyErasure puts "erased" in the place of what is erased.
func (s *State) applyErasure(e *events.Event) {
	x, _ := ledger.NewErasure(e)
	s.erasing = append(s.erasing, x)
	if s.personal != nil {
		s.personal.Learn(&x)
	}
	if x.Key {
		s.applyKey(e)
		return
	}
	s.erased[x.Subject] = x
	for id, k := range s.keys {
		if k.Owner.Workspace == x.Workspace {
			k.Scrub()
			s.keys[id] = k
		}
	}
	s.agents = slices.Clone(s.agents)
	for i := range s.agents {
		if s.agents[i].Workspace == x.Workspace {
			s.agents[i].Scrub()
		}
	}
	for id, w := range s.hooks {
		if w.Workspace == x.Workspace {
			w.Scrub()
			s.hooks[id] = w
		}
	}
}

// lost tells whether the personal data of an event of a workspace is lost.
func (s *State) lost(workspace string, e *events.Event) bool {
	x := s.erased[events.WorkspaceSubject(workspace)]
	return workspace != "" && x.Lost(e)
}

// use is the last use of a key, without its origin when that is erased. The lock is held.
func (s *State) use(key uuid.UUID) ledger.LastUse {
	u, k := s.uses[key], s.keys[key]
	if x := s.erased[events.WorkspaceSubject(k.Owner.Workspace)]; !k.ErasedAt.IsZero() || x.Covers(&u) {
		u.Scrub()
	}
	return u
}

// Erasure implements ledger.State.
func (s *State) Erasure(_ context.Context, subject string) (ledger.Erasure, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.erased[subject], nil
}

// Erasures implements ledger.State.
func (s *State) Erasures(_ context.Context, after uint64, limit int) ([]ledger.Erasure, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from := sort.Search(len(s.erasing), func(i int) bool { return s.erasing[i].Sequence > after })
	return slices.Clone(s.erasing[from:min(len(s.erasing), from+limit)]), nil
}
