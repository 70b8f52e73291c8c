package webhooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"keyledger/ledger"
)

// Network is the part of the world in which endpoints may be. Whoever may create one can make the server send requests:
// not to what only the server can reach.
type Network struct {
	// Private allows every address. Else only those that are globally reachable are allowed.
	Private bool
	// Lookup resolves a host name; nil: the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Times of connecting.
const (
	lookupTime  = 3 * time.Second
	connectTime = 5 * time.Second
)

var errForbidden = errors.New("webhooks: the address is not allowed")

// Policy is what the ledger demands of the URL of an endpoint.
func (n *Network) Policy() ledger.WebhookPolicy {
	return ledger.WebhookPolicy{Plain: n.Private, Target: n.Check}
}

// Check refuses a URL whose host has an address that is not allowed now. One that cannot be resolved now passes: what it
// is connected to counts, and is checked then.
func (n *Network) Check(ctx context.Context, raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	addresses, err := n.resolve(ctx, u.Hostname())
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	for _, a := range addresses {
		if !n.allows(a) {
			return &ledger.Error{Code: ledger.CodeInvalid, Field: "url", Detail: "must not lead to a private or reserved address"}
		}
	}
	return nil
}

func (n *Network) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	if n.Lookup != nil {
		return n.Lookup(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// dial connects to the first address of a host that answers. What was resolved is what is connected to, and the socket's
// own address is checked once more.
func (n *Network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := n.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: connectTime, Control: n.control}
	last := fmt.Errorf("webhooks: %s has no address", host)
	for _, a := range addresses {
		var conn net.Conn
		if conn, last = dialer.DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port)); last == nil {
			return conn, nil
		}
	}
	return nil, last
}

// control refuses a socket that is about to be connected to what is not allowed.
func (n *Network) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !n.allows(to.Addr()) {
		return errForbidden
	}
	return nil
}

func (n *Network) allows(a netip.Addr) bool { return n.Private || isGlobal(a) }

// isGlobal tells whether an address is globally reachable, by the registries of special-purpose addresses (RFC 6890, as
// of 2026). Addresses that lead to another one in them are not.
func isGlobal(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || a.IsPrivate() || !a.IsGlobalUnicast() {
		return false
	}
	for _, reserved := range [...]string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		if netip.MustParsePrefix(reserved).Contains(a) {
			return false
		}
	}
	return a.Is4() || netip.MustParsePrefix("2000::/3").Contains(a)
}
