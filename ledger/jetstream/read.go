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

// subjects of the JetStream API.
const (
	apiInfo      = "$JS.API.STREAM.INFO." + LedgerStream
	apiDirectGet = "$JS.API.DIRECT.GET." + LedgerStream
	apiGet       = "$JS.API.STREAM.MSG.GET." + LedgerStream
)

// errNoMessage: the stream has no such message.
var errNoMessage = errors.New("jetstream: message not found")

// Last implements ledger.Log. The leader answers.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	var info struct {
		State struct {
			Last uint64 `json:"last_seq"`
		} `json:"state"`
	}
	if err := l.api(ctx, apiInfo, nil, &info); err != nil {
		return 0, err
	}
	return info.State.Last, nil
}

// readers is how many messages one Read asks for at a time.
const readers = 16

// Read implements ledger.Log.
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

// getRequest is the body of a direct get (ADR-31).
type getRequest struct {
	Sequence uint64 `json:"seq,omitempty"`
	Next     string `json:"next_by_subj,omitempty"`
	Last     string `json:"last_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
}

// read reads one message from whichever replica is near.
func (l *Log) read(ctx context.Context, sequence uint64) (events.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	data, err := json.Marshal(getRequest{Sequence: sequence})
	if err != nil {
		return events.Message{}, err
	}
	m, err := l.nc.RequestWithContext(ctx, apiDirectGet, data)
	if err != nil {
		return events.Message{}, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	return direct(m)
}

// direct is the event message in the answer to a direct get.
func direct(m *nats.Msg) (events.Message, error) {
	if status := m.Header.Get("Status"); status != "" {
		return events.Message{}, fmt.Errorf("jetstream: direct get: %s %s", status, m.Header.Get("Description"))
	}
	sequence, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return events.Message{}, fmt.Errorf("jetstream: direct get: sequence: %w", err)
	}
	return incoming(m.Header.Get("Nats-Subject"), sequence, m.Header, m.Data)
}

// Scan implements ledger.Log.
func (l *Log) Scan(ctx context.Context, filter string, from uint64, limit int) ([]events.Message, error) {
	panic("not yet")
}

// readLeader reads one message from the stream's leader, which has everything that was acknowledged.
func (l *Log) readLeader(ctx context.Context, sequence uint64) (events.Message, error) {
	return l.getLeader(ctx, getRequest{Sequence: sequence})
}

// getLeader asks the stream's leader for a message.
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
			return events.Message{}, fmt.Errorf("%w: %w", errNoMessage, err)
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
