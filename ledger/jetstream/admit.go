package jetstream

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"keyledger/events"
	"keyledger/ledger"
)

// Admit lets holders of keys connect to the client port of the embedded server, with their token as the token or the
// password, as long as Run of what it returns runs. nc is a connection of this process (Connect).
func (s *Server) Admit(nc *nats.Conn, service *ledger.Service) (*Subscribers, error) {
	subscribers := &Subscribers{
		service:    service,
		log:        s.options.Log,
		gone:       func(l link) bool { ns := s.ns.Load(); return l.server != ns.ID() || ns.GetClient(l.client) == nil },
		disconnect: func(l link) error { return s.ns.Load().DisconnectClientByID(l.client) },
		stop:       func() { s.subscribers.Store(nil) },
	}
	if err := subscribers.open(nc); err != nil {
		return nil, err
	}
	s.subscribers.Store(subscribers)
	return subscribers, nil
}

// addSubscribersAccount makes the account of subscribers, and what passes between it and that of the ledger: see door.
func addSubscribersAccount(ns *server.Server) error {
	home := ns.GlobalAccount()
	subscribers, _ := ns.LookupOrRegisterAccount(SubscribersAccount)
	err := errors.Join(
		subscribers.AddMapping(doorSource, doorTarget),
		subscribers.AddStreamExport(doorExport, []*server.Account{home}),
		home.AddStreamImport(subscribers, doorExport, ""),
		home.AddStreamExport(inboxExport, []*server.Account{subscribers}),
		subscribers.AddStreamImport(home, inboxExport, ""),
	)
	if err != nil {
		return fmt.Errorf("jetstream: account of subscribers: %w", err)
	}
	return nil
}

// guard decides who may connect to the embedded server: this process, and who Admit admits.
type guard struct{ server *Server }

// Check implements server.Authentication.
func (g guard) Check(c server.ClientAuthentication) bool {
	if c.Kind() != server.CLIENT {
		return false
	}
	o := c.GetOpts()
	token := o.Token
	if token == "" {
		token = o.Password
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(g.server.token)) == 1 {
		return true
	}
	if err := g.admit(c, token, o); err != nil {
		// The server logs the name of whom it refuses: somebody may have put the token there.
		c.RegisterUser(&server.User{Username: "(not shown)", Permissions: nothing()})
		g.server.options.Log.Log(context.Background(), levelOf(err), "a subscriber is refused", "remote", c.RemoteAddress(), "error", err)
		return false
	}
	return true
}

// admit lets the holder of a token in, into the account of subscribers.
func (g guard) admit(c server.ClientAuthentication, token string, o *server.ClientOpts) error {
	subscribers, ns := g.server.subscribers.Load(), g.server.ns.Load()
	if subscribers == nil || ns == nil {
		return errNotOpen
	}
	account, err := ns.LookupAccount(SubscribersAccount)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	l := link{server: ns.ID(), client: c.GetID()}
	granted, p, err := subscribers.admit(ctx, l, token, originOf(c.RemoteAddress(), o), time.Time{})
	if err != nil {
		return err
	}
	c.RegisterUser(&server.User{
		Username: p.KeyID.String(),
		Account:  account,
		Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: granted.publish},
			Subscribe: &server.SubjectPermission{Allow: granted.subscribe},
		},
		ConnectionDeadline: p.ExpiresAt,
	})
	return nil
}

// errNotOpen: nobody is admitted (yet).
var errNotOpen = errors.New("jetstream: this node is starting or stopping")

// levelOf is how loud a refusal is told: that of a valid key is news to its owner, that of a wrong token is not.
func levelOf(err error) slog.Level {
	if ledger.CodeOf(err) == ledger.CodeUnauthenticated {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// nothing permits nothing.
func nothing() *server.Permissions {
	none := &server.SubjectPermission{Deny: []string{">"}}
	return &server.Permissions{Publish: none, Subscribe: none}
}

// originOf is where a connection comes from.
func originOf(address net.Addr, o *server.ClientOpts) events.Origin {
	origin := events.Origin{UserAgent: "nats/" + o.Lang + "/" + o.Version}
	if address != nil {
		if host, _, err := net.SplitHostPort(address.String()); err == nil {
			origin.IP = host
		}
	}
	return origin
}
