package main

import (
	"context"

	"keyledger/ledger/jetstream"
)

// admit lets holders of keys subscribe over NATS. It comes when the views are caught up: before, a revoked key could be
// let in.
func (n *node) admit(context.Context) error {
	subscribers, err := n.newSubscribers()
	if err != nil || subscribers == nil {
		return err
	}
	n.background("let no subscribers in", subscribers.Run)
	if n.server == nil {
		return nil
	}
	scheme := "nats"
	if n.certificate != nil {
		scheme = "tls"
	}
	n.natsURL = scheme + "://" + reachable(n.server.Addr())
	return n.announce("nats.addr", n.server.Addr())
}

// newSubscribers opens the embedded or the external NATS to subscribers, or gives nil if neither is configured.
func (n *node) newSubscribers() (*jetstream.Subscribers, error) {
	c := n.config
	switch {
	case c.natsListen != "":
		return n.server.Admit(n.nats, n.service)
	case c.calloutSeed == "":
		return nil, nil
	}
	return jetstream.Callout(n.nats, n.service, jetstream.CalloutOptions{
		Seed: c.calloutSeed, Account: c.calloutAccount, System: n.system, Log: n.log,
	})
}
