package ledgertest

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// State is a ledger.State in memory: the plain fold of a log, to test against. It is safe for concurrent use.
type State struct {
	now      func() time.Time
	personal *ledger.Personal // nil: nothing is opened
	feeds    []*ledger.Feed

	mu      sync.RWMutex
	keys    map[uuid.UUID]ledger.Key
	digests map[ledger.Digest]uuid.UUID
	history map[uuid.UUID][]uint64
	claims  map[claim]ledger.ClaimState
	agents  []ledger.Agent // oldest first
	uses    map[uuid.UUID]ledger.LastUse
	hooks   map[uuid.UUID]ledger.Webhook
	hooked  uint64                    // sequence of the last event of an endpoint
	erased  map[string]ledger.Erasure // subject of a workspace → its last erasure
	erasing []ledger.Erasure          // all, in order
	tree    hashes
	latest  []time.Time // the latest time that one of the first n+1 events bears

	position, lag uint64
	heard         time.Time
	moved         chan struct{}
	failure       error // of the tail
}

type claim struct{ kind, hash string }

// NewState gives the State of an empty log. It takes the time at which it hears of the log from now.
func NewState(now func() time.Time) *State {
	return &State{
		now:     now,
		keys:    make(map[uuid.UUID]ledger.Key),
		digests: make(map[ledger.Digest]uuid.UUID),
		history: make(map[uuid.UUID][]uint64),
		claims:  make(map[claim]ledger.ClaimState),
		uses:    make(map[uuid.UUID]ledger.LastUse),
		hooks:   make(map[uuid.UUID]ledger.Webhook),
		erased:  make(map[string]ledger.Erasure),
		moved:   make(chan struct{}),
	}
}

// NewSealedState gives the State of an empty log whose personal data is sealed.
func NewSealedState(now func() time.Time, personal *ledger.Personal) *State {
	s := NewState(now)
	s.personal = personal
	return s
}

// Follow starts a State that follows a log until the test ends, and the uses of keys if the log has them too. It
// returns when the State shows what is stored. The feeds are told of what it has come to show.
func Follow(t testing.TB, log ledger.Log, now func() time.Time, feeds ...*ledger.Feed) *State {
	t.Helper()
	return FollowSealed(t, log, now, nil, feeds...)
}

// FollowSealed is Follow for a log whose personal data is sealed. What is erased it destroys, as a node does.
func FollowSealed(t testing.TB, log ledger.Log, now func() time.Time, personal *ledger.Personal, feeds ...*ledger.Feed) *State {
	t.Helper()
	s := NewSealedState(now, personal)
	s.feeds = feeds
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	running.Go(func() { s.end(log.Tail(ctx, 1, s.Apply)) })
	if personal != nil {
		running.Go(func() { s.end(personal.Run(ctx, s, nil)) })
	}
	if usage, ok := log.(ledger.UsageLog); ok {
		running.Go(func() { s.end(usage.TailUsage(ctx, 1, s.ApplyUsage)) })
	}
	last, err := log.Last(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaitFor(ctx, last); err != nil {
		t.Fatal(err)
	}
	return s
}

// end notes why a tail ended.
func (s *State) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	s.wake()
}

// wake tells those who wait to look again. The lock is held.
func (s *State) wake() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// Apply adds a batch of a tail.
func (s *State) Apply(b ledger.Batch) error {
	list := make([]events.Event, len(b.Messages))
	for i := range b.Messages {
		var err error
		if list[i], err = events.Decode(&b.Messages[i], s.opener()); err != nil {
			return err
		}
	}
	if err := s.applyAll(b.Messages, list, b.Pending); err != nil {
		return err
	}
	for _, feed := range s.feeds {
		feed.Publish(list)
	}
	return nil
}

func (s *State) applyAll(messages []events.Message, list []events.Event, lag uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		if e := &list[i]; e.Sequence != s.position+1 {
			return fmt.Errorf("ledgertest: message %d after %d", e.Sequence, s.position)
		}
		s.apply(&list[i])
		if err := s.tree.grow(&messages[i]); err != nil {
			return err
		}
		s.position++
		s.latest = append(s.latest, list[i].Time)
		if n := len(s.latest) - 1; n > 0 && s.latest[n-1].After(s.latest[n]) {
			s.latest[n] = s.latest[n-1]
		}
	}
	s.lag, s.heard = lag, s.now()
	s.wake()
	return nil
}

