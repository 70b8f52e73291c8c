package main

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"net"
	"net/netip"
	"slices"

	"keyledger/handlers"
	"keyledger/handlers/agentex"
)

func (n *node) mountAgentex(api *handlers.Server) error {
	secret, err := hkdf.Key(sha256.New, []byte(n.secret), nil, "keyledger agentex internal keys", 32)
	if err != nil {
		return err
	}
	open := n.config.agentexOpen
	routes, err := agentex.Routes(agentex.Config{Service: n.service, Secret: secret, Open: open})
	if err != nil {
		return err
	}
	if open {
		n.log.Warn("whoever reaches this port from this machine manages the keys of Agentex's agents without a token (--agentex-open)")
	}
	return api.Mount(routes, agentex.Render)
}

// checkAgentex refuses to open Agentex's routes where others than the users of this machine might come in.
func (c *config) checkAgentex() error {
	if !c.agentexOpen {
		return nil
	}
	host, _, _ := net.SplitHostPort(c.http) // checkAddresses tells of an error
	ip, err := netip.ParseAddr(host)
	return errors.Join(
		needs(slices.Contains(c.dialectList, "agentex"), "--agentex-open: --dialects leaves agentex out"),
		needs(host == "localhost" || err == nil && ip.IsLoopback(), "--agentex-open: needs --http on loopback, such as 127.0.0.1:8080"),
		needs(len(c.trusted) == 0, "--agentex-open: not behind a proxy, so not with --trusted-proxies"),
	)
}
