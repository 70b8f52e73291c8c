package ledgertest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// Diff compares another ledger.State with s, everything that can be asked, and returns the first difference. Both must
// have come to rest at the same position.
func (s *State) Diff(ctx context.Context, other ledger.State) error {
	want := s.snapshot()
	if p := other.Position(); p != want.position {
		return fmt.Errorf("the position is %d, want %d", p, want.position)
	}
	for _, compare := range []func(context.Context, ledger.State) error{
		want.diffKeys, want.diffRoots, want.diffExpiries, want.diffClaims, want.diffAgents, want.diffLists, want.diffErasures,
	} {
		if err := compare(ctx, other); err != nil {
			return err
		}
	}
	return nil
}

// snapshot is s as it is now.
func (s *State) snapshot() *State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &State{
		keys:     maps.Clone(s.keys),
		digests:  maps.Clone(s.digests),
		history:  maps.Clone(s.history),
		claims:   maps.Clone(s.claims),
		agents:   slices.Clone(s.agents),
		uses:     maps.Clone(s.uses),
		erased:   maps.Clone(s.erased),
		erasing:  slices.Clone(s.erasing),
		position: s.position,
		heard:    s.heard,
	}
}

// differs tells how got is not want.
func differs(what string, got, want any, err error) error {
	if err == nil && !reflect.DeepEqual(got, want) {
		err = fmt.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (s *State) diffKeys(ctx context.Context, other ledger.State) error {
	for id := range s.keys {
		want, _ := s.key(id)
		got, _, err := other.Key(ctx, id)
		if err := differs(fmt.Sprint("key ", id), got, want, err); err != nil {
			return err
		}
		for previous, d := range map[bool]ledger.Digest{false: want.Digest, true: want.PreviousDigest} {
			if d == (ledger.Digest{}) {
				continue
			}
			got, older, _, err := other.KeyByDigest(d)
			if err == nil && older != previous {
				err = fmt.Errorf("previous is %v", older)
			}
			if err := differs(fmt.Sprintf("key %s by digest %x", id, d), got, want, err); err != nil {
				return err
			}
		}
		history, err := other.History(ctx, id, 0, len(s.history[id])+1)
		if err := differs(fmt.Sprint("history of ", id), history, s.history[id], err); err != nil {
			return err
		}
		use, err := other.LastUse(ctx, id)
		if err := differs(fmt.Sprint("last use of ", id), use, s.use(id), err); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) diffRoots(ctx context.Context, other ledger.State) error {
	var want []uuid.UUID
	for id, k := range s.keys {
		if k.IsRoot() {
			want = append(want, id)
		}
	}
	got, err := other.Roots(ctx)
	byBytes := func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(want, byBytes)
	slices.SortFunc(got, byBytes)
	if len(got)+len(want) == 0 {
		return err
	}
	return differs("roots", got, want, err)
}

// diffExpiries walks through the expiries, in small pages.
func (s *State) diffExpiries(ctx context.Context, other ledger.State) error {
	ever := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	walk := func(state ledger.State) (all []ledger.Expiry, err error) {
		for after := (ledger.Place{}); ; after = all[len(all)-1].Place {
			page, err := state.Expiries(ctx, after, ever, 7)
			all = append(all, page...)
			if err != nil || len(page) < 7 {
				return all, err
			}
		}
	}
	want, err := walk(s)
	if err != nil {
		return err
	}
	got, err := walk(other)
	return differs("expiries", got, want, err)
}

func (s *State) diffClaims(ctx context.Context, other ledger.State) error {
	for c, want := range s.claims {
		got, err := other.Claim(ctx, c.kind, c.hash)
		if err := differs(fmt.Sprintf("claim %s.%s", c.kind, c.hash), got, want, err); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) diffAgents(ctx context.Context, other ledger.State) error {
	for _, want := range s.agents {
		got, _, err := other.Agent(ctx, want.Workspace, want.Org, want.ID)
		if err := differs("agent "+want.ID, got, want, err); err != nil {
			return err
		}
		got, _, err = other.AgentByName(ctx, want.Workspace, want.Org, want.Name)
		if want.Erased {
			got = want // it is not found by a name any more
		}
		if err := differs("agent "+want.Name, got, want, err); err != nil {
			return err
		}
		workspace := ledger.AgentQuery{Workspace: want.Workspace, Limit: 3}
		before, then := want.Sequence-1, workspace
		then.Until = &before
		for _, q := range []ledger.AgentQuery{workspace, then, {Limit: 3, Until: &want.Sequence}} {
			if err := s.diffAgentList(ctx, other, q); err != nil {
				return err
			}
		}
	}
	return s.diffAgentList(ctx, other, ledger.AgentQuery{Limit: 3})
}

func (s *State) diffAgentList(ctx context.Context, other ledger.State, q ledger.AgentQuery) error {
	walk := func(state ledger.State) (all []ledger.Agent, err error) {
		for q := q; ; {
			page, err := state.Agents(ctx, &q)
			if err != nil {
				return nil, err
			}
			all = append(all, page.Agents...)
			if q.After = page.Next; q.After == "" {
				return all, nil
			}
		}
	}
	want, err := walk(s)
	if err != nil {
		return err
	}
	got, err := walk(other)
	return differs(fmt.Sprintf("agents by %+v", q), got, want, err)
}

func (s *State) diffErasures(ctx context.Context, other ledger.State) error {
	got, err := other.Erasures(ctx, 0, len(s.erasing)+1)
	if err := differs("erasures", append([]ledger.Erasure{}, got...), append([]ledger.Erasure{}, s.erasing...), err); err != nil {
		return err
	}
	for subject, want := range s.erased {
		got, err := other.Erasure(ctx, subject)
		if err := differs("erasure on "+subject, got, want, err); err != nil {
			return err
		}
	}
	return nil
}

// diffLists walks through the lists of all owners, in small pages.
func (s *State) diffLists(ctx context.Context, other ledger.State) error {
	queries := map[ledger.Query]bool{{Now: s.heard, Limit: 7}: true}
	for _, k := range s.keys {
		for _, q := range []ledger.Query{
			{Workspace: k.Owner.Workspace},
			{Org: k.Owner.Org},
			{Agent: k.Owner.AgentID},
			{Workspace: k.Owner.Workspace, Org: k.Owner.Org, Agent: k.Owner.AgentID, Peer: k.Owner.Peer, Session: k.Owner.Session},
			{Status: k.Status(s.heard), NamePrefix: k.Name},
			{UnusedSince: k.Use.LastAt.Add(time.Microsecond)},
			{Org: k.Owner.Org, Name: k.Name, NotRevoked: true, OldestFirst: true},
		} {
			q.Now, q.Limit = s.heard, 7
			queries[q] = true
		}
	}
	for q := range queries {
		walk := func(state ledger.State) (all []uuid.UUID, err error) {
			for q := q; ; {
				page, err := state.Keys(ctx, &q)
				if err != nil {
					return nil, err
				}
				for i := range page.Keys {
					all = append(all, page.Keys[i].ID)
				}
				if q.After = page.Next; q.After == (ledger.Cursor{}) {
					return all, nil
				}
			}
		}
		want, err := walk(s)
		if err != nil {
			return err
		}
		got, err := walk(other)
		if err := differs(fmt.Sprintf("keys by %+v", q), got, want, err); err != nil {
			return err
		}
	}
	return nil
}
