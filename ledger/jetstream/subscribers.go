package jetstream

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"keyledger/events"
	"keyledger/ledger"
)

// SubscribersAccount is the account of subscribers.
const SubscribersAccount = "SUBSCRIBERS"

// renewInterval is how often the keys of the connected subscribers are looked at: a look-up in memory each.
const renewInterval = 250 * time.Millisecond

// link is one connection of a subscriber.
type link struct {
	server string // id of the NATS server
	client uint64 // number of the connection on that server
}

// held is what is known of a connected subscriber. Of its token there is the digest.
type held struct {
	key    uuid.UUID
	digest ledger.Digest
	until  time.Time // when the server ends the connection by itself; zero: not known
	why    error     // it is disconnected
}

// Subscribers let the holders of keys into NATS to read the events of what is theirs, and out again when their keys end.
type Subscribers struct {
	service    *ledger.Service
	log        *slog.Logger
	nc         *nats.Conn
	door       *door
	gone       func(link) bool // tells that a connection has ended
	disconnect func(link) error
	stop       func() // lets nobody in any more

	mu   sync.Mutex
	held map[link]held
}

// open opens the door on a connection to the ledger's account.
func (s *Subscribers) open(nc *nats.Conn) (err error) {
	s.nc, s.held = nc, make(map[link]held)
	s.door, err = openDoor(nc, s.service.Known)
	return err
}

// admit gives what the holder of a token may do, or why it is refused, and keeps an eye on its key from then on.
func (s *Subscribers) admit(ctx context.Context, l link, token string, origin events.Origin, until time.Time) (grant, *ledger.Principal, error) {
	p, err := s.service.Authenticate(ctx, token, origin)
	if err != nil {
		return grant{}, nil, err
	}
	g, err := newGrant(&p)
	if err != nil {
		return grant{}, nil, err
	}
	s.mu.Lock()
	s.held[l] = held{key: p.KeyID, digest: ledger.NewSecret(token).Digest(), until: until}
	s.mu.Unlock()
	return g, &p, nil
}

// Run looks at the keys of the connected subscribers, and disconnects those whose keys do not allow it any more, and all of
// them while this node is stale, until ctx ends. Then it lets nobody in.
func (s *Subscribers) Run(ctx context.Context) error {
	defer s.door.close()
	defer s.stop()
	tick := time.NewTicker(renewInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for l, h := range s.ended(ctx, now) {
				s.end(l, h)
			}
		}
	}
}

// ended gives the connections whose keys have ended, and forgets those that are no more.
func (s *Subscribers) ended(ctx context.Context, now time.Time) map[link]held {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make(map[link]held)
	for l, h := range s.held {
		if s.gone(l) || !h.until.IsZero() && now.After(h.until) {
			delete(s.held, l)
		} else if err := s.allowed(ctx, h.digest); err != nil {
			delete(s.held, l)
			h.why = err
			list[l] = h
		}
	}
	return list
}

// allowed is why the holder of a token may not be connected any more. A node that is stale cannot tell, and what it sends may
// be all that its own part of a cluster has.
func (s *Subscribers) allowed(ctx context.Context, d ledger.Digest) error {
	p, err := s.service.Renew(ctx, d)
	switch ledger.CodeOf(err) {
	case "":
		_, err = newGrant(&p)
		return err
	case ledger.CodeUnauthenticated, ledger.CodeStale:
		return err
	default:
		return nil // nobody can tell: it stays as it was
	}
}

// end disconnects a subscriber.
func (s *Subscribers) end(l link, h held) {
	s.log.Info("a subscriber is disconnected", "key", h.key, "because", h.why)
	if err := s.disconnect(l); err != nil && !s.gone(l) {
		s.log.Warn("a subscriber could not be disconnected", "key", h.key, "error", err)
	}
}
