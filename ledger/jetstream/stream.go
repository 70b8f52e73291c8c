package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
)

// Names of what is stored in JetStream.
const (
	LedgerStream   = "LEDGER"
	UsageStream    = "USAGE"
	HeadsStream    = "HEADS"
	ReadsStream    = "READS"
	DeliveryStream = "DELIVERIES"
	MemoBucket     = "MEMO"
)

// ErrFingerprint is what Open fails with when the stream was made with another Options.Fingerprint.
var ErrFingerprint = errors.New("jetstream: another fingerprint")

// metadataFingerprint is where the stream keeps Options.Fingerprint.
const metadataFingerprint = "keyledger.fingerprint"

// duplicates is how long the server remembers event ids. It is a help, never the guarantee, which the guards are: each
// id costs the server some 130 bytes for this time, and the messages of this time are read at its start.
const duplicates = 10 * time.Second

// maxDuplicates is the longest such time that is accepted of a stream.
const maxDuplicates = 2 * time.Minute

// ledgerConfig is what the stream of the ledger must be.
func ledgerConfig(o *Options) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:               LedgerStream,
		Description:        "Every change of every key. Append only.",
		Subjects:           []string{events.KeySubjects, events.ClaimSubjects},
		Storage:            jetstream.FileStorage,
		Retention:          jetstream.LimitsPolicy,
		Replicas:           o.Replicas,
		MaxMsgs:            -1,
		MaxBytes:           -1,
		MaxMsgsPerSubject:  -1,
		MaxMsgSize:         -1,
		Discard:            jetstream.DiscardNew,
		Duplicates:         duplicates,
		DenyDelete:         true,
		DenyPurge:          true,
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
	if o.Fingerprint != "" {
		c.Metadata = map[string]string{metadataFingerprint: o.Fingerprint}
	}
	return c
}

// usageConfig is the stream of uses: the oldest go first when it is full.
func usageConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        UsageStream,
		Description: "Uses of keys, coalesced. The oldest are dropped.",
		Subjects:    []string{events.UsageSubject},
		Storage:     jetstream.FileStorage,
		Replicas:    o.Replicas,
		MaxBytes:    o.UsageBytes,
		Discard:     jetstream.DiscardOld,
		Duplicates:  duplicates,
		AllowDirect: true,
	}
}

// deliveryConfig is the stream of notes of deliveries: the last of each, for a month.
func deliveryConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              DeliveryStream,
		Description:       "What became of deliveries to webhooks.",
		Subjects:          []string{deliveryPrefix + "*.*"},
		Storage:           jetstream.FileStorage,
		Replicas:          o.Replicas,
		MaxBytes:          o.DeliveryBytes,
		MaxAge:            30 * 24 * time.Hour,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardOld,
		Duplicates:        duplicates,
		AllowDirect:       true,
	}
}

// memoConfig is the bucket of Memo.
func memoConfig(o *Options) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:      MemoBucket,
		Description: "Sealed answers of idempotent requests, for a day.",
		TTL:         24 * time.Hour,
		MaxBytes:    o.MemoBytes,
		Storage:     jetstream.FileStorage,
		Replicas:    o.Replicas,
	}
}

