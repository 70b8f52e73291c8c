package ledger

import (
	"context"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Selection is what a subscriber wants. Events of claims are not among what there is.
type Selection struct {
	Owner Owner         // as that of Service.Events
	Key   uuid.UUID     // when set: of this key, whatever Owner is
	Types []events.Type // empty: all

	From     uint64 // first sequence; 0: from now on, with UntilNow from the beginning
	UntilNow bool   // only what the log holds now
}

// wants tells whether an event is selected, whatever its sequence.
func (q *Selection) wants(p *Published) bool {
	s := &p.about
	switch {
	case s.ClaimKind != "", len(q.Types) > 0 && !slices.Contains(q.Types, p.Type):
		return false
	case q.Key != uuid.Nil:
		return s.Key == q.Key
	}
	return (q.Owner.Workspace == "" || q.Owner.Workspace == s.Workspace) &&
		(q.Owner.Org == "" || q.Owner.Org == s.Org) &&
		(q.Owner.AgentID == "" || q.Owner.AgentID == s.Agent)
}

// Subscription is a place in the ledger and what is wanted from there on. One goroutine uses it.
type Subscription struct {
	service   *Service
	principal Principal
	selection Selection
	next      uint64        // what is before has been returned or is not wanted; the feed's while it waits
	until     uint64        // the last sequence; the highest there is without an end
	ready     chan struct{} // the feed has something
}

// Subscribe starts a subscription: scope ledger:events:read. It reads what is past from the log and then waits for what
// comes, without a gap or a repetition in between. What it returns this node's State shows already. A From beyond the
// end of the log is CodeConflict; what Events and KeyEvents refuse is refused as there.
func (s *Service) Subscribe(ctx context.Context, p *Principal, q Selection) (*Subscription, error) {
	var err error
	if q.Key != uuid.Nil {
		_, err = s.find(ctx, p, ScopeEvents, q.Key)
	} else {
		q.Owner, err = s.eventOwner(p, q.Owner)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range q.Types {
		if !t.Shown() {
			return nil, invalid("type", "there is no type %.64q; there are %s, %s, …", t, events.KeyCreated, events.KeyRevoked)
		}
	}
	sub := &Subscription{
		service: s, principal: *p, selection: q,
		next: q.From, until: math.MaxUint64, ready: make(chan struct{}, 1),
	}
	if err := sub.place(ctx); err != nil {
		return nil, err
	}
	return sub, sub.allowed(ctx)
}

// place finds out where the subscription begins and ends.
func (s *Subscription) place(ctx context.Context) error {
	position := s.service.state.Position()
	if s.next == 0 && !s.selection.UntilNow {
		s.next = position + 1
	}
	s.next = max(s.next, 1)
	if s.next <= position+1 && !s.selection.UntilNow {
		return nil
	}
	last, err := s.service.log.Last(ctx)
	if err != nil {
		return failed(err)
	}
	if s.next > last+1 {
		return conflict("the ledger ends at " + strconv.FormatUint(last, 10) +
			", before where you want to go on: it is another one, or an older copy")
	}
	if s.selection.UntilNow {
		s.until = last
		return failed(s.service.state.WaitFor(ctx, last))
	}
	return nil
}

// catchUpPage is how many events are read from the log at once.
const catchUpPage = 256

// feedPage is how many events of the feed are returned at once.
const feedPage = 64

// Next returns the next events. It waits for one if there is none, at most for patience: then it returns none and no
// error. It may also return none before. The end of a subscription with UntilNow is io.EOF.
//
// Nothing is returned to a principal who may not have it any more: CodeUnauthenticated or CodeForbidden, at the latest
// after patience; nor when this node was cut off from the log for longer than MaxStaleness: CodeStale.
func (s *Subscription) Next(ctx context.Context, patience time.Duration) ([]*Published, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // also while there is always something
	}
	page, level, err := s.take(ctx)
	if level && len(page) == 0 && err == nil {
		if err = s.wait(ctx, patience); err == nil {
			page, _, err = s.take(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	// This comes after the page was taken, so a revocation that is before the page in the ledger is seen.
	if err := s.allowed(ctx); err != nil {
		return nil, err
	}
	return page, nil
}

// Seen is the last sequence up to which everything that is wanted has been returned. It is where to resume after.
func (s *Subscription) Seen() uint64 { return s.next - 1 }

// take returns what there is to return without waiting. level tells that it was all there is.
func (s *Subscription) take(ctx context.Context) (page []*Published, level bool, err error) {
	if s.next > s.until {
		return nil, false, io.EOF
	}
	position := s.service.state.Position() // before the feed is looked at: what it lacks then, the log has
	page, behind := s.service.feed.take(s, feedPage, position)
	if behind > 0 {
		page, err = s.catchUp(ctx, min(behind, s.until))
		return page, false, err
	}
	return page, len(page) < feedPage && s.next <= s.until, nil
}

// catchUp returns a page of the log up to head.
func (s *Subscription) catchUp(ctx context.Context, head uint64) ([]*Published, error) {
	list, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	page := make([]*Published, 0, len(list))
	next := head + 1
	if len(list) == catchUpPage {
		next = min(next, list[len(list)-1].Sequence+1)
	}
	for i := range list {
		if list[i].Sequence >= next {
			break
		}
		p, err := publish(&list[i])
		if err != nil {
			return nil, failed(err)
		}
		if s.selection.wants(p) {
			page = append(page, p)
		}
	}
	s.next = next
	return page, nil
}

// read reads from the log: catchUpPage events if there are so many.
func (s *Subscription) read(ctx context.Context) ([]events.Event, error) {
	if q := &s.selection; q.Key == uuid.Nil {
		return s.service.scan(ctx, q.Owner, s.next, catchUpPage)
	}
	sequences, err := s.service.state.History(ctx, s.selection.Key, s.next, catchUpPage)
	if err != nil {
		return nil, failed(err)
	}
	return s.service.events(ctx, sequences)
}

// wait returns when there is something, when patience is over, or when ctx ends, with its error.
func (s *Subscription) wait(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	s.service.feed.wait(s)
	defer s.service.feed.leave(s)
	select {
	case <-s.ready:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// allowed tells whether the principal may still have what it has subscribed to, as far as this node knows.
func (s *Subscription) allowed(ctx context.Context) error {
	return s.service.holds(ctx, &s.principal, ScopeEvents)
}

// holds tells whether the key of a principal is still valid, and has a scope, as far as this node knows.
func (s *Service) holds(ctx context.Context, p *Principal, scope string) error {
	now := s.clock()
	if err := s.fresh(now); err != nil {
		return err
	}
	k, ok, err := s.state.Key(ctx, p.KeyID)
	if err != nil {
		return failed(err)
	}
	if !ok || k.Status(now) != Active || !p.presents(&k, now) {
		return &Error{Code: CodeUnauthenticated, Detail: "the token is not valid any more"}
	}
	return (&Principal{Scopes: k.Scopes}).may(scope)
}
