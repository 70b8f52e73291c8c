package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
)

// headsConfig is the stream of tree heads. Of each day the last one stays, for ever: that is some 250 bytes a day, and any
// earlier head can be held against a later one.
func headsConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              HeadsStream,
		Description:       "Signed heads of the tree over the ledger, the last one of each day.",
		Subjects:          []string{events.HeadSubjects},
		Storage:           jetstream.FileStorage,
		Replicas:          o.Replicas,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardOld,
		Duplicates:        duplicates,
		DenyDelete:        true,
		DenyPurge:         true,
		AllowDirect:       true,
	}
}

// AppendHead implements ledger.HeadLog.
func (l *Log) AppendHead(ctx context.Context, note []byte, after uint64) (uint64, error) {
	if err := l.writable(); err != nil {
		return 0, err
	}
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	ack, err := l.js.Publish(limited, events.HeadSubject(time.Now()), note,
		jetstream.WithExpectStream(HeadsStream), jetstream.WithExpectLastSequence(after))
	if err == nil {
		return ack.Sequence, nil
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == codeWrongSequence || api.ErrorCode == codeGuardInFlight) {
		return 0, fmt.Errorf("%w: %w", ledger.ErrConflict, err)
	}
	return 0, requestError(ctx, err)
}

// LastHead implements ledger.HeadLog. The leader answers.
func (l *Log) LastHead(ctx context.Context) ([]byte, uint64, error) {
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := l.js.Stream(limited, HeadsStream)
	if err != nil {
		return nil, 0, requestError(ctx, err)
	}
	last := stream.CachedInfo().State.LastSeq
	if last == 0 {
		return nil, 0, nil
	}
	m, err := stream.GetLastMsgForSubject(limited, events.HeadSubjects)
	if err != nil {
		return nil, 0, requestError(ctx, err)
	}
	return m.Data, m.Sequence, nil
}
