package ledger

import (
	"context"

	"github.com/google/uuid"
)

// Reveal returns a key with its token once more, where that is the token which mint makes of the id alone: its random
// bits are zero here. It appends nothing. The caller gets to know a secret, so it takes what the creation of the key
// takes: scope ledger:keys:create, the scopes of the ledger that the key has, and no earlier expiry (CodeForbidden). A
// revoked key is CodeConflict, and so is one with another token, that was brought or came by a rotation.
func (s *Service) Reveal(ctx context.Context, p *Principal, id uuid.UUID, mint Mint) (Issued, error) {
	k, err := s.find(ctx, p, ScopeCreate, id)
	if err != nil {
		return Issued{}, err
	}
	if err := p.grantScopes(k.Scopes); err != nil {
		return Issued{}, err
	}
	if err := p.grantExpiry(k.ExpiresAt); err != nil {
		return Issued{}, err
	}
	if !k.RevokedAt.IsZero() {
		return Issued{}, conflict("the key is revoked")
	}
	text, err := mint(id, [32]byte{})
	if err != nil {
		return Issued{}, failed(err)
	}
	token := NewSecret(text)
	if token.Digest() != k.Digest {
		return Issued{}, conflict("the key has another token")
	}
	return Issued{Key: k, Token: token}, nil
}
