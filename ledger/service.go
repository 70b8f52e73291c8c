package ledger

import (
	"context"
	"io"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Call is who asks, from where, and under which conditions.
type Call struct {
	Principal Principal
	RequestID string // at most 128 visible ASCII characters
	Origin    events.Origin
	// IfSequence, when not 0, is the Key.Revision the caller saw (If-Match): another is CodePrecondition.
	IfSequence uint64
	// Entropy, when not nil, is where ids and secrets come from: the same bytes make the same command, so that its
	// repetition after a lost answer is recognised and gives the first result. nil: crypto/rand.
	Entropy io.Reader
	// Drawn, with Entropy, is the time in the ids that come from it: a repeat states that of the first run.
	Drawn time.Time
}

// Config is what a Service is made of.
type Config struct {
	Log          Log
	State        State
	Prefix       string           // of native tokens, see CheckPrefix; "kl" when empty
	MaxStaleness time.Duration    // 5 s when 0
	Now          func() time.Time // time.Now when nil
	Usage        *Usage           // nil: uses are not recorded
	Heads        *Heads           // of the tree; nil: none are signed
	Reads        ReadLog          // of audited reads; nil: there are none
	Feed         *Feed            // of what State shows; nil: an empty one, and subscribers get what is past only
	FirstUses    bool             // first uses are noted, for an Announcer
	Webhooks     WebhookPolicy
	Replay       Replay    // nil: lists as of a moment fail
	PastEvents   int       // most events that a list as of a moment is made of; DefaultPastEvents when 0
	Personal     *Personal // seals personal data; nil: it is stored in the clear, and cannot be erased
}

// Service is the ledger: every command and query goes through it, and it asks Allow. It is safe for concurrent use.
type Service struct {
	log       Log
	state     State
	usage     *Usage
	heads     *Heads
	reads     ReadLog
	feed      *Feed
	firsts    *firstUses
	hooks     WebhookPolicy
	pasts     *pasts
	personal  *Personal
	prefix    string
	staleness time.Duration
	clock     func() time.Time
}

// New gives a Service.
func New(c Config) *Service {
	s := &Service{
		log:       c.Log,
		state:     c.State,
		usage:     c.Usage,
		heads:     c.Heads,
		reads:     c.Reads,
		feed:      c.Feed,
		hooks:     c.Webhooks,
		pasts:     newPasts(c.Replay, c.PastEvents),
		personal:  c.Personal,
		prefix:    orDefault(c.Prefix, "kl"),
		staleness: c.MaxStaleness,
		clock:     c.Now,
	}
	if s.staleness == 0 {
		s.staleness = 5 * time.Second
	}
	if s.feed == nil {
		s.feed = new(Feed)
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if c.FirstUses {
		s.firsts = &firstUses{waiting: make(map[uuid.UUID]time.Time)}
	}
	return s
}

// sealer seals the personal data of events, nil when it is not sealed here; opener opens it.
func (s *Service) sealer() events.Sealer {
	if s.personal == nil {
		return nil
	}
	return s.personal
}

func (s *Service) opener() events.Opener {
	if s.personal == nil {
		return nil
	}
	return s.personal
}

// erasures is how many are known.
func (s *Service) erasures() uint64 {
	if s.personal == nil {
		return 0
	}
	return s.personal.learned.Load()
}

// patience is how long a read waits for a view that is known to be behind.
const patience = 100 * time.Millisecond

// now is the time of an event that is decided now.
func (s *Service) now() time.Time { return moment(s.clock()) }

// find returns a key that p may do what scope names to.
func (s *Service) find(ctx context.Context, p *Principal, scope string, id uuid.UUID) (Key, error) {
	k, ok, err := s.state.Key(ctx, id)
	if err != nil {
		return Key{}, failed(err)
	}
	if !ok {
		return Key{}, notFound("key")
	}
	return k, Allow(p, scope, &k.Owner)
}
