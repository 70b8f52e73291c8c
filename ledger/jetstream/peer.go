package jetstream

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// PeerOptions make the server of Embed a peer of a cluster.
type PeerOptions struct {
	// Cluster is the name of the cluster, the same at each peer.
	Cluster string
	// Node is the name of this peer: no other one has it, and it is the same at every start.
	Node string
	// Listen is host:port for the other peers.
	Listen string
	// Routes are host:port of the peers that the cluster begins with, the same at each of them. This one may be among them.
	Routes []string
	// Secret is shared by the peers. What they prove themselves to each other with follows from it.
	Secret []byte
}

const (
	// lameDuck is within what time the connections of subscribers are ended when a peer stops, lameDuckGrace what comes
	// before it.
	lameDuck      = 2 * time.Second
	lameDuckGrace = time.Second
	// routeRetries is how often a peer that gossip told of is tried: one that was restarted connects by itself.
	routeRetries = 10
)

// configure sets what makes a server a peer. A server without a client port takes no routes, so it gets one on loopback
// that nobody is told of, and the guard lets nobody in.
func (p *PeerOptions) configure(o *server.Options) error {
	host, port, err := splitAddress(p.Listen)
	if err != nil {
		return fmt.Errorf("jetstream: address for peers: %w", err)
	}
	identity, err := peerIdentity(p.Secret)
	if err != nil {
		return fmt.Errorf("jetstream: certificate for peers: %w", err)
	}
	o.ServerName = p.Node
	private := o.DontListen
	if private {
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
	}
	o.LameDuckDuration, o.LameDuckGracePeriod = lameDuck, lameDuckGrace
	o.Cluster = server.ClusterOpts{
		Name: p.Cluster, Host: host, Port: port,
		TLSConfig: identity, TLSTimeout: tlsTimeout.Seconds(),
		ConnectRetries: routeRetries,
		NoAdvertise:    private,
	}
	for _, route := range p.Routes {
		if _, _, err := splitAddress(route); err != nil {
			return fmt.Errorf("jetstream: address of a peer: %w", err)
		}
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: route})
	}
	o.CustomRouterAuthentication = routeGuard{}
	return nil
}

// splitAddress reads host:port.
func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("%q: a port from 1 to 65535 is needed", address)
	}
	return host, port, nil
}

// routeGuard lets in whoever has passed the TLS handshake, which asks for a certificate of the cluster.
type routeGuard struct{}

// Check implements server.Authentication.
func (routeGuard) Check(c server.ClientAuthentication) bool {
	state := c.GetTLSConnectionState()
	return state != nil && state.HandshakeComplete && len(state.VerifiedChains) > 0 && state.Version >= tls.VersionTLS13
}

// Peer tells how this server is a peer of a cluster; nil: it stands alone.
func (s *Server) Peer() *PeerOptions { return s.options.Peer }

// levelOfPeer is how loud a line of the server about a route is told. That a peer cannot be reached is said by readiness;
// the server repeats it every second.
func levelOfPeer(line string) slog.Level {
	if strings.Contains(line, "Error trying to connect to route") {
		return slog.LevelDebug
	}
	return slog.LevelError
}
