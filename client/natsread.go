package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
)

// WithNATS makes the Client read events from the NATS at url, where keyledger admits subscribers (serve --nats-listen);
// several with commas. options are for TLS and the like: token and inbox prefix are set.
func WithNATS(url string, options ...nats.Option) Option {
	return func(c *Client) { c.nats, c.natsOptions = url, options }
}

const (
	ledgerStream = "LEDGER"
	pullBatch    = 4096             // messages of one pull
	pullExpires  = 30 * time.Second // after which a pull is made anew
	heartbeat    = time.Second / 2  // within which a pull shows that it is alive
	natsTimeout  = 5 * time.Second  // of one request, and of silence

	firstHeartbeat = time.Second / 10 // in the first pull of a session, which lasts ten of them
)

// natsReader reads the events of an owner over NATS, one session after another.
type natsReader struct {
	client *Client
	self   self // zero: not known, or in doubt
	owner  Owner
	at     *place
	lease  lease

	scope func(Owner)               // whose events are read, before any is; may be nil
	event func(*events.Event) error // an event
	wants func(events.Type) bool    // nil: all; of others the body is not read
	heard func(time.Time)           // nothing is missing up to this time; may be nil
	level func() error              // there is no more for now
}

// session connects and reads until something fails.
func (r *natsReader) session(ctx context.Context) error {
	if r.self == (self{}) {
		var err error
		if r.self, err = r.client.whoami(ctx, scopeEvents); err != nil {
			return settled(err)
		}
	}
	owner, err := r.self.narrow(r.owner)
	if err != nil {
		return final(err)
	}
	if r.scope != nil {
		r.scope(owner)
	}
	nc, err := r.connect()
	if err != nil {
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
			r.self = self{} // ask why
		}
		return fmt.Errorf("client: connect to NATS: %w", err)
	}
	defer nc.Close()
	s := &natsSession{natsReader: r, nc: nc, again: r.at.last > 0}
	if s.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(natsTimeout)); err != nil {
		return err
	}
	if err := s.open(ctx, events.OwnerFilter(owner.WorkspaceID, owner.OrgID, owner.AgentID)); err != nil {
		return err
	}
	defer s.close()
	for {
		if err := s.pull(ctx); err != nil {
			return err
		}
	}
}

func (r *natsReader) connect() (*nats.Conn, error) {
	options := append([]nats.Option{nats.Timeout(natsTimeout), nats.Name(r.client.userAgent)}, r.client.natsOptions...)
	return nats.Connect(r.client.nats, append(options,
		nats.Token(r.client.token.Reveal()),
		nats.CustomInboxPrefix("_INBOX.key."+r.self.key.String()),
		nats.NoReconnect(), // the next session is one
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	)...)
}

// narrow is owner within what the key is bound to.
func (s *self) narrow(owner Owner) (Owner, error) {
	if s.owner.PeerID != "" || s.owner.SessionID != "" {
		return owner, errors.New("client: the token is bound to a peer or a session, which cannot be read over NATS")
	}
	for _, part := range [...]struct {
		name, bound string
		asked       *string
	}{
		{"workspace", s.owner.WorkspaceID, &owner.WorkspaceID},
		{"org", s.owner.OrgID, &owner.OrgID},
		{"agent", s.owner.AgentID, &owner.AgentID},
	} {
		if *part.asked == "" {
			*part.asked = part.bound
		} else if part.bound != "" && part.bound != *part.asked {
			return owner, &Error{Status: 404, Code: CodeNotFound, Title: "Not Found",
				Detail: "the token is bound to another " + part.name}
		}
	}
	return owner, nil
}

// natsSession is one connection and one consumer.
type natsSession struct {
	*natsReader
	nc       *nats.Conn
	js       jetstream.JetStream
	consumer jetstream.Consumer
	made     time.Time // of the consumer: nobody else's of the same name has it
	count    uint64    // messages of the consumer that came
	again    bool      // the first event is one that was read before
	asked    time.Time // when the state of the consumer was asked for last
	next     mark      // the first one that is not reached
	later    mark      // the last one after it
}

