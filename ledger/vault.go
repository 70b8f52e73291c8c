package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Vault keeps the secrets that personal data is sealed with, each under a name, apart from the ledger, which forgets
// nothing. ledger/jetstream implements it on NATS JetStream, ledger/ledgertest in memory; both pass
// ledgertest.VaultConformance.
type Vault interface {
	// Secret returns what is kept under a name and its revision, nil and 0 when nothing is. It is never behind.
	Secret(ctx context.Context, name string) (value []byte, revision uint64, err error)

	// Keep keeps value under a name if after is the revision of what is there (0: nothing is); else it fails with
	// ErrConflict. When it returns, value is durable and what was there is destroyed.
	Keep(ctx context.Context, name string, value []byte, after uint64) (revision uint64, err error)

	// Secrets returns up to limit of what is kept, in the order of the revisions, from the first revision after the given one
	// on. What was replaced is not there, even where a Keep that was cut short has left it.
	Secrets(ctx context.Context, after uint64, limit int) ([]KeptSecret, error)

	// Scrub destroys what a Keep that was cut short has left of former values.
	Scrub(ctx context.Context, name string) error
}

// KeptSecret is a value of a Vault, and where it is kept.
type KeptSecret struct {
	Place    string // SecretPlace of its name
	Value    []byte
	Revision uint64
}

// SecretPlace is where a Vault keeps what has a name: its SHA-256 in lower-case hex. A name may hold any bytes.
func SecretPlace(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// SecretPage is a page of secrets, and more may come after the revision Next. It may be empty and still have a next one.
type SecretPage struct {
	Secrets []KeptSecret
	Next    uint64
	More    bool
}

// Secrets returns a page of up to limit of the secrets that personal data is sealed with, from the first revision after the
// given one on, for a backup: scope ledger:audit, and a principal without an owner. Each is sealed with a key that follows from
// the secret of the nodes. All of them are whole when they are read from revision 0 on to the last page: what a piece leads to
// is kept before the piece is replaced. Up to where erasures are carried out is not among them: it is of this vault.
func (s *Service) Secrets(ctx context.Context, p *Principal, after uint64, limit int) (page SecretPage, err error) {
	if err := Allow(p, ScopeAudit, &Owner{}); err != nil {
		return page, forbidden("the secrets of personal data need the scope %s and a key without an owner", ScopeAudit)
	}
	if err := s.holds(ctx, p, ScopeAudit); err != nil {
		return page, err
	}
	if err := checkLimit(limit); err != nil {
		return page, err
	}
	if s.personal == nil {
		return page, nil
	}
	list, err := s.personal.vault.Secrets(ctx, after, limit)
	if err != nil {
		return page, failed(err)
	}
	if page.More = len(list) == limit; page.More {
		page.Next = list[limit-1].Revision
	}
	page.Secrets = slices.DeleteFunc(list, func(k KeptSecret) bool { return k.Place == SecretPlace(destroyed) })
	return page, nil
}
