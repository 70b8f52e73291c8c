package ledgertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// fill makes some history: keys of two workspaces, rotated and revoked, agents, uses.
func fill(t *testing.T, log *ledgertest.Log, state *ledgertest.State) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	s := ledger.New(ledger.Config{Log: log, State: state})
	root, _, err := s.Bootstrap(ctx, ledger.Secret{})
	check(err)
	c := &ledger.Call{Principal: ledger.Principal{KeyID: root.Key.ID, Scopes: ledger.ScopeAll}}
	for i := range 20 {
		workspace := []string{"acme", "other"}[i%2]
		issued, err := s.Create(ctx, c, &ledger.Create{Name: fmt.Sprint("key ", i), Owner: ledger.Owner{Workspace: workspace, Org: "o"}})
		check(err)
		if i%3 == 0 {
			_, err = s.Rotate(ctx, c, issued.Key.ID, &ledger.Rotate{Grace: time.Hour})
			check(err)
		}
		if i%5 == 0 {
			_, err = s.Revoke(ctx, c, issued.Key.ID, "")
			check(err)
		}
		_, _, err = s.RegisterAgent(ctx, c, &ledger.RegisterAgent{Name: fmt.Sprint("bot ", i), Workspace: workspace})
		check(err)
	}
	data, err := events.EncodeUsage([]events.Use{{KeyID: root.Key.ID, Last: time.Now(), Count: 3}})
	check(err)
	check(log.AppendUsage(ctx, data))
	check(state.WaitForUses(ctx, root.Key.ID, 3))
}

// liar is a State with one answer changed.
type liar struct {
	ledger.State
	about string
}

func (l *liar) Key(ctx context.Context, id uuid.UUID) (ledger.Key, bool, error) {
	k, ok, err := l.State.Key(ctx, id)
	if l.about == "key" {
		k.Name += "!"
	}
	return k, ok, err
}

func (l *liar) KeyByDigest(d ledger.Digest) (ledger.Key, bool, bool, error) {
	k, previous, ok, err := l.State.KeyByDigest(d)
	return k, previous != (l.about == "digest"), ok, err
}

func (l *liar) Claim(ctx context.Context, kind, hash string) (ledger.ClaimState, error) {
	c, err := l.State.Claim(ctx, kind, hash)
	c.Held = c.Held != (l.about == "claim")
	return c, err
}

func (l *liar) AgentByName(ctx context.Context, workspace, org, name string) (ledger.Agent, bool, error) {
	a, ok, err := l.State.AgentByName(ctx, workspace, org, name)
	if l.about == "agent" {
		a = ledger.Agent{}
	}
	return a, ok, err
}

func (l *liar) Keys(ctx context.Context, q *ledger.Query) (ledger.Page, error) {
	page, err := l.State.Keys(ctx, q)
	if l.about == "keys" && q.Org != "" && len(page.Keys) > 1 {
		page.Keys[0], page.Keys[1] = page.Keys[1], page.Keys[0]
	}
	return page, err
}

func (l *liar) Agents(ctx context.Context, q *ledger.AgentQuery) (ledger.AgentPage, error) {
	page, err := l.State.Agents(ctx, q)
	if l.about == "agents" {
		page.Agents = page.Agents[:len(page.Agents)-1]
	}
	return page, err
}

func (l *liar) History(ctx context.Context, key uuid.UUID, from uint64, limit int) ([]uint64, error) {
	list, err := l.State.History(ctx, key, from, limit)
	if l.about == "history" {
		list = list[1:]
	}
	return list, err
}

func (l *liar) LastUse(ctx context.Context, key uuid.UUID) (ledger.LastUse, error) {
	use, err := l.State.LastUse(ctx, key)
	if l.about == "use" {
		use.Count++
	}
	return use, err
}

func (l *liar) Roots(ctx context.Context) ([]uuid.UUID, error) {
	if l.about == "roots" {
		return nil, nil
	}
	return l.State.Roots(ctx)
}

func (l *liar) Position() uint64 {
	if l.about == "position" {
		return 1
	}
	return l.State.Position()
}

func TestDiff(t *testing.T) {
	log := ledgertest.NewLog()
	state := ledgertest.Follow(t, log, time.Now)
	fill(t, log, state)
	replayed := ledgertest.Follow(t, log, time.Now)
	root, err := state.Roots(t.Context())
	if err != nil || len(root) != 1 {
		t.Fatalf("roots: %v, %v", root, err)
	}
	if err := replayed.WaitForUses(t.Context(), root[0], 3); err != nil {
		t.Fatal(err)
	}
	if err := state.Diff(t.Context(), replayed); err != nil {
		t.Fatalf("live and replayed differ: %v", err)
	}
	for _, about := range []string{"key", "digest", "claim", "agent", "keys", "agents", "history", "use", "roots", "position"} {
		if err := state.Diff(t.Context(), &liar{replayed, about}); err == nil {
			t.Errorf("a lie about %s was not noticed", about)
		}
	}
}

// A State whose tail has ended says so to those who wait, and not before.
func TestFollowEnds(t *testing.T) {
	log := ledgertest.NewLog()
	state := ledgertest.Follow(t, log, time.Now)
	fill(t, log, state)
	log.Crash()
	if err := state.WaitFor(t.Context(), state.Position()); err != nil {
		t.Errorf("what is there already: %v", err)
	}
	if err := state.WaitFor(t.Context(), state.Position()+1); err == nil {
		t.Error("what cannot come any more")
	}
	log.Restart()
	log.Lose(2)
	err := log.Tail(t.Context(), 1, func(ledger.Batch) error { return nil })
	if !errors.Is(err, ledger.ErrGap) {
		t.Errorf("a tail over a lost message: %v, want ErrGap", err)
	}
}
