package ledger

import "context"

// Vault keeps the secrets that personal data is sealed with, each under a name, apart from the ledger, which forgets
// nothing. ledger/jetstream implements it on NATS JetStream, ledger/ledgertest in memory; both pass
// ledgertest.VaultConformance.
type Vault interface {
	// Secret returns what is kept under a name and its revision, nil and 0 when nothing is. It is never behind.
	Secret(ctx context.Context, name string) (value []byte, revision uint64, err error)

	// Keep keeps value under a name if after is the revision of what is there (0: nothing is); else it fails with
	// ErrConflict. When it returns, value is durable and what was there is destroyed.
	Keep(ctx context.Context, name string, value []byte, after uint64) (revision uint64, err error)

	// Scrub destroys what a Keep that was cut short has left of former values.
	Scrub(ctx context.Context, name string) error
}