// opener opens personal data, nil when it is not opened.
func (s *State) opener() events.Opener {
	if s.personal == nil {
		return nil
	}
	return s.personal
}

func (s *State) apply(e *events.Event) {
	switch p := e.Payload.(type) {
	case *events.Claim:
		s.claims[claim{p.Kind, p.Hash}] = ledger.ClaimState{Held: true, Holder: p.Holder, Sequence: e.Sequence}
	case *events.Release:
		s.claims[claim{p.Kind, p.Hash}] = ledger.ClaimState{Sequence: e.Sequence}
	case *events.Agent:
		a := ledger.NewAgent(e, p)
		if s.lost(a.Workspace, e) {
			a.Scrub()
		}
		s.agents = append(s.agents, a)
	case *events.Erasure:
		s.applyErasure(e)
	case *events.Webhook, *events.WebhookUpdate, *events.WebhookDelete:
		s.applyWebhook(e)
	default:
		s.applyKey(e)
	}
}

// applyKey adds an event of a key, which the subject names.
func (s *State) applyKey(e *events.Event) {
	subject, err := events.ParseSubject(e.Subject)
	if err != nil {
		return
	}
	before := s.keys[subject.Key]
	after := ledger.Evolve(before, e)
	if s.lost(after.Owner.Workspace, e) {
		after.Scrub()
	}
	delete(s.digests, before.Digest)
	delete(s.digests, before.PreviousDigest)
	s.digests[after.PreviousDigest] = after.ID
	s.digests[after.Digest] = after.ID
	delete(s.digests, ledger.Digest{})
	s.keys[after.ID] = after
	s.history[after.ID] = append(s.history[after.ID], e.Sequence)
}

// ApplyUsage adds a batch of uses.
func (s *State) ApplyUsage(_ uint64, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := events.DecodeUsage(data, func(u events.Use) {
		use := s.uses[u.KeyID]
		use.Count += u.Count
		if !u.Last.Before(use.LastAt) {
			use.LastAt, use.IP, use.UserAgent = u.Last, u.IP, u.UserAgent
		}
		s.uses[u.KeyID] = use
	})
	s.wake()
	return err
}

// Key implements ledger.State.
func (s *State) Key(_ context.Context, id uuid.UUID) (ledger.Key, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.key(id)
	return k, ok, nil
}

func (s *State) key(id uuid.UUID) (ledger.Key, bool) {
	k, ok := s.keys[id]
	k.Use = s.uses[id].Use
	return k, ok
}

// KeyByDigest implements ledger.State.
func (s *State) KeyByDigest(d ledger.Digest) (k ledger.Key, previous, ok bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, ok := s.digests[d]
	if !ok {
		return k, false, false, nil
	}
	k, ok = s.key(id)
	return k, k.Digest != d, ok, nil
}

// Claim implements ledger.State.
func (s *State) Claim(_ context.Context, kind, hash string) (ledger.ClaimState, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.claims[claim{kind, hash}], nil
}

// Agent implements ledger.State.
func (s *State) Agent(_ context.Context, workspace, org, id string) (ledger.Agent, bool, error) {
	return s.agent(func(a *ledger.Agent) bool { return a.Workspace == workspace && a.Org == org && a.ID == id })
}

// AgentByName implements ledger.State.
func (s *State) AgentByName(_ context.Context, workspace, org, name string) (ledger.Agent, bool, error) {
	return s.agent(func(a *ledger.Agent) bool {
		return a.Workspace == workspace && a.Org == org && a.Name == name && !a.Erased
	})
}

func (s *State) agent(is func(*ledger.Agent) bool) (ledger.Agent, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range s.agents {
		if is(&s.agents[i]) {
			return s.agents[i], true, nil
		}
	}
	return ledger.Agent{}, false, nil
}

