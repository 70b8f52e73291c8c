package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// Log is a ledger.Log, a ledger.UsageLog, a ledger.HeadLog, a ledger.ReadLog, a ledger.Memo, a ledger.Vault and a ledger.Queue in memory, for tests. It is safe
// for concurrent use.
type Log struct {
	mu       sync.Mutex
	messages []events.Message     // message n has sequence n+1
	last     map[string]uint64    // sequence of the last message of a subject
	ids      map[uuid.UUID]uint64 // sequence of an event
	lost     map[uint64]bool
	usage    [][]byte
	heads    [][]byte
	reads    []ledger.ReadBatch
	memo     map[string]memoValue
	vault    map[string]memoValue
	revision uint64 // of the last change of the memo
	queues   map[uuid.UUID]*queue
	notes    uint64 // that were made
	moved    chan struct{}
	down     bool
	hook     func(ctx context.Context, op Op) Fault
}

// NewLog gives an empty Log.
func NewLog() *Log {
	return &Log{
		last:   make(map[string]uint64),
		ids:    make(map[uuid.UUID]uint64),
		lost:   make(map[uint64]bool),
		memo:   make(map[string]memoValue),
		vault:  make(map[string]memoValue),
		queues: make(map[uuid.UUID]*queue),
		moved:  make(chan struct{}),
	}
}

// Len is how many messages are stored.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.messages)
}

// Append implements ledger.Log.
func (l *Log) Append(ctx context.Context, entries ...ledger.Entry) (sequence uint64, err error) {
	err = l.call(ctx, OpAppend, func() error {
		sequence, err = l.append(entries)
		return err
	})
	if err != nil {
		return 0, err
	}
	return sequence, nil
}

func (l *Log) append(entries []ledger.Entry) (uint64, error) {
	if err := distinct(entries); err != nil {
		return 0, err
	}
	known := 0
	for i := range entries {
		if l.ids[entries[i].Message.ID] != 0 {
			known++
		}
	}
	if known == len(entries) {
		return l.ids[entries[known-1].Message.ID], nil
	}
	for i := range entries {
		if known > 0 || l.last[entries[i].Message.Subject] != entries[i].Expect {
			return 0, ledger.ErrConflict
		}
	}
	for i := range entries {
		m := entries[i].Message
		m.Data = bytes.Clone(m.Data)
		m.Sequence = uint64(len(l.messages) + 1)
		l.messages = append(l.messages, m)
		l.last[m.Subject], l.ids[m.ID] = m.Sequence, m.Sequence
	}
	l.wake()
	return uint64(len(l.messages)), nil
}

// distinct refuses what no command may ask for.
func distinct(entries []ledger.Entry) error {
	subjects, ids := make(map[string]bool), make(map[uuid.UUID]bool)
	for i := range entries {
		subjects[entries[i].Message.Subject] = true
		ids[entries[i].Message.ID] = true
	}
	if len(entries) == 0 || len(subjects) < len(entries) || len(ids) < len(entries) {
		return errors.New("ledgertest: the entries of an append must have distinct subjects and event ids")
	}
	return nil
}

// wake tells the tails to look again. The lock is held.
func (l *Log) wake() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// Times and sizes of a tail.
const (
	heartbeat = 250 * time.Millisecond
	tailBatch = 256
)

// Tail implements ledger.Log.
func (l *Log) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	next := max(from, 1)
	for {
		var batch ledger.Batch
		var moved chan struct{}
		err := l.call(ctx, OpTail, func() (err error) {
			moved = l.moved
			batch, err = l.batch(next)
			return err
		})
		if err != nil {
			return err
		}
		if err := handle(batch); err != nil {
			return err
		}
		next += uint64(len(batch.Messages))
		if batch.Pending > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-time.After(heartbeat):
		}
	}
}

// batch is what a tail that has come to next hands over. The lock is held.
func (l *Log) batch(next uint64) (b ledger.Batch, err error) {
	stored := uint64(len(l.messages))
	if next > stored+1 {
		return b, fmt.Errorf("%w: it ends at %d, before %d", ledger.ErrGap, stored, next)
	}
	end := min(stored, next-1+tailBatch)
	for sequence := next; sequence <= end; sequence++ {
		if l.lost[sequence] {
			return b, fmt.Errorf("%w: message %d", ledger.ErrGap, sequence)
		}
	}
	return ledger.Batch{Messages: l.messages[next-1 : end : end], Pending: stored - end}, nil
}

// Read implements ledger.Log.
func (l *Log) Read(ctx context.Context, sequences ...uint64) (list []events.Message, err error) {
	err = l.call(ctx, OpRead, func() error {
		for _, sequence := range sequences {
			if sequence == 0 || sequence > uint64(len(l.messages)) || l.lost[sequence] {
				return fmt.Errorf("ledgertest: there is no message %d", sequence)
			}
			list = append(list, l.messages[sequence-1])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Scan implements ledger.Log.
func (l *Log) Scan(ctx context.Context, filter string, from uint64, limit int) (list []events.Message, err error) {
	err = l.call(ctx, OpScan, func() error {
		for i := max(from, 1) - 1; i < uint64(len(l.messages)) && len(list) < limit; i++ {
			if matches(filter, l.messages[i].Subject) {
				list = append(list, l.messages[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// matches tells whether a NATS subject filter selects a subject: "*" is any one token, ">" at the end is the rest.
func matches(filter, subject string) bool {
	want, have := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range want {
		if token == ">" && i == len(want)-1 {
			return len(have) > i
		}
		if i >= len(have) || token != "*" && token != have[i] {
			return false
		}
	}
	return len(have) == len(want)
}

// Last implements ledger.Log.
func (l *Log) Last(ctx context.Context) (sequence uint64, err error) {
	err = l.call(ctx, OpLast, func() error {
		sequence = uint64(len(l.messages))
		return nil
	})
	if err != nil {
		return 0, err
	}
	return sequence, nil
}

var (
	_ ledger.Log      = (*Log)(nil)
	_ ledger.UsageLog = (*Log)(nil)
	_ ledger.Memo     = (*Log)(nil)
	_ ledger.Vault    = (*Log)(nil)
)
