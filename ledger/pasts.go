package ledger

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Bounds of the states that are kept as of moments.
const (
	mostReplayed = 2_000_000       // events: a million take some 500 MB, and as much again while they are replayed
	mostPasts    = 2               // states that are kept
	mostReplays  = 4               // callers that replay or wait for it
	pastKept     = 2 * time.Minute // after the last use
)

// pasts are the states as of moments that were asked for last: a list is read page by page.
type pasts struct {
	replay Replay
	turn   chan struct{} // held by whoever replays: one at a time

	mu      sync.Mutex
	kept    []*past         // last used first
	callers map[string]bool // that replay or wait for it
}

// past is a state and who uses it.
type past struct {
	sequence uint64
	state    PastState
	users    int
	expiry   *time.Timer
	dropped  bool // closed when the last user is done
}

func newPasts(replay Replay) *pasts {
	return &pasts{replay: replay, turn: make(chan struct{}, 1), callers: make(map[string]bool)}
}

// get gives the state as of a sequence until release is called.
func (c *pasts) get(ctx context.Context, caller string, sequence uint64, progress func(done, total uint64)) (
	State, func(), error) {
	if c.replay == nil {
		return nil, nil, errors.New("ledger: no state of the past can be made here")
	}
	if p := c.use(sequence); p != nil {
		return p.state, func() { c.release(p) }, nil
	}
	if err := c.enter(caller); err != nil {
		return nil, nil, err
	}
	defer c.leave(caller)
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if p := c.use(sequence); p != nil { // another caller wanted the same
		return p.state, func() { c.release(p) }, nil
	}
	state, err := c.replay(ctx, sequence, progress)
	if err != nil {
		return nil, nil, err
	}
	p := c.keep(sequence, state)
	return state, func() { c.release(p) }, nil
}

// enter admits a caller who is going to replay.
func (c *pasts) enter(caller string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.callers[caller]:
		return &Error{Code: CodeOverloaded, Detail: "the ledger is being replayed for you already", RetryAfter: retryAfter}
	case len(c.callers) == mostReplays:
		return &Error{Code: CodeOverloaded, Detail: "the ledger is being replayed for others", RetryAfter: retryAfter}
	}
	c.callers[caller] = true
	return nil
}

func (c *pasts) leave(caller string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.callers, caller)
}

// use gives the state as of a sequence if it is kept.
func (c *pasts) use(sequence uint64) *past {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.kept, func(p *past) bool { return p.sequence == sequence })
	if i < 0 {
		return nil
	}
	p := c.kept[i]
	c.kept = slices.Insert(slices.Delete(c.kept, i, i+1), 0, p)
	p.users++
	p.expiry.Stop()
	return p
}

// keep keeps a state that has one user, in place of the one that was used least lately.
func (c *pasts) keep(sequence uint64, state PastState) *past {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &past{sequence: sequence, state: state, users: 1}
	p.expiry = time.AfterFunc(pastKept, func() { c.expire(p) })
	p.expiry.Stop()
	c.kept = slices.Insert(c.kept, 0, p)
	for len(c.kept) > mostPasts {
		c.drop(c.kept[mostPasts])
	}
	return p
}

// release ends a use.
func (c *pasts) release(p *past) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.users--; p.users > 0 {
		return
	}
	if p.dropped {
		p.close()
		return
	}
	p.expiry.Reset(pastKept)
}

// expire drops a state that was not used for long.
func (c *pasts) expire(p *past) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.users == 0 && !p.dropped {
		c.drop(p)
	}
}

// drop no longer keeps a state.
func (c *pasts) drop(p *past) {
	p.dropped = true
	p.expiry.Stop()
	c.kept = slices.DeleteFunc(c.kept, func(kept *past) bool { return kept == p })
	if p.users == 0 {
		p.close()
	}
}

// close lets go of the state. It is in memory: nothing can be lost.
func (p *past) close() { _ = p.state.Close() }

// close drops all states.
func (c *pasts) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.kept) > 0 {
		c.drop(c.kept[0])
	}
}
