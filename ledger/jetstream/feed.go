package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// feedWindow is how many messages a feed has asked for beyond those it handed over: it bounds memory.
	feedWindow = 4096
	// feedBurst is how many messages a feed hands over at most at a time.
	feedBurst = 1024
	// heartbeat is how often an idle feed is told that the stream is still there.
	heartbeat = 500 * time.Millisecond
	// silence is how long a feed that hears nothing waits before it is given up.
	silence = 3 * heartbeat
	// feedPatience is how long the first consumer that a feed tries may take to be created; each further one has twice as long.
	feedPatience = time.Second
	// pullExpiry is how long one request for messages stands.
	pullExpiry = 5 * time.Minute
)

// errFeedLost: the feed has ended, another one can go on where it stopped.
var errFeedLost = errors.New("jetstream: feed lost")

// feed reads a stream in order through a pull consumer of its own, without acknowledgements.
type feed struct {
	nc       *nats.Conn
	stream   string
	consumer string
	server   string // that has the consumer; empty: there is only one
	inbox    string
	sub      *nats.Subscription
	in       chan *nats.Msg
	silent   *time.Timer
	asked    int    // messages asked for and not yet received
	received uint64 // at least the sequence of the last message received
	burst    []*nats.Msg
}

// openFeed begins a feed of a stream at the sequence from. nats-server chooses any server that has the stream for its
// consumer. When that server does not answer for a while, or is the one to avoid, another consumer is tried, which is
// perhaps elsewhere.
func openFeed(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, stream string, from uint64, avoid string) (*feed, error) {
	for wait := feedPatience; ; wait *= 2 {
		limited, cancel := context.WithTimeout(ctx, wait)
		f, err := newFeed(limited, nc, js, stream, from)
		late := err != nil && limited.Err() != nil && ctx.Err() == nil
		cancel()
		unwanted := err == nil && avoid != "" && f.server == avoid
		if wait > apiTimeout || !late && !unwanted {
			return f, err
		}
		if unwanted {
			f.close()
		}
	}
}

// newFeed creates the consumer of a feed.
func newFeed(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, stream string, from uint64) (*feed, error) {
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       max(from, 1),
		AckPolicy:         jetstream.AckNonePolicy,
		MaxDeliver:        1,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("jetstream: consumer of %s: %w", stream, err)
	}
	info := consumer.CachedInfo()
	f := &feed{
		nc:       nc,
		stream:   stream,
		consumer: info.Name,
		inbox:    nc.NewInbox(),
		in:       make(chan *nats.Msg, feedWindow+64), // and some status messages
		silent:   time.NewTimer(silence),
		received: max(from, 1) - 1,
	}
	if info.Cluster != nil {
		f.server = info.Cluster.Leader
	}
	if f.sub, err = nc.ChanSubscribe(f.inbox, f.in); err != nil {
		return nil, fmt.Errorf("jetstream: consumer of %s: %w", stream, err)
	}
	return f, nil
}

// close ends the feed. The server forgets its consumer by itself if the request to do so is lost.
func (f *feed) close() {
	f.silent.Stop()
	_ = f.sub.Unsubscribe()
	_ = f.nc.Publish("$JS.API.CONSUMER.DELETE."+f.stream+"."+f.consumer, nil)
}

// next waits for the next messages and returns all that are ready, up to a bound; none when a heartbeat says that there
// are none. It is errFeedLost when nothing was heard from the stream, or when the consumer has gone. What it returns is
// valid until the next call.
func (f *feed) next(ctx context.Context) ([]*nats.Msg, error) {
	f.burst = f.burst[:0]
	if err := f.ask(); err != nil {
		return nil, err
	}
	for len(f.burst) == 0 {
		select {
		case m := <-f.in:
			f.silent.Reset(silence)
			idle, err := f.take(m)
			if idle || err != nil {
				return f.burst, err
			}
		case <-f.silent.C:
			if len(f.in) == 0 {
				return nil, fmt.Errorf("%w: nothing heard for %v", errFeedLost, silence)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errFeedLost, context.Cause(ctx))
		}
	}
	return f.burst, f.drain()
}

// drain adds what is ready to the burst.
func (f *feed) drain() error {
	for len(f.burst) < feedBurst {
		select {
		case m := <-f.in:
			f.silent.Reset(silence)
			if _, err := f.take(m); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// ask keeps the server's permission to send between half the window and all of it.
func (f *feed) ask() error {
	if f.asked > feedWindow/2 {
		return nil
	}
	request := struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{feedWindow - f.asked, pullExpiry, heartbeat}
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if err := f.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+f.stream+"."+f.consumer, f.inbox, data); err != nil {
		return fmt.Errorf("%w: %w", errFeedLost, err)
	}
	f.asked = feedWindow
	return nil
}

// take sorts one message in: an event goes to the burst, an ended request is asked anew. idle tells of a heartbeat.
func (f *feed) take(m *nats.Msg) (idle bool, err error) {
	if m.Subject != f.inbox {
		f.asked--
		f.burst = append(f.burst, m)
		return false, nil
	}
	switch m.Header.Get("Status") {
	case "100":
		last, err := strconv.ParseUint(m.Header.Get("Nats-Last-Stream"), 10, 64)
		if err == nil && last > f.received && len(f.burst) == 0 {
			return false, fmt.Errorf("%w: messages up to %d did not arrive", errFeedLost, last)
		}
		return true, nil
	case "408":
		unsent, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		if err != nil {
			return false, fmt.Errorf("%w: %w", errFeedLost, err)
		}
		f.asked -= unsent
		return false, f.ask()
	default:
		return false, fmt.Errorf("%w: %s %s", errFeedLost, m.Header.Get("Status"), m.Header.Get("Description"))
	}
}
