package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"keyledger/ledger"
)

// makeRoot makes the first root key of a new ledger. A token that is minted for it is on disk before the key exists:
// so a crash in between cannot lose the only way in.
func (n *node) makeRoot(ctx context.Context) error {
	roots, err := n.views.Roots(ctx)
	if err != nil {
		return err
	}
	if len(roots) > 0 {
		return n.checkRoot()
	}
	token, minted := n.config.rootToken, false
	if token == "" {
		if token, minted, err = n.folder.secret(rootTokenFile, n.mintRootToken); err != nil {
			return fmt.Errorf("root token: %w", err)
		}
	}
	_, made, err := n.service.Bootstrap(ctx, ledger.NewSecret(token))
	if err != nil {
		return fmt.Errorf("make the root key: %w", err)
	}
	switch {
	case made && n.config.rootToken == "":
		n.rootToken = token
	case minted && !made: // another node was faster
		return os.Remove(n.folder.file(rootTokenFile))
	}
	return nil
}

const rootTokenFile = "root.token"

func (n *node) mintRootToken() (string, error) {
	secret, err := ledger.MintToken(rand.Reader, n.config.tokenPrefix, ledger.Live)
	return secret.Reveal(), err
}

// checkRoot tells when the configured root token is not one, since the ledger had its root key before.
func (n *node) checkRoot() error {
	if n.config.rootToken == "" {
		return nil
	}
	key, _, ok, err := n.views.KeyByDigest(ledger.NewSecret(n.config.rootToken).Digest())
	if err != nil {
		return err
	}
	if !ok || !key.Scopes.Has(ledger.ScopeAll) {
		n.log.Warn("the configured root token is not that of a root key: it only counts at the first start of a ledger")
	}
	return nil
}
