package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
)

// VaultStream is the stream of the secrets that personal data is sealed with.
const VaultStream = "VAULT"

const vaultPrefix = "vault."

// vaultConfig is the stream of the vault: one subject for each name. It is no bucket, as a message of a bucket cannot be
// overwritten, and what a bucket replaces stays in its files until the server comes to clean up.
func vaultConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              VaultStream,
		Description:       "Sealed secrets of personal data. What is replaced is destroyed.",
		Subjects:          []string{vaultPrefix + "*"},
		Storage:           jetstream.FileStorage,
		Replicas:          o.Replicas,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicates,
		DenyPurge:         true,
	}
}

// checkVault refuses a stream that would lose secrets, or could not destroy them, naming the field.
func checkVault(stored *jetstream.StreamConfig) error {
	for _, f := range []field{
		{"storage", stored.Storage == jetstream.FileStorage, stored.Storage, jetstream.FileStorage},
		{"retention", stored.Retention == jetstream.LimitsPolicy, stored.Retention, jetstream.LimitsPolicy},
		{"max_msgs", stored.MaxMsgs <= 0, stored.MaxMsgs, "unset"},
		{"max_bytes", stored.MaxBytes <= 0, stored.MaxBytes, "unset"},
		{"max_age", stored.MaxAge == 0, stored.MaxAge, "unset"},
		{"max_msgs_per_subject", stored.MaxMsgsPerSubject <= 0, stored.MaxMsgsPerSubject, "unset"},
		{"deny_delete", !stored.DenyDelete, stored.DenyDelete, false},
		{"compression", stored.Compression == jetstream.NoCompression, stored.Compression, jetstream.NoCompression},
	} {
		if !f.ok {
			return fmt.Errorf("jetstream: stream %s: %s is %v, the vault needs %v", VaultStream, f.name, f.stored, f.need)
		}
	}
	return nil
}

// openVault makes or checks the stream.
func (l *Log) openVault(ctx, patience context.Context) (err error) {
	if l.vault, err = ensureStream(ctx, patience, l.js, vaultConfig(&l.options)); err != nil {
		return err
	}
	return checkVault(&l.vault.CachedInfo().Config)
}

// Secret implements ledger.Vault. The leader answers.
func (l *Log) Secret(ctx context.Context, name string) ([]byte, uint64, error) {
	m, err := l.lastSecret(ctx, vaultPrefix+ledger.SecretPlace(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, requestError(ctx, err)
	}
	return m.Data, m.Sequence, nil
}

// Keep implements ledger.Vault.
func (l *Log) Keep(ctx context.Context, name string, value []byte, after uint64) (uint64, error) {
	revision, err := l.keepAt(ctx, ledger.SecretPlace(name), value, after)
	if err != nil || after == 0 {
		return revision, err
	}
	return revision, l.scrub(ctx, ledger.SecretPlace(name), revision)
}

// keepAt stores a value; what it replaces is still there.
func (l *Log) keepAt(ctx context.Context, place string, value []byte, after uint64) (uint64, error) {
	if err := l.writable(); err != nil {
		return 0, err
	}
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	ack, err := l.js.Publish(limited, vaultPrefix+place, value,
		jetstream.WithExpectStream(VaultStream), jetstream.WithExpectLastSequencePerSubject(after))
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == codeWrongSequence || api.ErrorCode == codeGuardInFlight) {
		return 0, fmt.Errorf("%w: %w", ledger.ErrConflict, err)
	}
	if err != nil {
		return 0, requestError(ctx, err)
	}
	return ack.Sequence, nil
}

// Secrets implements ledger.Vault. The leader answers.
func (l *Log) Secrets(ctx context.Context, after uint64, limit int) (list []ledger.KeptSecret, err error) {
	for len(list) < limit {
		m, err := l.nextSecret(ctx, after+1)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return list, nil
		}
		if err != nil {
			return nil, requestError(ctx, err)
		}
		after = m.Sequence
		last, err := l.lastSecret(ctx, m.Subject)
		if err != nil {
			return nil, requestError(ctx, err)
		}
		if last.Sequence == m.Sequence { // else it is to be destroyed
			place := strings.TrimPrefix(m.Subject, vaultPrefix)
			list = append(list, ledger.KeptSecret{Place: place, Value: m.Data, Revision: m.Sequence})
		}
	}
	return list, nil
}

func (l *Log) nextSecret(ctx context.Context, from uint64) (*jetstream.RawStreamMsg, error) {
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return l.vault.GetMsg(limited, from, jetstream.WithGetMsgSubject(vaultPrefix+"*"))
}

func (l *Log) lastSecret(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return l.vault.GetLastMsgForSubject(limited, subject)
}

// RestoreSecret keeps a secret of another vault, in the place of what is there.
func (l *Log) RestoreSecret(ctx context.Context, place string, value []byte) error {
	there, err := l.lastSecret(ctx, vaultPrefix+place)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		_, err = l.keepAt(ctx, place, value, 0)
		return err
	case err != nil:
		return requestError(ctx, err)
	case bytes.Equal(there.Data, value):
		return nil
	}
	revision, err := l.keepAt(ctx, place, value, there.Sequence)
	if err != nil {
		return err
	}
	return l.scrub(ctx, place, revision)
}

// Scrub implements ledger.Vault.
func (l *Log) Scrub(ctx context.Context, name string) error {
	_, last, err := l.Secret(ctx, name)
	if err != nil || last == 0 {
		return err
	}
	return l.scrub(ctx, ledger.SecretPlace(name), last)
}

// scrub overwrites what was kept at a place before a revision.
func (l *Log) scrub(ctx context.Context, place string, last uint64) error {
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for from := uint64(1); from < last; {
		m, err := l.vault.GetMsg(limited, from, jetstream.WithGetMsgSubject(vaultPrefix+place))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence >= last {
			return nil
		}
		if err != nil {
			return requestError(ctx, err)
		}
		if err := l.vault.SecureDeleteMsg(limited, m.Sequence); err != nil {
			// Another node may have been faster.
			if _, gone := l.vault.GetMsg(limited, m.Sequence); !errors.Is(gone, jetstream.ErrMsgNotFound) {
				return requestError(ctx, err)
			}
		}
		from = m.Sequence + 1
	}
	return nil
}