// open makes the consumer.
func (s *natsSession) open(ctx context.Context, filter string) error {
	config := jetstream.ConsumerConfig{
		FilterSubject: filter,
		DeliverPolicy: jetstream.DeliverNewPolicy,
		AckPolicy:     jetstream.AckNonePolicy, // what is missing is seen by its number
		MemoryStorage: true, Replicas: 1,       // it is made anew when it is lost
		InactiveThreshold: pullExpires,
	}
	if from := s.at.from(); from > 0 {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	}
	var err error
	if s.consumer, err = s.lease.take(ctx, s.js, s.self.key, config); err != nil {
		return err
	}
	info := s.consumer.CachedInfo()
	s.made = info.Created
	if s.at.next == 0 {
		s.at.next = info.Delivered.Stream + 1
	}
	switch {
	case info.NumPending > 0:
		return nil
	case s.again:
		return final(ErrLedger)
	}
	return s.level()
}

// close gives the consumer up, unless the connection is lost: then it goes by itself.
func (s *natsSession) close() {
	ctx, cancel := context.WithTimeout(context.Background(), heartbeat)
	defer cancel()
	if !s.nc.IsConnected() {
		return
	}
	if _, _, err := s.info(ctx); err == nil { // it is ours
		_ = s.js.DeleteConsumer(ctx, ledgerStream, s.consumer.CachedInfo().Name)
	}
}

// pull asks for messages and takes them until they, or the time of the pull, are used up. A pull is answered by one
// consumer alone. That it was ours is asked once its first answer is there: then it was ours when the pull came.
func (s *natsSession) pull(ctx context.Context) error {
	inbox := s.nc.NewInbox()
	answers, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	leave := func() { _ = answers.Unsubscribe() } // it fails only when that is done already
	defer leave()
	defer context.AfterFunc(ctx, leave)() // ends the wait for the next message
	expires, idle := pullExpires, heartbeat
	if s.asked.IsZero() {
		expires, idle = 10*firstHeartbeat, firstHeartbeat
	}
	request := fmt.Appendf(nil, `{"batch":%d,"expires":%d,"idle_heartbeat":%d}`, pullBatch, expires, idle)
	subject := "$JS.API.CONSUMER.MSG.NEXT." + ledgerStream + "." + s.consumer.CachedInfo().Name
	if err := s.nc.PublishRequest(subject, inbox, request); err != nil {
		return err
	}
	for ours, left := false, pullBatch; left > 0; {
		m, err := answers.NextMsg(natsTimeout)
		if err != nil {
			return err
		}
		if !ours {
			if err := s.ask(ctx); err != nil {
				return err
			}
			ours = true
		}
		switch status := m.Header.Get("Status"); {
		case status == "100":
			err = s.beat(m)
		case status == "408":
			return nil
		case status != "":
			return fmt.Errorf("client: NATS ends the pull: %s %s", status, m.Header.Get("Description"))
		default:
			left--
			err = s.message(m)
		}
		if err == nil {
			err = s.askAgain(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// beat takes a heartbeat, which tells how many messages there were, and up to where the consumer has looked for them.
func (s *natsSession) beat(m *nats.Msg) error {
	if count := m.Header.Get("Nats-Last-Consumer"); count != fmt.Sprint(s.count) {
		return fmt.Errorf("client: a message was lost: %d of %s came", s.count, count)
	}
	if sequence, err := strconv.ParseUint(m.Header.Get("Nats-Last-Stream"), 10, 64); err == nil {
		s.reach(sequence)
	}
	return nil
}

// message takes an event.
func (s *natsSession) message(m *nats.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if s.count++; meta.Sequence.Consumer != s.count || meta.NumDelivered != 1 {
		return fmt.Errorf("client: a message was lost: number %d came for %d", meta.Sequence.Consumer, s.count)
	}
	header, err := events.ParseHeader(m.Header.Get)
	if err != nil {
		return final(fmt.Errorf("client: message %d: %w", meta.Sequence.Stream, err))
	}
	fresh, err := s.at.pass(meta.Sequence.Stream, header.ID, &s.again)
	if err != nil {
		return err
	}
	if fresh && (s.wants == nil || s.wants(header.Type)) {
		event, err := events.Decode(&events.Message{Header: header, Sequence: meta.Sequence.Stream, Subject: m.Subject, Data: m.Data}, nil)
		if err != nil {
			return final(err)
		}
		if err := s.event(&event); err != nil {
			return err
		}
	}
	s.reach(meta.Sequence.Stream)
	if meta.NumPending == 0 {
		return s.level()
	}
	return nil
}
