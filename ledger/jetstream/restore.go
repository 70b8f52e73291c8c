package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"keyledger/events"
	"keyledger/ledger"
)

// headerExpectLast is a guard on the whole stream: the sequence of its last message.
const headerExpectLast = "Nats-Expected-Last-Sequence"

// restoreTimeout bounds the wait for the answer to one batch of Restore.
const restoreTimeout = 30 * time.Second

// Restore stores messages of a ledger that was exported, with the sequences they have, at the end of this one: they follow
// each other and the last message there is, or nothing is stored (ledger.ErrConflict). They have no guards of their own.
// They are durable when it returns. When it fails with ledger.ErrUnavailable, the first ones of them may be stored.
func (l *Log) Restore(ctx context.Context, messages []events.Message) error {
	for len(messages) > 0 {
		n, bytes := 0, 0
		for n < len(messages) && n < maxEntries && (n == 0 || bytes+len(messages[n].Data) <= maxBatchBytes) {
			bytes += len(messages[n].Data)
			n++
		}
		if err := l.restore(ctx, messages[:n], bytes); err != nil {
			return fmt.Errorf("jetstream: restore messages from %d on: %w", messages[0].Sequence, err)
		}
		messages = messages[n:]
	}
	return nil
}

// restore stores messages as one atomic batch, guarded by the end of the stream.
func (l *Log) restore(ctx context.Context, messages []events.Message, bytes int) error {
	if l.options.Server != nil {
		l.options.Server.spend(2 * (bytes + len(messages)*headerBytes))
	}
	if err := l.writable(); err != nil {
		return err
	}
	b := newBatch()
	l.staging().stage(b.id)
	defer l.staging().drop(b.id)
	for i := range messages {
		m := restoring(&messages[i])
		b.mark(m, i+1)
		if i == 0 {
			m.Header[headerExpectLast] = []string{strconv.FormatUint(messages[0].Sequence-1, 10)}
		}
		if i < len(messages)-1 {
			if err := l.nc.PublishMsg(m); err != nil {
				return unavailable(err)
			}
			continue
		}
		m.Header[headerBatchCommit] = []string{"1"}
		return l.commitRestore(ctx, m, messages)
	}
	return nil
}

// commitRestore sends the last message of a batch and holds its answer against what was to be stored.
func (l *Log) commitRestore(ctx context.Context, last *nats.Msg, messages []events.Message) error {
	limited, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	answer, err := l.nc.RequestMsgWithContext(limited, last)
	if err != nil {
		return requestError(ctx, err)
	}
	a, err := parseAck(answer)
	switch want := messages[len(messages)-1].Sequence; {
	case refused(err):
		return fmt.Errorf("%w: %w", ledger.ErrConflict, err)
	case err != nil:
		return unavailable(err)
	case a.Sequence != want || a.Count != len(messages):
		return errors.Join(ledger.ErrGap, fmt.Errorf("%d messages up to %d were stored, not %d up to %d", a.Count, a.Sequence, len(messages), want))
	}
	return nil
}

// restoring is the message that stores an event without a guard.
func restoring(e *events.Message) *nats.Msg {
	header := make(nats.Header, 10)
	e.Header.Each(func(name, value string) { header[name] = []string{value} })
	return &nats.Msg{Subject: e.Subject, Header: header, Data: e.Data}
}
