package ledgertest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"testing"

	"keyledger/ledger"
)

// Secret implements ledger.Vault.
func (l *Log) Secret(ctx context.Context, name string) (value []byte, revision uint64, err error) {
	err = l.call(ctx, OpSecret, func() error {
		v := l.vault[name]
		value, revision = bytes.Clone(v.data), v.revision
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return value, revision, nil
}

// Keep implements ledger.Vault.
func (l *Log) Keep(ctx context.Context, name string, value []byte, after uint64) (revision uint64, err error) {
	err = l.call(ctx, OpKeep, func() error {
		if l.vault[name].revision != after {
			return ledger.ErrConflict
		}
		l.revision++
		revision = l.revision
		l.vault[name] = memoValue{data: bytes.Clone(value), revision: revision}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

// Secrets implements ledger.Vault.
func (l *Log) Secrets(ctx context.Context, after uint64, limit int) (list []ledger.KeptSecret, err error) {
	err = l.call(ctx, OpSecret, func() error {
		for name, v := range l.vault {
			if v.revision > after {
				list = append(list, ledger.KeptSecret{Place: ledger.SecretPlace(name), Value: bytes.Clone(v.data), Revision: v.revision})
			}
		}
		slices.SortFunc(list, func(a, b ledger.KeptSecret) int { return cmp.Compare(a.Revision, b.Revision) })
		list = list[:min(len(list), limit)]
		return nil
	})
	return list, err
}

// Scrub implements ledger.Vault: nothing is ever left here.
func (l *Log) Scrub(ctx context.Context, _ string) error {
	return l.call(ctx, OpScrub, func() error { return nil })
}

// LoseVault empties the vault.
func (l *Log) LoseVault() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.vault)
}

// Personal gives what seals personal data over a vault, as one node has it. All of a test have the same secret.
func Personal(t testing.TB, vault ledger.Vault) *ledger.Personal {
	t.Helper()
	p, err := ledger.NewPersonal([]byte("a secret of the tests, of the server"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Use(t.Context(), vault); err != nil {
		t.Fatal(err)
	}
	return p
}
