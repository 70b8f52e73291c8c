package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyledger/events"
)

// Entry is one message of a commit with its guard.
type Entry struct {
	Message events.Message // Sequence is 0
	Expect  uint64         // sequence of the last message on the same subject; 0: there is none
}

// Batch is what a tail hands over: contiguous messages in sequence order. An empty batch is a heartbeat.
type Batch struct {
	Messages []events.Message // valid until the handler returns, and so is their Data
	Pending  uint64           // messages known to be stored after the last of these; 0: caught up
	AsOf     time.Time        // when no more than these and Pending were stored; zero: now
}

// Until is the messages of the batch up to a sequence.
func (b *Batch) Until(sequence uint64) []events.Message {
	n := len(b.Messages)
	for n > 0 && b.Messages[n-1].Sequence > sequence {
		n--
	}
	return b.Messages[:n]
}

// Errors of a Log, to be tested with errors.Is.
var (
	// ErrConflict: a guard did not hold; nothing was stored.
	ErrConflict = errors.New("ledger: the subject has moved on")
	// ErrOverloaded: the append queue is full; nothing was stored.
	ErrOverloaded = errors.New("ledger: the append queue is full")
	// ErrUnavailable: the log cannot be reached or has stopped taking writes. Whether the entries were stored is
	// unknown: an append that is repeated with the same event ids is settled, not stored twice.
	ErrUnavailable = errors.New("ledger: the log is unavailable")
	// ErrUnsettled is the ErrUnavailable of an append that was sent: the log did not say in time what became of it.
	ErrUnsettled = fmt.Errorf("%w: it did not say what became of an append", ErrUnavailable)
	// ErrGap: the log lost a message. It must not be served.
	ErrGap = errors.New("ledger: the log has a gap")
	// ErrDiverged: the log does not hold what it held when a head of its tree was signed, or when the State saw it. It must
	// not be served.
	ErrDiverged = errors.New("ledger: the log is not the one that was seen before")
)

// Log is the append-only log of the ledger. ledger/jetstream implements it on NATS JetStream, ledger/ledgertest in
// memory with faults; both pass ledgertest.Conformance.
type Log interface {
	// Append stores the entries of one command: all or none, contiguous, each only if its guard holds. It returns the
	// sequence of the last one when they are durable. Entries have distinct subjects and event ids. An append whose
	// answer was lost is settled by reading back: entries that are already stored with the same event ids are a
	// success with their first sequence numbers, also when other commands have followed on their subjects since. So
	// ErrConflict always says that nothing was stored.
	Append(ctx context.Context, entries ...Entry) (uint64, error)

	// Tail calls handle with every message from sequence from on, first those stored, then those to come, until ctx
	// ends or handle fails. While nothing comes it calls handle with an empty batch at least every second, as long as
	// the log is heard. It returns the error of ctx or of handle, or ErrGap when a sequence is missing, also when the log
	// ends before from-1.
	Tail(ctx context.Context, from uint64, handle func(Batch) error) error

	// Read returns the messages with these sequences, in their order. One that is not there is an error.
	Read(ctx context.Context, sequences ...uint64) ([]events.Message, error)

	// Scan returns up to limit messages on subjects matching filter, from sequence from on, in order.
	Scan(ctx context.Context, filter string, from uint64, limit int) ([]events.Message, error)

	// Last returns the sequence of the last stored message, 0 when there is none.
	Last(ctx context.Context) (uint64, error)
}

// UsageLog is the second log, for uses of keys. It may lose its last second in a crash.
type UsageLog interface {
	// AppendUsage stores one batch, encoded by events.EncodeUsage.
	AppendUsage(ctx context.Context, data []byte) error

	// TailUsage is Tail for usage batches. Gaps are allowed: old batches may have aged out.
	TailUsage(ctx context.Context, from uint64, handle func(sequence uint64, data []byte) error) error

	// LastUsage returns the sequence of the last stored batch, 0 when there is none.
	LastUsage(ctx context.Context) (uint64, error)
}

// HeadLog keeps the signed heads of the tree over the ledger: the last one, and the last one of each day.
type HeadLog interface {
	// AppendHead stores a head and returns its sequence, if after is that of the last one (0: there is none); else it
	// fails with ErrConflict.
	AppendHead(ctx context.Context, note []byte, after uint64) (uint64, error)

	// LastHead returns the last stored head and its sequence, nil and 0 when there is none.
	LastHead(ctx context.Context) (note []byte, sequence uint64, err error)
}

// ReadLog is the log of reads that are audited. It may lose its last second in a crash. Old batches age out.
type ReadLog interface {
	// AppendReads stores one batch, encoded by events.EncodeReads. The same one again, soon after, is not stored twice.
	AppendReads(ctx context.Context, data []byte) error

	// ReadBatches returns up to limit batches from sequence from on, in order. Gaps are allowed. There are none where reads
	// were never audited.
	ReadBatches(ctx context.Context, from uint64, limit int) ([]ReadBatch, error)

	// LastReads returns the sequence of the last stored batch, 0 when there is none.
	LastReads(ctx context.Context) (uint64, error)
}

// ReadBatch is a stored batch of reads.
type ReadBatch struct {
	Sequence uint64
	StoredAt time.Time // by the clock of the log
	Data     []byte
}

// Memo keeps small values for a day under a name, first writer wins: it carries the answers of idempotent requests.
type Memo interface {
	// Claim stores value under name if nothing is there and returns its revision; else it returns what is there.
	Claim(ctx context.Context, name string, value []byte) (existing []byte, revision uint64, err error)
	// Replace stores value if the revision is still the last one; else it fails with ErrConflict.
	Replace(ctx context.Context, name string, value []byte, revision uint64) (uint64, error)
	// Remove removes the value if the revision is still the last one.
	Remove(ctx context.Context, name string, revision uint64) error
}

// Reached waits until a log has a sequence, for as long as patience at most, and gives its last one: a new leader of a cluster
// may tell where its log ends before it has all that its followers have. It waits for a leader, too.
func Reached(ctx context.Context, log Log, sequence uint64, patience time.Duration) (last uint64, err error) {
	behind := fmt.Errorf("%w: it ends before %d", ErrUnavailable, sequence)
	err = patiently(ctx, patience, func() error {
		if last, err = log.Last(ctx); err == nil && last < sequence {
			return behind
		}
		return err
	})
	if errors.Is(err, behind) {
		err = nil
	}
	return last, err
}

// patiently does something again while it fails with ErrUnavailable, for as long as patience at most: a cluster that has just
// been started is still electing its leaders.
func patiently(ctx context.Context, patience time.Duration, do func() error) error {
	for began := time.Now(); ; {
		err := do()
		if !errors.Is(err, ErrUnavailable) || time.Since(began) >= patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
