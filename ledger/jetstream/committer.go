package jetstream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyledger/ledger"
)

// How many commits are in flight when batches begin to be worth their cost. An atomic batch that is staged on disk costs
// about as much as a dozen publishes, whatever its size: the server makes, syncs and removes a store of its own for each.
const (
	enoughOnDisk   = 16
	enoughInMemory = 4 // see staging
)

// ackTimeout is how long an answer of the stream is waited for before it counts as lost.
const ackTimeout = 3 * time.Second

// committer stores the commits of a Log. What sends, sends while it holds the lock: whoever appends, or the goroutine
// that takes the answers of the stream.
//
// A commit that comes alone is published at once. When many come at a time they go out in atomic batches, one after
// the other: the first commit opens a batch, and while the server prepares it every commit that comes joins. No timer
// is involved: the group is as large as what comes in while the server is busy anyway. Batches begin when enough
// commits are in flight, and end when the last one was small.
type committer struct {
	log     *Log
	enough  int
	answers chan *nats.Msg
	inbox   string // what answers begin with, with a dot at the end
	sub     *nats.Subscription

	mu      sync.Mutex
	waiting []*commit // in the order in which they came: what cannot be sent yet
	flights map[uint64]*flight
	last    uint64    // id of the last flight
	plain   int       // publishes in flight, or groups
	open    *batch    // what commits join, until the server is ready for its end
	ending  *batch    // what was ended and not yet answered
	crowd   int       // commits in the last batch: as many are expected for the next one
	later   []*commit // what did not fit into the open batch and comes after it
}

// flight is a message whose answer is awaited: a publish, or the begin or the end of a batch.
type flight struct {
	commit   *commit // of a publish
	batch    *batch
	group    bool // the batch was sent whole
	deadline time.Time
}

// newCommitter subscribes to the answers.
func newCommitter(l *Log) (*committer, error) {
	c := &committer{
		log:     l,
		enough:  enoughOnDisk,
		answers: make(chan *nats.Msg, 2*maxEntries), // more than there are flights: none is dropped
		inbox:   l.nc.NewInbox() + ".",
		flights: make(map[uint64]*flight),
	}
	if l.staging() != nil {
		c.enough = enoughInMemory
	}
	var err error
	if c.sub, err = l.nc.ChanSubscribe(c.inbox+"*", c.answers); err != nil {
		return nil, fmt.Errorf("jetstream: answers: %w", err)
	}
	return c, nil
}

// submit sends a commit, or keeps it until it can be sent. It fails when too many wait.
func (c *committer) submit(x *commit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= c.log.options.Queue {
		return ledger.ErrOverloaded // most of their callers have left
	}
	c.waiting = append(c.waiting, x)
	c.pump()
	return nil
}

// pump sends what waits, as far as it can be sent now. The caller holds the lock, as it does for all methods below.
func (c *committer) pump() {
	if c.groups() {
		c.pumpGroups()
		return
	}
	for len(c.waiting) > 0 && c.takes() {
		if x := c.shift(); x.take() {
			c.begin(x)
		}
	}
}

// shift takes the first of what waits.
func (c *committer) shift() *commit {
	x := c.waiting[0]
	c.waiting[0] = nil
	if c.waiting = c.waiting[1:]; len(c.waiting) == 0 {
		c.waiting = nil // its array could grow for ever
	}
	return x
}

// run takes the answers of the stream until the log is closed.
func (c *committer) run() {
	defer close(c.log.stopped)
	status := c.log.nc.StatusChanged(nats.CONNECTED)
	defer c.log.nc.RemoveStatusListener(status)
	defer c.sub.Unsubscribe()
	tick := time.NewTicker(ackTimeout / 8)
	defer tick.Stop()
	for {
		select {
		case m := <-c.answers:
			c.locked(func() { c.answered(m) })
		case <-status: // a new connection: answers on the old one are lost
			c.locked(func() { c.lose(func(*flight) bool { return true }) })
		case now := <-tick.C:
			c.locked(func() { c.lose(func(f *flight) bool { return now.After(f.deadline) }) })
		case <-c.log.context.Done():
			return
		}
	}
}

// locked changes what is in flight, then sends what waits for it.
func (c *committer) locked(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.pump()
}

// takes tells that a commit could be sent now.
func (c *committer) takes() bool {
	switch {
	case c.open != nil:
		return !c.open.full() && len(c.later) < maxEntries
	case c.ending != nil:
		return false
	default:
		return c.plain < c.enough || c.many()
	}
}

// many tells that a batch is expected to be worth its cost.
func (c *committer) many() bool {
	return c.crowd >= c.enough-1 || c.plain+1+len(c.waiting) >= c.enough
}

// begin sends a commit on its way.
func (c *committer) begin(x *commit) {
	switch {
	case c.open != nil:
		c.join(x)
	case len(x.entries) > 1 || c.many():
		c.open = newBatch()
		if c.open.divisible = len(x.entries) == 1; c.open.divisible {
			c.log.staging().stage(c.open.id)
		}
		c.join(x)
	default:
		c.plain++
		c.send(x.messages[0], &flight{commit: x})
	}
}

