package witness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"keyledger/ledger"
)

// Cosigners have the heads of a ledger cosigned while Run runs.
type Cosigners struct {
	Config
	client  *http.Client
	metrics *metrics

	mu     sync.Mutex
	target *ledger.SignedHead // that is to be cosigned by all
	chosen time.Time          // when it became that
	kept   *ledger.SignedHead // by Keep
}

// New gives Cosigners.
func New(c Config) (*Cosigners, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Cosigners{Config: c, client: newClient(&c)}
	var err error
	s.metrics, err = newMetrics(s)
	return s, err
}

// Restore takes up the cosigned head of an earlier process. It fails with ledger.ErrDiverged when the ledger does not have
// it any more.
func (s *Cosigners) Restore() error {
	text, err := s.Kept()
	if err != nil || text == nil {
		return err
	}
	head, err := s.Heads.Open(text)
	if err != nil {
		return err
	}
	known := make([]note.Verifier, len(s.Witnesses))
	for i, w := range s.Witnesses {
		known[i] = w.key
	}
	n, err := note.Open(text, note.VerifierList(known...))
	if err != nil {
		return nil //nolint:nilerr // it has none of the witnesses that there are now
	}
	for _, by := range n.Sigs {
		s.kept = s.Heads.Cosign(head, by)
	}
	return nil
}

// How long a witness is left alone after a failure: doubling from the one to the other, less a random part.
const (
	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// lookEvery is how often it is looked whether there is a new head.
const lookEvery = 250 * time.Millisecond

// Run has heads cosigned until ctx ends.
func (s *Cosigners) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, w := range s.Witnesses {
		running.Go(func() { (&worker{Cosigners: s, witness: w, counts: s.metrics.of(w)}).run(ctx) })
	}
	running.Wait()
	s.client.CloseIdleConnections()
	<-ctx.Done()
	return ctx.Err()
}

// next is the head that witnesses are to cosign now: all are asked for the same one, so that it can have the cosignatures of
// all, and for another one not before Interval is over, however fast the ledger grows.
func (s *Cosigners) next() *ledger.SignedHead {
	latest := s.Heads.Latest()
	s.mu.Lock()
	defer s.mu.Unlock()
	if latest != nil && (s.target == nil || latest.Size > s.target.Size && time.Since(s.chosen) >= s.Interval) {
		s.target, s.chosen = latest, time.Now()
	}
	return s.target
}

// worker asks one witness.
type worker struct {
	*Cosigners
	witness *Witness
	counts  *witnessMetrics

	held     uint64 // size of the last head that the witness has cosigned, as far as it is known
	done     uint64 // size of the last head that needs nothing more of it
	asked    time.Time
	failures int
	outcome  outcome // of the last request
}

func (w *worker) run(ctx context.Context) {
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = lookEvery
		head := w.next()
		if head == nil || head.Size <= w.done && time.Since(w.asked) < w.Refresh {
			continue
		}
		w.asked = time.Now()
		if err := w.ask(ctx, head); err != nil {
			wait = w.pause()
		} else {
			w.done, w.failures = head.Size, 0
		}
	}
}

// pause is how long the witness is left alone now.
func (w *worker) pause() time.Duration {
	most := min(firstPause<<min(w.failures, 20), longestPause)
	w.failures++
	return most/2 + rand.N(most/2)
}

// ask has a head cosigned, and tells of what becomes of it. An error says that it has to be tried again.
func (w *worker) ask(ctx context.Context, head *ledger.SignedHead) error {
	by, out, err := w.submit(ctx, head)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && out == cosigned {
		err = w.keep(w.Heads.Cosign(head, by))
	}
	w.counts.note(out)
	w.tell(head, out, err)
	return err
}

// longAhead is after how many requests it is told that a witness is ahead: for a moment that is another node's doing.
const longAhead = 8

// tell logs what has changed since the last time.
func (w *worker) tell(head *ledger.SignedHead, out outcome, err error) {
	log := w.Logger.With("witness", w.witness.name, "outcome", string(out), "size", head.Size)
	switch {
	case out == ahead && w.failures < longAhead:
		return
	case out == ahead && w.outcome != out:
		log.Error("a witness has cosigned more events than this ledger has: was it cut, or is it an older copy?", "error", err)
	case out == inconsistent:
		log.Error("a witness has cosigned another ledger under this name: compare what it has with this one", "error", err)
	case w.outcome == out && err == nil:
	case out == cosigned && err == nil:
		log.Info("a witness cosigns the heads of the ledger")
	case w.outcome != out:
		log.Warn("a witness does not cosign the heads of the ledger: it is tried again", "error", err)
	case out == cosigned:
		log.Warn("a cosigned head of the ledger could not be kept", "error", err)
	}
	w.outcome = out
}

// keep stores a cosigned head, unless a newer one is stored.
func (s *Cosigners) keep(head *ledger.SignedHead) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.kept; k != nil && (k.Size > head.Size || k.Size == head.Size && k.Witnesses > head.Witnesses) {
		return nil
	}
	if err := s.Keep(head.Note); err != nil {
		return fmt.Errorf("witness: keep a cosigned head: %w", err)
	}
	s.kept = head
	return nil
}
