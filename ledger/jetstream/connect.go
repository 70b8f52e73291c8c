package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnectOptions name an external NATS and how to prove who we are. Empty fields are not used.
type ConnectOptions struct {
	URL      string // one URL, or several with commas
	Creds    string // path of a credentials file
	User     string
	Password string
	CA       string // path of a PEM file: who may vouch for the server
	Cert     string // path of a PEM file: our certificate
	Key      string // path of a PEM file: its key
}

// Connect connects to an external NATS. It tries until ctx ends.
func Connect(ctx context.Context, o ConnectOptions) (*nats.Conn, error) {
	if o.URL == "" {
		return nil, errors.New("jetstream: no server to connect to")
	}
	var options []nats.Option
	if o.Creds != "" {
		options = append(options, nats.UserCredentials(o.Creds))
	}
	if o.User != "" {
		options = append(options, nats.UserInfo(o.User, o.Password))
	}
	if o.CA != "" {
		options = append(options, nats.RootCAs(o.CA))
	}
	if o.Cert != "" {
		options = append(options, nats.ClientCert(o.Cert, o.Key))
	}
	return connect(ctx, o.URL, options...)
}

// connect connects and waits for the connection. Once made, it is kept for ever.
func connect(ctx context.Context, url string, options ...nats.Option) (*nats.Conn, error) {
	connected, refused := make(chan struct{}, 1), make(chan struct{})
	options = append(options,
		nats.Name("keyledger"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectBufSize(-1), // what cannot be sent now fails now
		nats.PingInterval(5*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ConnectHandler(func(*nats.Conn) { connected <- struct{}{} }), // called once
		nats.ClosedHandler(func(*nats.Conn) { close(refused) }),
	)
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("jetstream: connect: %w", err)
	}
	select {
	case <-connected:
		return nc, nil
	case <-refused:
		return nil, fmt.Errorf("jetstream: connect: %w", errors.Join(errors.New("the server refuses us"), nc.LastError()))
	case <-ctx.Done():
		err := errors.Join(ctx.Err(), nc.LastError())
		nc.Close()
		return nil, fmt.Errorf("jetstream: connect: %w", err)
	}
}
