package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"keyledger/events"
)

// What a Verifier answers instead of a decision.
var (
	ErrNotReady = errors.New("client: the verifier has not caught up with the ledger yet")
	ErrStale    = errors.New("client: the verifier has not heard from the ledger for too long")
	ErrClosed   = errors.New("client: the verifier is closed")
)

// DefaultMaxStaleness is VerifierOptions.MaxStaleness when that is 0.
const DefaultMaxStaleness = 5 * time.Second

// freshEvery is how often it is looked whether a Verifier is stale, so that Verify need not ask for the time.
const freshEvery = 50 * time.Millisecond

// VerifierOptions change a Verifier. The zero value is good.
type VerifierOptions struct {
	// WorkspaceID, OrgID and AgentID narrow what is kept, within what the token of the Client is bound to. Other tokens
	// are NotFound.
	WorkspaceID, OrgID, AgentID string

	// MaxStaleness is how long the Verifier goes on answering, to about 50 ms, after the last moment of which it knows
	// the whole ledger: DefaultMaxStaleness when 0. A node tells it twice a second as of when it knows the ledger itself,
	// which is up to 2 s ago in a cluster; so less than 4 s is short there.
	MaxStaleness time.Duration

	// TokenPrefix is the server's --token-prefix, "kl" when empty: a mistyped token is then Malformed, not NotFound.
	TokenPrefix string

	// SnapshotFile is where the replica is kept, every minute and at Close, so that a restart reads only what is new. It
	// holds digests of tokens, no tokens. One that is damaged, or of another ledger, is not used.
	SnapshotFile string

	// NoUsage keeps uses from being reported to the server.
	NoUsage bool

	// Trouble, unless it is nil, is told of what went wrong and is tried again: a lost connection, a report that was
	// refused, a snapshot that is not used. It is called by one goroutine at a time and must not call the Verifier.
	Trouble func(error)
}

// Verifier answers whether tokens are valid, in process and without a network call, from a replica of all keys that its
// token may see. It follows the ledger over NATS (see WithNATS), where the digests of tokens are, so a revocation counts
// within milliseconds. Its token needs the scopes ledger:events:read and ledger:keys:verify.
//
// It fails closed: it answers an error, never Valid, before it has read the whole ledger (ErrNotReady), when it has heard
// nothing for MaxStaleness, or only from a node that has not heard the ledger either (ErrStale), and for good when its own
// token may not read any more (an *Error), when the ledger is another one (ErrLedger), or when there is an event that this
// program is too old for (an *events.UnknownError).
//
// It may be used by many goroutines. A key takes about 110 bytes, and as much again for each token that it had before.
type Verifier struct {
	options VerifierOptions
	client  *Client
	replica atomic.Pointer[replica]
	fresh   atomic.Bool // decisions may be given

	mu       sync.Mutex // of what follows, and of the writer's part of the replica
	at       place
	heard    time.Time
	failure  error  // for good
	owner    *Owner // whose keys are kept; nil: not known yet
	restored bool   // the replica comes from a snapshot and has not been compared with the ledger yet
	saved    place  // of the snapshot

	trouble sync.Mutex // of options.Trouble
	reports reports
	ready   chan struct{} // closed when it is ready for the first time, or never will be
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// NewVerifier starts a Verifier, which reads what c may read. It returns at once: see Verifier.Ready.
func NewVerifier(c *Client, options VerifierOptions) (*Verifier, error) {
	if c.nats == "" {
		return nil, errors.New("client: a verifier needs a client WithNATS: only there are digests of tokens")
	}
	if options.MaxStaleness == 0 {
		options.MaxStaleness = DefaultMaxStaleness
	}
	if options.TokenPrefix == "" {
		options.TokenPrefix = "kl"
	}
	if options.Trouble == nil {
		options.Trouble = func(error) {}
	}
	ctx, stop := context.WithCancel(context.Background())
	v := &Verifier{options: options, client: c, at: place{next: 1}, ready: make(chan struct{}), stop: stop}
	v.replica.Store(newReplica(0))
	v.reports.retired = make(chan *replica, 4)
	v.ended.Go(func() { v.follow(ctx) })
	v.ended.Go(func() { v.watch(ctx) })
	if !options.NoUsage {
		v.ended.Go(func() { v.reportAll(ctx) })
	}
	if options.SnapshotFile != "" {
		v.ended.Go(func() { v.saveAll(ctx) })
	}
	return v, nil
}

// Verify decides about a token. Its error is not about the token: see Verifier. It does not allocate.
func (v *Verifier) Verify(token string) (Verified, error) { return v.VerifyFor(token, &Want{}) }

// VerifyFor decides whether a token is good for what is wanted, as Client.Verify does.
func (v *Verifier) VerifyFor(token string, want *Want) (decided Verified, err error) {
	if malformed(token, v.options.TokenPrefix) {
		decided.Code = Malformed
		return decided, nil
	}
	if !v.fresh.Load() {
		return decided, v.why()
	}
	digest := events.Digest(sha256.Sum256(lend(token)))
	t := v.replica.Load()
	r, place := t.findDigest(&digest)
	switch {
	case r == nil:
		decided.Code = NotFound
	case r.flags&flagPrevious != 0:
		t.judge(&decided, t.at(r.owner), true, r.expires, want)
	default:
		t.judge(&decided, r, false, 0, want)
	}
	if decided.Code == Valid && !v.options.NoUsage {
		t.touch(place)
	}
	return decided, nil
}

// why is why nothing is decided.
func (v *Verifier) why() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.failure != nil:
		return v.failure
	case v.heard.IsZero():
		return ErrNotReady
	}
	return fmt.Errorf("%w: for %v", ErrStale, time.Since(v.heard).Round(time.Millisecond))
}