// join adds a commit to the open batch, or puts it off.
func (c *committer) join(x *commit) {
	b := c.open
	if !b.fits(x) {
		c.later = append(c.later, x)
		return
	}
	for i, m := range b.add(x) {
		if i == 0 && len(b.commits) == 1 {
			c.send(m, &flight{batch: b})
			continue
		}
		// Should it fail, the batch has a hole, and its end will be refused.
		_ = c.log.nc.PublishMsg(m)
	}
}

// send publishes a message and expects an answer.
func (c *committer) send(m *nats.Msg, f *flight) {
	c.last++
	f.deadline = time.Now().Add(ackTimeout)
	c.flights[c.last] = f
	m.Reply = c.inbox + strconv.FormatUint(c.last, 10)
	if err := c.log.nc.PublishMsg(m); err != nil {
		f.deadline = time.Time{} // lost: the next tick sees it
	}
}

// answered handles one answer of the stream.
func (c *committer) answered(m *nats.Msg) {
	id, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, c.inbox), 10, 64)
	f := c.flights[id]
	if err != nil || f == nil {
		return // came after it was given up
	}
	delete(c.flights, id)
	switch {
	case f.commit != nil:
		c.plain--
		c.published(f, m)
	case f.group:
		c.plain--
		c.ended(f, m)
	case f.batch == c.open:
		c.ready(f.batch, m)
	default:
		c.ended(f, m)
	}
}

// published handles the answer to a publish.
func (c *committer) published(f *flight, m *nats.Msg) {
	x := f.commit
	a, err := parseAck(m)
	switch {
	case err == nil && !a.Duplicate:
		c.stored(f, a.Sequence, x)
	case err == nil: // an earlier attempt was stored, by this process or by one before
		x.answer(a.Sequence, nil)
	default:
		c.log.settle(x, err)
	}
}

// ready handles the answer to the first message of the open batch: the server has made its store. Whatever waits
// joins, then the batch ends.
func (c *committer) ready(b *batch, m *nats.Msg) {
	if len(m.Data) > 0 || m.Header != nil {
		_, err := parseAck(m) // an error, or nobody there
		c.open = nil
		c.drop(b)
		c.fail(b, err)
		return
	}
	c.pump()
	c.open, c.ending = nil, b
	c.crowd = len(b.commits)
	c.send(b.end(), &flight{batch: b})
}

// ended handles the answer to the end of a batch.
func (c *committer) ended(f *flight, m *nats.Msg) {
	b := f.batch
	c.ending = nil
	defer c.drop(b)
	a, err := parseAck(m)
	if err == nil && a.Count != b.size {
		err = fmt.Errorf("jetstream: the stream stored %d messages of a batch of %d", a.Count, b.size)
	}
	if err != nil {
		c.fail(b, err)
		return
	}
	c.log.metrics.batchSize.Observe(float64(b.size))
	c.stored(f, a.Sequence-uint64(b.size)+1, b.commits...)
	c.next()
}

// next begins what was put off.
func (c *committer) next() {
	later := c.later
	c.later = nil
	for _, x := range later {
		c.begin(x)
	}
}

// stored answers commits that were stored one after the other from the sequence first on.
func (c *committer) stored(f *flight, first uint64, commits ...*commit) {
	c.log.pulse.stored(f.deadline.Add(-ackTimeout))
	last := first - 1
	for _, x := range commits {
		last += uint64(len(x.entries))
		x.answer(last, nil)
	}
}

// fail settles the commits of a batch that was refused or lost, each for itself: one caller's conflict is nobody
// else's.
func (c *committer) fail(b *batch, err error) {
	if refused(err) && len(b.commits) > 1 {
		err = errBatchRefused
	}
	for _, x := range b.commits {
		c.log.settle(x, err)
	}
	c.next()
}

// drop forgets what was staged of a batch that has ended.
func (c *committer) drop(b *batch) {
	if b.divisible {
		c.log.staging().drop(b.id)
	}
}

// lose gives up the flights that match: their commits are settled.
func (c *committer) lose(match func(*flight) bool) {
	var lost []*flight
	for id, f := range c.flights {
		if match(f) {
			delete(c.flights, id)
			lost = append(lost, f)
		}
	}
	for _, f := range lost {
		switch {
		case f.commit != nil:
			c.plain--
			c.log.settle(f.commit, errNoAnswer)
			continue
		case f.group:
			c.plain--
		case f.batch == c.open:
			c.open = nil
		default:
			c.ending = nil
		}
		c.fail(f.batch, errNoAnswer)
	}
}

var (
	// errNoAnswer: the stream did not answer in time.
	errNoAnswer = errors.New("jetstream: no answer from the stream")
	// errBatchRefused: one of the commits of a batch was refused, and it is not known which.
	errBatchRefused = errors.New("jetstream: the batch was refused")
)
