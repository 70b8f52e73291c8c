package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"keyledger/events"
	"keyledger/ledger"
)

// Subjects of the JetStream API (ADR-1, ADR-31).
const (
	apiInfo      = "$JS.API.STREAM.INFO." + LedgerStream
	apiGet       = "$JS.API.STREAM.MSG.GET." + LedgerStream // the leader answers
	apiDirectGet = "$JS.API.DIRECT.GET." + LedgerStream     // any replica answers, which may be behind
)

// errNoMessage: the stream has no such message.
var errNoMessage = errors.New("jetstream: message not found")

// getRequest is the body of a request for messages (ADR-31).
type getRequest struct {
	Sequence uint64 `json:"seq,omitempty"`
	Next     string `json:"next_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
}

// Last implements ledger.Log. The leader answers.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	info, err := l.info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

// readers is how many messages one Read asks for at a time.
const readers = 16

// Read implements ledger.Log. A sequence within the log that has no message is ledger.ErrGap.
func (l *Log) Read(ctx context.Context, sequences ...uint64) ([]events.Message, error) {
	out := make([]events.Message, len(sequences))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, sequence := range sequences {
		group.Go(func() (err error) {
			out[i], err = l.read(ctx, sequence)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// read reads one message from a replica, or from the leader if that one does not have it.
func (l *Log) read(ctx context.Context, sequence uint64) (events.Message, error) {
	m, err := l.readNear(ctx, sequence)
	if !errors.Is(err, errNoMessage) {
		return m, err
	}
	m, err = l.getLeader(ctx, getRequest{Sequence: sequence})
	if !errors.Is(err, errNoMessage) {
		return m, err
	}
	last, lastErr := l.Last(ctx)
	switch {
	case lastErr != nil:
		return m, lastErr
	case sequence > 0 && sequence <= last:
		return m, fmt.Errorf("%w: message %d is missing", ledger.ErrGap, sequence)
	default: // who knows of it may be ahead of a new leader
		return m, fmt.Errorf("%w: message %d: the log ends at %d", ledger.ErrUnavailable, sequence, last)
	}
}

// readNear reads one message from whichever replica answers.
func (l *Log) readNear(ctx context.Context, sequence uint64) (events.Message, error) {
	if sequence == 0 {
		return events.Message{}, errNoMessage
	}
	data, err := json.Marshal(getRequest{Sequence: sequence})
	if err != nil {
		return events.Message{}, err
	}
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := l.nc.RequestWithContext(limited, apiDirectGet, data)
	if err != nil {
		return events.Message{}, requestError(ctx, err)
	}
	return direct(m)
}

// Scan implements ledger.Log.
func (l *Log) Scan(ctx context.Context, filter string, from uint64, limit int) ([]events.Message, error) {
	var out []events.Message
	for next, more := max(from, 1), true; more && len(out) < limit; {
		got, pending, err := l.scanNear(ctx, getRequest{Sequence: next, Next: filter, Batch: min(limit-len(out), scanPage)})
		if err != nil {
			return nil, err
		}
		if out = append(out, got...); len(out) > 0 {
			next = out[len(out)-1].Sequence + 1
		}
		more = pending && len(got) > 0
	}
	if l.options.Replicas == 1 {
		return out, nil
	}
	return l.scanRest(ctx, out, filter, from, limit)
}

// scanPage is how many messages one request of a Scan asks for.
const scanPage = 1000

// scanNear reads messages from whichever replica answers. more tells that this one has further messages.
func (l *Log) scanNear(ctx context.Context, request getRequest) (out []events.Message, more bool, err error) {
	more, err = l.directBatch(ctx, apiDirectGet, request, func(m *nats.Msg) error {
		e, err := direct(m)
		if err == nil {
			out = append(out, e)
		}
		return err
	})
	if errors.Is(err, errNoMessage) {
		return out, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return out, more, nil
}

// directBatch asks for messages of the stream that subject names, and calls each with every answer until one fails. more
// tells that whoever answered has further messages.
func (l *Log) directBatch(ctx context.Context, subject string, request getRequest, each func(*nats.Msg) error) (more bool, err error) {
	data, err := json.Marshal(request)
	if err != nil {
		return false, err
	}
	answers := make(chan *nats.Msg, request.Batch+1)
	inbox := l.nc.NewInbox()
	sub, err := l.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return false, unavailable(err)
	}
	defer sub.Unsubscribe()
	if err := l.nc.PublishRequest(subject, inbox, data); err != nil {
		return false, unavailable(err)
	}
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for {
		select {
		case m := <-answers:
			if m.Header.Get("Status") == "204" { // the end
				return m.Header.Get("Nats-Num-Pending") != "0", nil
			}
			if err := each(m); err != nil {
				return false, err
			}
		case <-limited.Done():
			return false, requestError(ctx, limited.Err())
		}
	}
}

// scanRest adds to a scan what the replica that answered did not have yet.
func (l *Log) scanRest(ctx context.Context, out []events.Message, filter string, from uint64, limit int) ([]events.Message, error) {
	for len(out) < limit {
		if n := len(out); n > 0 {
			from = out[n-1].Sequence + 1
		}
		m, err := l.getLeader(ctx, getRequest{Sequence: max(from, 1), Next: filter})
		if errors.Is(err, errNoMessage) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// direct is the event message in the answer to a direct get.
func direct(m *nats.Msg) (events.Message, error) {
	sequence, err := directSequence(m)
	if err != nil {
		return events.Message{}, err
	}
	return incoming(m.Header.Get("Nats-Subject"), sequence, m.Header, m.Data)
}

// directSequence is the sequence of the message in the answer to a direct get, or the error that the answer is.
func directSequence(m *nats.Msg) (uint64, error) {
	switch status := m.Header.Get("Status"); status {
	case "":
	case "404":
		return 0, errNoMessage
	case "503":
		return 0, unavailable(nats.ErrNoResponders)
	default:
		return 0, fmt.Errorf("jetstream: direct get: %s %s", status, m.Header.Get("Description"))
	}
	sequence, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("jetstream: direct get: sequence: %w", err)
	}
	return sequence, nil
}

// getLeader asks the stream's leader, which has everything that was acknowledged, for a message.
func (l *Log) getLeader(ctx context.Context, request getRequest) (events.Message, error) {
	var answer struct {
		Message struct {
			Subject  string `json:"subject"`
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	if err := l.api(ctx, apiGet, request, &answer); err != nil {
		if apiCode(err) == codeNoMessage {
			return events.Message{}, errNoMessage
		}
		return events.Message{}, err
	}
	m := &answer.Message
	header, err := nats.DecodeHeadersMsg(m.Header)
	if err != nil {
		return events.Message{}, fmt.Errorf("jetstream: message %d: %w", m.Sequence, err)
	}
	return incoming(m.Subject, m.Sequence, header, m.Data)
}
