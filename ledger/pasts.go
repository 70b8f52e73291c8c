package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the states that are made as of moments.
const (
	DefaultPastEvents = 1_000_000       // see Config.PastEvents
	mostMade          = 2               // states that are being made
	mostKept          = 8               // states that are kept, of PastEvents events together
	pastKept          = 2 * time.Minute // after the last use
)

// Beginning is what of the ledger a state of the past is made of.
type Beginning struct {
	Filter   string       // of subjects; ">": all
	Until    uint64       // the last sequence
	Most     int          // events; of more, none is made: ErrTooLong
	Progress func(uint64) // is told now and then up to which sequence it is done
}

// ErrTooLong tells that a Beginning has more events than it may have.
var ErrTooLong = errors.New("ledger: too many events")

// PastState is a State that was made of a Beginning, good for lists. Events tells of how many. Close lets go of it; it is
// not asked any more then.
type PastState interface {
	State
	Events() int
	Close() error
}

// Replay makes the state of the past.
type Replay func(ctx context.Context, b Beginning) (PastState, error)

// pasts are the states of the past that are being made, and those that were used last: a list is read page by page.
type pasts struct {
	replay Replay
	most   int // events that one state is made of, and all that are kept together
	making sync.WaitGroup
	ctx    context.Context // ends with close
	cancel context.CancelFunc

	mu      sync.Mutex
	list    []*past         // the last used first
	callers map[string]bool // for whom one is being made
}

// pastName tells a state of the past from all others.
type pastName struct {
	filter   string
	until    uint64
	erasures uint64 // that were known: it may hold what has been erased since
}

// past is a state of the past. It is made once, whoever waits for it, and to its end, so that who asks again finds it.
type past struct {
	pastName
	done atomic.Uint64 // sequence up to which it is made
	made chan struct{} // closed when it is

	state  PastState // when it is made; nil: err says why not
	err    error
	events int

	// Under the lock of pasts.
	users   int
	expiry  *time.Timer
	dropped bool // closed when the last user is done
}

func newPasts(replay Replay, most int) *pasts {
	if most == 0 {
		most = DefaultPastEvents
	}
	c := &pasts{replay: replay, most: most, callers: make(map[string]bool)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// use gives the state of a moment, which may still have to be made, until release is called. CodeBusy: it is not there, and
// one is being made for the caller, or as many as may be.
func (c *pasts) use(caller string, name pastName) (*past, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(name.erasures)
	i := slices.IndexFunc(c.list, func(p *past) bool { return p.pastName == name })
	if i >= 0 {
		p := c.list[i]
		c.front(p)
		p.users++
		p.expiry.Stop()
		return p, nil
	}
	switch {
	case c.replay == nil:
		return nil, failed(errors.New("ledger: no state of the past can be made here"))
	case c.callers[caller]:
		return nil, &Error{Code: CodeBusy, Detail: "another list of the past is being made for you", RetryAfter: retryAfter}
	case len(c.callers) == mostMade:
		return nil, &Error{Code: CodeBusy, Detail: "lists of the past are being made for others", RetryAfter: retryAfter}
	case c.ctx.Err() != nil:
		return nil, failed(c.ctx.Err())
	}
	p := &past{pastName: name, made: make(chan struct{}), users: 1}
	p.expiry = time.AfterFunc(pastKept, func() { c.expire(p) })
	p.expiry.Stop()
	c.list = slices.Insert(c.list, 0, p)
	c.callers[caller] = true
	c.making.Go(func() { c.make(caller, p) })
	return p, nil
}

// make makes a state.
func (c *pasts) make(caller string, p *past) {
	state, err := c.replay(c.ctx, Beginning{Filter: p.filter, Until: p.until, Most: c.most, Progress: p.done.Store})
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.callers, caller)
	if err != nil {
		p.err = c.failed(err)
		c.drop(p)
	} else {
		p.state, p.events = state, state.Events()
		c.front(p)
		c.trim()
		c.rest(p)
	}
	close(p.made)
}

func (c *pasts) failed(err error) error {
	if errors.Is(err, ErrTooLong) {
		return tooLong(c.most)
	}
	return failed(err)
}

func tooLong(most int) error {
	return &Error{Code: CodeInvalid, Detail: fmt.Sprintf(
		"there are more than %d events that this list would be made of: ask for a narrower owner or for single keys", most)}
}

// front makes p the one that was used last.
func (c *pasts) front(p *past) {
	i := slices.Index(c.list, p)
	c.list = slices.Insert(slices.Delete(c.list, i, i+1), 0, p)
}

// forget drops what was made before the last erasure.
func (c *pasts) forget(erasures uint64) {
	for _, p := range slices.Clone(c.list) {
		if p.state != nil && p.erasures < erasures {
			c.drop(p)
		}
	}
}

// trim drops what was used least lately, until what is kept is within the bounds.
func (c *pasts) trim() {
	kept, events := 0, 0
	for _, p := range slices.Clone(c.list) {
		if p.state == nil {
			continue
		}
		if kept, events = kept+1, events+p.events; kept > mostKept || events > c.most && kept > 1 {
			c.drop(p)
		}
	}
}

// release ends a use.
func (c *pasts) release(p *past) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.users--
	c.rest(p)
}

// rest looks what becomes of a state that may have no user.
func (c *pasts) rest(p *past) {
	switch {
	case p.users > 0 || p.state == nil:
	case p.dropped:
		p.close()
	default:
		p.expiry.Reset(pastKept)
	}
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
	c.list = slices.DeleteFunc(c.list, func(kept *past) bool { return kept == p })
	if p.users == 0 && p.state != nil {
		p.close()
	}
}

// close lets go of the state. It is in memory: nothing can be lost.
func (p *past) close() {
	_ = p.state.Close()
	p.state = nil
}

// close ends what is being made and drops all states.
func (c *pasts) close() {
	c.cancel()
	c.making.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.list) > 0 {
		c.drop(c.list[0])
	}
}
