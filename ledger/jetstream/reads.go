package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
)

// readsConfig is the stream of recorded reads. Only their age bounds them.
func readsConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              ReadsStream,
		Description:       "What was read through the API. Old batches age out.",
		Subjects:          []string{events.ReadSubject},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Replicas:          o.Replicas,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		MaxAge:            o.Reads,
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicates,
		DenyDelete:        true,
		DenyPurge:         true,
		AllowDirect:       true,
	}
}

// ensureReads makes the stream of reads, if reads are recorded, or checks the one there is, and gives it the retention that
// is asked for.
func (l *Log) ensureReads(ctx, patience context.Context) error {
	if l.options.Reads == 0 {
		return nil
	}
	needed := readsConfig(&l.options)
	stream, err := ensureStream(ctx, patience, l.js, needed)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	for _, f := range readsFields(&info.Config, &needed) {
		if !f.ok {
			return fmt.Errorf("jetstream: stream %s: %s is %v, the audit of reads needs %v", ReadsStream, f.name, f.stored, f.need)
		}
	}
	if info.Config.MaxAge == needed.MaxAge {
		return nil
	}
	changed := info.Config
	changed.MaxAge = needed.MaxAge
	if _, err := l.js.UpdateStream(ctx, changed); err != nil {
		return fmt.Errorf("jetstream: stream %s: retention: %w", ReadsStream, err)
	}
	return nil
}

// readsFields compares the settings that matter, but for the retention.
func readsFields(stored, needed *jetstream.StreamConfig) []field {
	kept := map[string]bool{
		"subjects": true, "storage": true, "retention": true, "num_replicas": true, "max_msgs": true, "max_bytes": true,
		"max_msgs_per_subject": true, "max_msg_size": true, "discard": true, "persist_mode": true, "no_ack": true,
		"allow_rollup_hdrs": true, "deny_delete": true, "deny_purge": true, "allow_direct": true, "sealed": true, "mirror": true,
		"sources": true, "subject_transform": true,
	}
	var fields []field
	for _, f := range ledgerFields(stored, needed) {
		if kept[f.name] {
			fields = append(fields, f)
		}
	}
	return fields
}

// AppendReads implements ledger.ReadLog. The id of the message follows from the batch: a repeat within the stream's duplicate
// window is not stored again.
func (l *Log) AppendReads(ctx context.Context, data []byte) error {
	if err := l.writable(); err != nil {
		return err
	}
	id := sha256.Sum256(data)
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := l.nc.RequestMsgWithContext(limited, &nats.Msg{
		Subject: events.ReadSubject, Header: nats.Header{nats.MsgIdHdr: {hex.EncodeToString(id[:16])}}, Data: data,
	})
	if err != nil {
		return requestError(ctx, err)
	}
	if _, err := parseAck(m); err != nil {
		return unavailable(err)
	}
	return nil
}

// LastReads implements ledger.ReadLog. The leader answers.
func (l *Log) LastReads(ctx context.Context) (uint64, error) {
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := l.js.Stream(limited, ReadsStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, requestError(ctx, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// ReadBatches implements ledger.ReadLog. Any replica answers: what was stored a moment ago may not be there yet.
func (l *Log) ReadBatches(ctx context.Context, from uint64, limit int) (list []ledger.ReadBatch, err error) {
	if last, err := l.LastReads(ctx); err != nil || last < from {
		return nil, err
	}
	for more := true; more && len(list) < limit; {
		before := len(list)
		request := getRequest{Sequence: max(from, 1), Next: events.ReadSubject, Batch: limit - before}
		more, err = l.directBatch(ctx, apiDirectGetReads, request, func(m *nats.Msg) error {
			b, err := readBatch(m)
			if err == nil {
				list = append(list, b)
			}
			return err
		})
		if errors.Is(err, errNoMessage) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if len(list) == before {
			break
		}
		from = list[len(list)-1].Sequence + 1
	}
	return list, nil
}

// apiDirectGetReads is asked for messages of the stream of reads.
const apiDirectGetReads = "$JS.API.DIRECT.GET." + ReadsStream

// readBatch is the batch in the answer to a direct get.
func readBatch(m *nats.Msg) (b ledger.ReadBatch, err error) {
	if b.Sequence, err = directSequence(m); err != nil {
		return b, err
	}
	if b.StoredAt, err = time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp")); err != nil {
		return b, fmt.Errorf("jetstream: direct get: time: %w", err)
	}
	b.Data = m.Data
	return b, nil
}