// ensureStream makes the stream or gives the one there is. It tries until ctx ends: a cluster may still be electing.
// Servers that it lacks it awaits until patience ends.
func ensureStream(ctx, patience context.Context, js jetstream.JetStream, c jetstream.StreamConfig) (s jetstream.Stream, err error) {
	err = persist(ctx, patience, func(ctx context.Context) error {
		s, err = js.Stream(ctx, c.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			s, err = js.CreateStream(ctx, c)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("jetstream: stream %s: %w", c.Name, err)
	}
	return s, nil
}

// makeTimeout bounds one attempt to make a stream or a bucket: a request whose leader changes is not answered.
const makeTimeout = 2 * time.Second

// peersTimeout is how long the start of a node waits for servers of an external cluster that a stream needs, and that may
// still be starting themselves.
const peersTimeout = 10 * time.Second

// persist repeats what may succeed when it is repeated until ctx ends, and what lacks servers until patience ends.
func persist(ctx, patience context.Context, do func(context.Context) error) error {
	for {
		limited, cancel := context.WithTimeout(ctx, makeTimeout)
		err := do(limited)
		cancel()
		if err == nil || !transient(err) && (patience.Err() != nil || !lacksPeers(err)) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// transient tells that a request may succeed when it is repeated.
func transient(err error) bool {
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrDisconnected) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code == 503 && api.ErrorCode != 10047 && api.ErrorCode != 10023
}

// lacksPeers tells that a stream was not made because too few servers are there (yet), or that not all of them know of it.
func lacksPeers(err error) bool {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeNoPeers || api.ErrorCode == codeNoResources)
}

// checkLedger refuses a stored configuration that promises less than ours, naming the field.
func checkLedger(stored, needed *jetstream.StreamConfig) error {
	for _, f := range ledgerFields(stored, needed) {
		if !f.ok {
			return fmt.Errorf("jetstream: stream %s: %s is %v, the ledger needs %v", stored.Name, f.name, f.stored, f.need)
		}
	}
	if need := needed.Metadata[metadataFingerprint]; need != "" && stored.Metadata[metadataFingerprint] != need {
		return fmt.Errorf("%w: stream %s: metadata %s is %q, the ledger needs %q",
			ErrFingerprint, stored.Name, metadataFingerprint, stored.Metadata[metadataFingerprint], need)
	}
	return nil
}

// field is one setting of a stream.
type field struct {
	name         string
	ok           bool
	stored, need any
}

// ledgerFields compares the settings that matter. One that implies another comes before it.
func ledgerFields(stored, needed *jetstream.StreamConfig) []field {
	same := func(name string, stored, need any) field { return field{name, stored == need, stored, need} }
	unset := func(name string, isUnset bool, stored any) field { return field{name, isUnset, stored, "unset"} }
	return []field{
		{"subjects", equalSets(stored.Subjects, needed.Subjects), stored.Subjects, needed.Subjects},
		same("storage", stored.Storage, needed.Storage),
		same("retention", stored.Retention, needed.Retention),
		{"num_replicas", stored.Replicas >= needed.Replicas, stored.Replicas, fmt.Sprintf("at least %d", needed.Replicas)},
		unset("max_msgs", stored.MaxMsgs <= 0, stored.MaxMsgs),
		unset("max_bytes", stored.MaxBytes <= 0, stored.MaxBytes),
		unset("max_age", stored.MaxAge == 0, stored.MaxAge),
		unset("max_msgs_per_subject", stored.MaxMsgsPerSubject <= 0, stored.MaxMsgsPerSubject),
		unset("max_msg_size", stored.MaxMsgSize <= 0, stored.MaxMsgSize),
		same("discard", stored.Discard, needed.Discard),
		same("discard_new_per_subject", stored.DiscardNewPerSubject, false),
		{"duplicate_window", stored.Duplicates <= maxDuplicates, stored.Duplicates, fmt.Sprintf("at most %v", maxDuplicates)},
		same("persist_mode", stored.PersistMode, jetstream.DefaultPersistMode),
		same("no_ack", stored.NoAck, false),
		same("allow_rollup_hdrs", stored.AllowRollup, false),
		same("deny_delete", stored.DenyDelete, true),
		same("deny_purge", stored.DenyPurge, true),
		same("allow_atomic", stored.AllowAtomicPublish, true),
		same("allow_direct", stored.AllowDirect, true),
		same("allow_msg_ttl", stored.AllowMsgTTL, false),
		same("allow_msg_counter", stored.AllowMsgCounter, false),
		same("allow_msg_schedules", stored.AllowMsgSchedules, false),
		unset("subject_delete_marker_ttl", stored.SubjectDeleteMarkerTTL == 0, stored.SubjectDeleteMarkerTTL),
		same("compression", stored.Compression, jetstream.NoCompression),
		same("sealed", stored.Sealed, false),
		unset("first_seq", stored.FirstSeq <= 1, stored.FirstSeq),
		unset("mirror", stored.Mirror == nil, stored.Mirror),
		unset("sources", len(stored.Sources) == 0, stored.Sources),
		unset("subject_transform", stored.SubjectTransform == nil, stored.SubjectTransform),
		unset("republish", stored.RePublish == nil, stored.RePublish),
		unset("consumer_limits", stored.ConsumerLimits == jetstream.StreamConsumerLimits{}, stored.ConsumerLimits),
	}
}

// equalSets tells that two lists without repeats hold the same strings.
func equalSets(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// checkWhole refuses a stream that lost messages: an append-only stream without limits counts from 1 without holes.
func checkWhole(s *jetstream.StreamState) error {
	if s.NumDeleted > 0 {
		return fmt.Errorf("%w: stream %s has %d deleted messages", ledger.ErrGap, LedgerStream, s.NumDeleted)
	}
	if s.Msgs > 0 && s.FirstSeq != 1 {
		return fmt.Errorf("%w: stream %s begins at %d", ledger.ErrGap, LedgerStream, s.FirstSeq)
	}
	if s.Msgs != s.LastSeq {
		return fmt.Errorf("%w: stream %s has %d messages up to sequence %d", ledger.ErrGap, LedgerStream, s.Msgs, s.LastSeq)
	}
	return nil
}