// Keys implements ledger.State.
func (s *State) Keys(_ context.Context, q *ledger.Query) (page ledger.Page, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id := range s.keys {
		k, _ := s.key(id)
		if q.Matches(&k) && (q.After == ledger.Cursor{} || order(q, q.After, place(&k)) < 0) {
			page.Keys = append(page.Keys, k)
		}
	}
	slices.SortFunc(page.Keys, func(a, b ledger.Key) int { return order(q, place(&a), place(&b)) })
	if len(page.Keys) > q.Limit {
		page.Keys = page.Keys[:q.Limit]
		page.Next = place(&page.Keys[q.Limit-1])
	}
	return page, nil
}

// order orders places as a query wants them.
func order(q *ledger.Query, a, b ledger.Cursor) int {
	if q.OldestFirst {
		return b.Compare(a)
	}
	return a.Compare(b)
}

func place(k *ledger.Key) ledger.Cursor { return ledger.Cursor{CreatedAt: k.CreatedAt, ID: k.ID} }

// Agents implements ledger.State.
func (s *State) Agents(_ context.Context, q *ledger.AgentQuery) (page ledger.AgentPage, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	after := uint64(1<<64 - 1)
	if q.After != "" {
		if after, err = strconv.ParseUint(q.After, 10, 64); err != nil {
			return page, err
		}
	}
	for _, a := range slices.Backward(s.agents) {
		if a.Sequence >= after || q.Until != nil && a.Sequence > *q.Until || q.Workspace != "" && q.Workspace != a.Workspace ||
			q.Org != "" && q.Org != a.Org || q.Name != "" && (q.Name != a.Name || a.Erased) {
			continue
		}
		if len(page.Agents) == q.Limit {
			page.Next = strconv.FormatUint(page.Agents[q.Limit-1].Sequence, 10)
			break
		}
		page.Agents = append(page.Agents, a)
	}
	return page, nil
}

// History implements ledger.State.
func (s *State) History(_ context.Context, key uuid.UUID, from uint64, limit int) ([]uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := s.history[key]
	start, _ := slices.BinarySearch(all, from)
	return slices.Clone(all[start:min(len(all), start+limit)]), nil
}

// LastUse implements ledger.State.
func (s *State) LastUse(_ context.Context, key uuid.UUID) (ledger.LastUse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.use(key), nil
}

// Before implements ledger.State. It returns the highest sequence there is.
func (s *State) Before(_ context.Context, at time.Time) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return uint64(sort.Search(len(s.latest), func(i int) bool { return s.latest[i].After(at) })), nil
}

// Roots implements ledger.State.
func (s *State) Roots(context.Context) (ids []uuid.UUID, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, k := range s.keys {
		if k.IsRoot() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Expiries implements ledger.State.
func (s *State) Expiries(_ context.Context, after ledger.Place, until time.Time, limit int) (list []ledger.Expiry, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, k := range s.keys {
		if x, ok := k.Expiry(); ok && x.Compare(after) > 0 && !x.At.After(until) {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b ledger.Expiry) int { return a.Compare(b.Place) })
	return list[:min(len(list), limit)], nil
}

// Position implements ledger.State.
func (s *State) Position() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.position
}

// WaitFor implements ledger.State. It fails when the tail has ended before the sequence.
func (s *State) WaitFor(ctx context.Context, sequence uint64) error {
	return s.until(ctx, func() bool { return s.position >= sequence })
}

// Show returns when the log has sent the messages.
func (s *State) Show(ctx context.Context, messages ...events.Message) error {
	return s.WaitFor(ctx, messages[len(messages)-1].Sequence)
}

// WaitForUses waits until so many uses of a key are seen.
func (s *State) WaitForUses(ctx context.Context, key uuid.UUID, count uint64) error {
	return s.until(ctx, func() bool { return s.uses[key].Count >= count })
}

// until waits until reached, which is asked under the lock, says so.
func (s *State) until(ctx context.Context, reached func() bool) error {
	for {
		s.mu.RLock()
		ok, moved, failure := reached(), s.moved, s.failure
		s.mu.RUnlock()
		switch {
		case ok:
			return nil
		case failure != nil:
			return failure
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

// Lag implements ledger.State.
func (s *State) Lag() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lag
}

// Heard implements ledger.State.
func (s *State) Heard() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.heard
}

var _ ledger.State = (*State)(nil)
