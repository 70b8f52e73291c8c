package main

import (
	"context"
	"errors"

	"keyledger/ledger"
	"keyledger/ledger/audit"
)

// fileVault are the secrets of personal data in an export, by their places. It is only read.
type fileVault map[string][]byte

var _ ledger.Vault = fileVault{}

// Secret implements ledger.Vault.
func (v fileVault) Secret(_ context.Context, name string) (value []byte, revision uint64, err error) {
	value, ok := v[ledger.SecretPlace(name)]
	if ok {
		revision = 1
	}
	return value, revision, nil
}

// Keep implements ledger.Vault.
func (fileVault) Keep(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, errors.New("an export is not changed")
}

// Secrets implements ledger.Vault.
func (fileVault) Secrets(context.Context, uint64, int) ([]ledger.KeptSecret, error) { return nil, nil }

// Scrub implements ledger.Vault.
func (fileVault) Scrub(context.Context, string) error { return nil }

// openKeys gives what opens the personal data in an export: the secrets in it, opened with that of the nodes.
func openKeys(ctx context.Context, name, secret string) (*ledger.Personal, error) {
	file, err := openExport(name, nil)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, err := audit.NewReader(file)
	if err != nil {
		return nil, err
	}
	vault := fileVault{}
	reader.OnSecret(func(s audit.Secret) error { vault[s.Place] = s.Value; return nil })
	for _, err := range reader.Records() {
		if errors.Is(err, audit.ErrInterrupted) {
			break // which is found later
		}
		if err != nil {
			return nil, err
		}
	}
	keys, err := ledger.NewPersonal([]byte(secret))
	if err != nil {
		return nil, err
	}
	return keys, keys.Use(ctx, vault)
}
