package main

import (
	"keyledger/handlers"
	"keyledger/handlers/honcho"
)

// honchoSecretLeast is what a secret of HS256 should have, in bytes (RFC 7518 section 3.2). Honcho itself takes any.
const honchoSecretLeast = 32

func (n *node) mountHoncho(api *handlers.Server) error {
	secret := n.config.honchoSecret
	if secret != "" && len(secret) < honchoSecretLeast {
		n.log.Warn("the Honcho JWT secret is short: whoever has one key of it may be able to guess it, and to make keys",
			"bytes", len(secret), "least", honchoSecretLeast)
	}
	return api.Mount(honcho.Routes(honcho.Config{Service: n.service, Secret: []byte(secret)}), honcho.Render)
}
