package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
)

// Subscribers are in an account of their own, without JetStream. Were they in the account of the ledger, permissions on
// subjects would not do: a client chooses where the server sends an answer (the reply subject), and where a consumer
// delivers to, and the server itself then publishes there, on "ledger.…" or "usage.batch" too. So only two things pass
// between the accounts, both as stream imports, which carry messages one way:
//
//	subscribers → ledger   what subscribers publish: their account maps doorSource to doorExport; read by the door alone
//	ledger → subscribers   what is sent to their inboxes
//
// The door looks at each request and passes on what cannot do harm. The mapping keeps requests from the API of the
// subscribers' account, which would answer that it has no JetStream, and permissions are about what was mapped.
const (
	doorSource   = "$JS.>"
	doorPrefix   = "subscribers."
	doorExport   = doorPrefix + ">"
	doorTarget   = doorPrefix + doorSource
	inboxExport  = SubscriberInbox + ">"
	doorQueue    = "keyledger" // of several nodes, one passes a request on
	maxDoorBytes = 64 << 10    // of a request
)

// maxIdle is how long a consumer of a subscriber may be without a pull before the server removes it, and how long that
// is for a durable one if the subscriber says nothing.
const maxIdle = 30 * 24 * time.Hour

// maxWaitingPulls is how many pulls a consumer keeps waiting at most.
const maxWaitingPulls = 512

// maxPendingAcks is how many messages a consumer waits to be acknowledged at most.
const maxPendingAcks = 20_000

// door passes requests of subscribers on to JetStream. It keeps nothing.
type door struct {
	nc      *nats.Conn
	answers string                                           // where the API answers to, before the rest of the subscriber's inbox
	known   func() (age time.Duration, last uint64, ok bool) // of the ledger, by this node
	subs    []*nats.Subscription
}

// openDoor starts to pass requests on.
func openDoor(nc *nats.Conn, known func() (time.Duration, uint64, bool)) (*door, error) {
	d := &door{nc: nc, answers: nc.NewInbox() + ".", known: known}
	var errs [3]error
	d.subs = make([]*nats.Subscription, len(errs))
	d.subs[0], errs[0] = nc.QueueSubscribe(doorPrefix+apiConsumer+">", doorQueue, d.request)
	d.subs[1], errs[1] = nc.QueueSubscribe(doorPrefix+ackPrefix+">", doorQueue, d.request)
	d.subs[2], errs[2] = nc.Subscribe(d.answers+">", d.answer)
	if err := errors.Join(append(errs[:], nc.Flush())...); err != nil {
		d.close()
		return nil, fmt.Errorf("jetstream: door of subscribers: %w", err)
	}
	return d, nil
}

func (d *door) close() {
	for _, sub := range d.subs {
		if sub != nil {
			_ = sub.Unsubscribe() // fails only when the connection is closed, which ends it too
		}
	}
}

// request passes one request on. What no client of ours sends is dropped.
func (d *door) request(m *nats.Msg) {
	subject := strings.TrimPrefix(m.Subject, doorPrefix)
	name, ok := consumerIn(subject)
	if !ok || len(m.Data) > maxDoorBytes {
		return
	}
	key, err := keyOf(name)
	if err != nil {
		return
	}
	reply := m.Reply
	if own := inbox(key); !strings.HasPrefix(reply, own) || strings.ContainsAny(reply[len(own):], "*> \t\r\n") {
		if !strings.HasPrefix(subject, ackPrefix) {
			return
		}
		reply = "" // an acknowledgement counts without an answer
	}
	data := m.Data
	switch {
	case strings.HasPrefix(subject, nextPrefix), strings.HasPrefix(subject, ackPrefix):
	case strings.HasPrefix(subject, createPrefix):
		if data, err = vetCreate(data); err != nil {
			_ = d.nc.Publish(reply, refuseCreate(err))
			return
		}
		fallthrough
	default:
		// The API is a service import of the account itself, whose answers the server does not let pass to another one.
		reply = d.answers + strings.TrimPrefix(reply, SubscriberInbox)
	}
	_ = d.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: data}) // who gets no answer asks again
}

// answer brings an answer of the API to the subscriber who asked, and tells as of when this node knows the ledger: a
// consumer goes on with its heartbeats when its server has lost the majority.
func (d *door) answer(m *nats.Msg) {
	told := &nats.Msg{Subject: SubscriberInbox + strings.TrimPrefix(m.Subject, d.answers), Header: m.Header, Data: m.Data}
	if age, last, ok := d.known(); ok {
		if told.Header == nil {
			told.Header = nats.Header{}
		}
		told.Header.Set(events.HeaderAge, strconv.FormatInt(age.Milliseconds(), 10))
		told.Header.Set(events.HeaderLast, strconv.FormatUint(last, 10))
	}
	_ = d.nc.PublishMsg(told)
}

// consumerIn gives the name of the consumer that a request is about, if it is one of those that pass.
func consumerIn(subject string) (name string, ok bool) {
	for _, prefix := range [...]string{createPrefix, infoPrefix, deletePrefix, nextPrefix, ackPrefix} {
		if rest, found := strings.CutPrefix(subject, prefix); found {
			_, rest, _ = strings.Cut(rest, ".")
			name, _, _ = strings.Cut(rest, ".")
			return name, name != ""
		}
	}
	return "", false
}

// createRequest is a request to make a consumer, in the fields that are passed on. That the names and the filter in it
// are those of the subject, which the subscriber's permissions are about, the server sees to.
type createRequest struct {
	Stream string                   `json:"stream_name"`
	Config jetstream.ConsumerConfig `json:"config"`
	Action string                   `json:"action,omitempty"`
}

// vetCreate gives the request that is passed on: one for a consumer that is pulled from.
func vetCreate(data []byte) ([]byte, error) {
	var r createRequest
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, errors.New("the request is not JSON as the API has it")
	}
	c := &r.Config
	switch {
	case c.DeliverSubject != "" || c.DeliverGroup != "" || c.FlowControl || c.IdleHeartbeat != 0:
		return nil, errors.New("only consumers that are pulled from are allowed here: leave deliver_subject out")
	case len(c.FilterSubjects) > 0:
		return nil, errors.New("one filter_subject is needed, and filter_subjects is not allowed here")
	case c.FilterSubject == "":
		return nil, errors.New("filter_subject is needed")
	case c.SampleFrequency != "":
		return nil, errors.New("sample_freq is not allowed here")
	case c.InactiveThreshold > maxIdle:
		return nil, fmt.Errorf("inactive_threshold: at most %v", maxIdle)
	case c.MaxWaiting > maxWaitingPulls:
		return nil, fmt.Errorf("max_waiting: at most %d", maxWaitingPulls)
	case c.MaxAckPending < 0 || c.MaxAckPending > maxPendingAcks:
		return nil, fmt.Errorf("max_ack_pending: at most %d", maxPendingAcks)
	}
	if c.Durable != "" && c.InactiveThreshold == 0 {
		c.InactiveThreshold = maxIdle
	}
	return json.Marshal(&r)
}

// refuseCreate is the answer of the API to a request that is not passed on.
func refuseCreate(reason error) []byte {
	data, err := json.Marshal(map[string]any{
		"type":  "io.nats.jetstream.api.v1.consumer_create_response",
		"error": apiError{Status: 400, Code: codeConsumerCreate, Description: reason.Error()},
	})
	if err != nil {
		return nil
	}
	return data
}

// codeConsumerCreate is the API's code for a consumer that cannot be made.
const codeConsumerCreate = 10012