// Ready waits until the Verifier has caught up with the ledger as it was when it was started. It fails when ctx ends, or
// with why that will never be.
func (v *Verifier) Ready(ctx context.Context) error {
	select {
	case <-v.ready:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotReady, ctx.Err())
	}
	return v.Err()
}

// Err is why the Verifier has ended for good, nil while it has not.
func (v *Verifier) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failure
}

// Position is the ledger sequence of the last event that the Verifier has applied, 0 when there was none. Others than those
// it may see do not move it.
func (v *Verifier) Position() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at.last
}

// Staleness is how long ago the Verifier is known to have held all there was. It is negative before it is ready.
func (v *Verifier) Staleness() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.heard.IsZero() {
		return -1
	}
	return time.Since(v.heard)
}

// Keys is how many keys the Verifier holds, whatever their state.
func (v *Verifier) Keys() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.replica.Load().keys()
}

// Close ends the Verifier: it reports the last uses, and writes the snapshot. From then on it decides nothing.
func (v *Verifier) Close() error {
	v.stop()
	v.ended.Wait()
	var err error
	if v.options.SnapshotFile != "" {
		err = v.save()
	}
	v.end(ErrClosed)
	return err
}

// follow reads the ledger until ctx ends, or the Verifier does.
func (v *Verifier) follow(ctx context.Context) {
	r := &natsReader{
		client: v.client, at: &place{next: 1},
		owner: Owner{WorkspaceID: v.options.WorkspaceID, OrgID: v.options.OrgID, AgentID: v.options.AgentID},
		heard: v.hear, level: func() error { return nil },
	}
	r.event = func(e *events.Event) error { v.apply(e, r.at); return nil }
	r.scope = func(owner Owner) { v.restore(owner, r.at) }
	err := resume(ctx, r.at, r.session, v.tell)
	if errors.Is(err, ErrLedger) && v.forget() {
		v.tell(fmt.Errorf("%w: the snapshot is not used", err))
		*r.at = place{next: 1}
		err = resume(ctx, r.at, r.session, v.tell)
	}
	if err != nil && ctx.Err() == nil {
		v.end(err)
	}
}

// apply takes an event, after which the reader is at a place.
func (v *Verifier) apply(e *events.Event, at *place) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.replica.Load()
	t.fold(e)
	v.at = *at
	if t.isWasteful() {
		v.replica.Store(t.rebuild())
		if !v.options.NoUsage {
			v.reports.retire(t)
		}
	}
}

// hear notes that nothing is missing up to a time.
func (v *Verifier) hear(at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failure != nil {
		return
	}
	if v.heard.IsZero() {
		close(v.ready)
	}
	v.restored = false
	if at.After(v.heard) {
		v.heard = at
	}
	v.refresh()
}

// refresh sees whether decisions may be given.
func (v *Verifier) refresh() {
	v.fresh.Store(v.failure == nil && !v.heard.IsZero() && time.Since(v.heard) <= v.options.MaxStaleness)
}

// watch lets the Verifier become stale.
func (v *Verifier) watch(ctx context.Context) {
	tick := time.NewTicker(freshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v.mu.Lock()
			v.refresh()
			v.mu.Unlock()
		}
	}
}

// end lets the Verifier decide nothing any more, because of err.
func (v *Verifier) end(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failure == nil {
		if v.failure = err; v.heard.IsZero() {
			close(v.ready)
		}
	}
	v.refresh()
}

// tell tells of trouble.
func (v *Verifier) tell(err error) {
	v.trouble.Lock()
	defer v.trouble.Unlock()
	v.options.Trouble(err)
}
