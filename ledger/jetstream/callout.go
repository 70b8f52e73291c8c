package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyledger/events"
	"keyledger/ledger"
)

// CalloutOptions say how to answer an external NATS that asks who may connect (auth callout, ADR-26).
type CalloutOptions struct {
	// Seed is that of the account key whose public half is the issuer in the configuration of the NATS.
	Seed string
	// Account is the name of the account of subscribers, SubscribersAccount when empty.
	Account string
	// System, when not nil, is a connection to the system account: through it subscribers are disconnected at once when
	// their keys end. Without it, and whatever happens to this process, they are disconnected within calloutLife.
	System *nats.Conn
	// Log takes a line for each subscriber that is refused for a reason it may not know, or disconnected.
	Log *slog.Logger
}

// calloutLife is for how long the server is told to let a subscriber be connected. A client connects anew by itself.
const calloutLife = time.Minute

// calloutSubject is where a server asks.
const calloutSubject = "$SYS.REQ.USER.AUTH"

// calloutAtOnce is how many questions are answered at the same time.
const calloutAtOnce = 32

// callout answers the questions of servers.
type callout struct {
	subscribers *Subscribers
	options     CalloutOptions
	issuer      nkeys.KeyPair
	slots       chan struct{}
}

// CheckCalloutSeed refuses what is no seed of an account key.
func CheckCalloutSeed(seed string) error {
	_, err := issuerOf(seed)
	return err
}

func issuerOf(seed string) (nkeys.KeyPair, error) {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err == nil {
		public, _ := pair.PublicKey()
		if !nkeys.IsValidPublicAccountKey(public) {
			err = errors.New("not of an account")
		}
	}
	if err != nil {
		return nil, errors.New("not the seed of an account key (SA…)") // without what was given
	}
	return pair, nil
}

// Callout lets holders of keys connect to an external NATS, with their token as the token or the password, as long as
// Run of what it returns runs. nc is a connection to the account of the ledger, and a user of auth_users there.
func Callout(nc *nats.Conn, service *ledger.Service, o CalloutOptions) (*Subscribers, error) {
	if o.Account == "" {
		o.Account = SubscribersAccount
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	issuer, err := issuerOf(o.Seed)
	if err != nil {
		return nil, fmt.Errorf("jetstream: auth callout: %w", err)
	}
	c := &callout{options: o, issuer: issuer, slots: make(chan struct{}, calloutAtOnce)}
	c.subscribers = &Subscribers{
		service:    service,
		log:        o.Log,
		gone:       func(link) bool { return false }, // not known: forgotten when its time is over
		disconnect: c.kick,
	}
	if err := c.subscribers.open(nc); err != nil {
		return nil, err
	}
	sub, err := nc.QueueSubscribe(calloutSubject, doorQueue, c.asked)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		c.subscribers.door.close()
		return nil, fmt.Errorf("jetstream: auth callout: %w", err)
	}
	c.subscribers.stop = func() { _ = sub.Unsubscribe() }
	return c.subscribers, nil
}

// kick disconnects a subscriber, if that is possible.
func (c *callout) kick(l link) error {
	if c.options.System == nil {
		return nil
	}
	data, err := json.Marshal(map[string]uint64{"cid": l.client})
	if err != nil {
		return err
	}
	nc := c.options.System // a request without a reply is not heeded
	return nc.PublishRequest("$SYS.REQ.SERVER."+l.server+".KICK", nc.NewRespInbox(), data)
}

// asked answers a server. It must not be held up by one whose answer has to wait for the views.
func (c *callout) asked(m *nats.Msg) {
	c.slots <- struct{}{}
	go func() {
		defer func() { <-c.slots }()
		request, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
		if err != nil {
			c.options.Log.Warn("an authorization request cannot be read", "error", err)
			return
		}
		answer, err := c.answer(request)
		if err != nil {
			c.options.Log.Warn("an authorization request cannot be answered", "error", err)
			return
		}
		_ = m.Respond([]byte(answer)) // the server refuses who is not answered for
	}()
}

// answer decides about a client, and signs the decision.
func (c *callout) answer(request *jwt.AuthorizationRequestClaims) (string, error) {
	response := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	response.Audience = request.Server.ID
	user, err := c.user(request)
	if err != nil {
		c.options.Log.Log(context.Background(), levelOf(err), "a subscriber is refused", "remote", request.ClientInformation.Host, "error", err)
		response.Error = "refused" // the server logs it
		return response.Encode(c.issuer)
	}
	if response.Jwt, err = user.Encode(c.issuer); err != nil {
		return "", err
	}
	return response.Encode(c.issuer)
}

// user is who the client is and what it may do.
func (c *callout) user(request *jwt.AuthorizationRequestClaims) (*jwt.UserClaims, error) {
	token := request.ConnectOptions.Token
	if token == "" {
		token = request.ConnectOptions.Password
	}
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	until := time.Now().Add(calloutLife)
	origin := events.Origin{
		IP:        request.ClientInformation.Host,
		UserAgent: "nats/" + request.ConnectOptions.Lang + "/" + request.ConnectOptions.Version,
	}
	l := link{server: request.Server.ID, client: request.ClientInformation.ID}
	granted, p, err := c.subscribers.admit(ctx, l, token, origin, until)
	if err != nil {
		return nil, err
	}
	if !p.ExpiresAt.IsZero() && p.ExpiresAt.Before(until) {
		until = p.ExpiresAt
	}
	user := jwt.NewUserClaims(request.UserNkey)
	user.Name = p.KeyID.String()
	user.Audience = c.options.Account
	user.Expires = max(until.Unix(), time.Now().Unix()+1) // 0 would be never, and what is over is no claim
	user.Pub.Allow.Add(granted.publish...)
	user.Sub.Allow.Add(granted.subscribe...)
	return user, nil
}
