package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"keyledger/events"
	"keyledger/ledger"
)

// Headers of the server, see ADR-4 and ADR-50 of nats-architecture-and-design.
const (
	headerExpect        = "Nats-Expected-Last-Subject-Sequence"
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
	headerStream        = "Nats-Expected-Stream"
)

// Error codes of the JetStream API.
const (
	codeNoPeers          = 10005 // there are fewer servers than a stream wants replicas
	codeNoResources      = 10023 // insufficient resources: the server's store is full
	codeNoStorage        = 10047 // the account's store is full
	codeNoMessage        = 10037
	codeWrongSequence    = 10071 // a guard does not hold
	codeStoreFailed      = 10077
	codeIDInFlight       = 10158 // another message with this id is on its way (replicated)
	codeGuardInFlight    = 10164 // another message on this subject is on its way (replicated)
	codeIngestFull       = 10167 // the stream's own queue is full
	codeDuplicateInBatch = 10201 // a message of this batch is already stored
)

// outgoing is the message that stores an entry.
func outgoing(e *ledger.Entry) *nats.Msg {
	header := make(nats.Header, 10)
	e.Message.Header.Each(func(name, value string) { header[name] = []string{value} })
	header[headerExpect] = []string{strconv.FormatUint(e.Expect, 10)}
	return &nats.Msg{Subject: e.Message.Subject, Header: header, Data: e.Message.Data}
}

// incoming is the event message of a stored message.
func incoming(subject string, sequence uint64, header nats.Header, data []byte) (events.Message, error) {
	h, err := events.ParseHeader(func(name string) string {
		if v := header[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	})
	if err != nil {
		return events.Message{}, fmt.Errorf("jetstream: message %d on %s: %w", sequence, subject, err)
	}
	return events.Message{Header: h, Sequence: sequence, Subject: subject, Data: data}, nil
}

// ack is the answer to a publish.
type ack struct {
	Stream    string    `json:"stream"`
	Sequence  uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
	Count     int       `json:"count"` // of a batch
	Error     *apiError `json:"error"`
}

// apiError is an error of the JetStream API.
type apiError struct {
	Status      int    `json:"code"`
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s (%d)", e.Description, e.Code)
}

// apiCode is the code of an error of the JetStream API, 0 for another error.
func apiCode(err error) int {
	if api, ok := errors.AsType[*apiError](err); ok {
		return api.Code
	}
	return 0
}

// refused tells that a guard or an event id did not pass.
func refused(err error) bool {
	switch apiCode(err) {
	case codeWrongSequence, codeGuardInFlight, codeIDInFlight, codeDuplicateInBatch:
		return true
	}
	return false
}

// decided tells of a refusal that nothing on its way can still change it.
func decided(err error) bool {
	code := apiCode(err)
	return code == codeWrongSequence || code == codeDuplicateInBatch
}

// full tells that there is no room: repeating does not help for now.
func full(err error) bool {
	switch apiCode(err) {
	case codeNoResources, codeNoStorage, codeIngestFull:
		return true
	}
	return false
}

// parseAck reads the answer to a publish.
func parseAck(m *nats.Msg) (ack, error) {
	if len(m.Data) == 0 { // the client's own, ADR-31: nobody listens on the subject
		return ack{}, nats.ErrNoResponders
	}
	var a ack
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return ack{}, fmt.Errorf("jetstream: answer of the stream: %w", err)
	}
	if a.Error != nil {
		return ack{}, a.Error
	}
	return a, nil
}

// delivery is what the reply subject of a delivered message says:
// $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>, or, from a server
// with a domain, $JS.ACK.<domain>.<account hash>.<stream>.… with a token at the end.
func delivery(reply string) (sequence, pending uint64, err error) {
	const head = "$JS.ACK."
	rest, ok := strings.CutPrefix(reply, head)
	if !ok {
		return 0, 0, fmt.Errorf("jetstream: unknown delivery %q", reply)
	}
	skip, tail := 3, 2
	if strings.Count(rest, ".") > 6 {
		skip = 5
	}
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	first, rest, _ := strings.Cut(rest, ".")
	for range tail {
		_, rest, _ = strings.Cut(rest, ".")
	}
	last, _, _ := strings.Cut(rest, ".")
	if sequence, err = strconv.ParseUint(first, 10, 64); err == nil {
		pending, err = strconv.ParseUint(last, 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("jetstream: unknown delivery %q: %w", reply, err)
	}
	return sequence, pending, nil
}
