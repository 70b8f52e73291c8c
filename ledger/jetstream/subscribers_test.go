package jetstream_test

import (
	"crypto/tls"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// TestSubscribersRead: each reads what belongs to its own owner, all of it, and nothing else.
func TestSubscribersRead(t *testing.T) {
	h := newHouse(t)
	scope := ledger.ScopeEvents
	acme := h.key(ledger.Owner{Workspace: "acme"}, scope)
	other := h.key(ledger.Owner{Workspace: "acm"}, scope)
	odd := h.key(ledger.Owner{Workspace: "ac.me *>"}, scope)
	bot := h.key(ledger.Owner{Workspace: "acme", Org: "o", AgentID: "bot"}, scope)
	agent := h.key(ledger.Owner{AgentID: "bot"}, scope)
	org := h.key(ledger.Owner{Org: "o"}, scope)
	root := h.key(ledger.Owner{}, scope)
	brought := h.create(ledger.Create{Name: "with a claim", Owner: ledger.Owner{Workspace: "acme"}, Token: ledger.NewSecret(strings.Repeat("brought-", 4))})
	everything := slices.Concat(subjects(acme, other, odd, bot, agent, org, root, brought))
	for _, test := range []struct {
		name, filter string
		key          ledger.Issued
		want         []string
	}{
		{"a workspace", "ledger.acme.>", acme, subjects(acme, bot, brought)},
		{"a workspace, token by token", "ledger.acme.*.*.*", acme, subjects(acme, bot, brought)},
		{"a part of it", "ledger.acme.*.bot.*", acme, subjects(bot)},
		{"one key of it", subjects(bot)[0], acme, subjects(bot)},
		{"a name within another", "ledger.acm.>", other, subjects(other)},
		{"a name to be escaped", events.OwnerFilter("ac.me *>", "", ""), odd, subjects(odd)},
		{"an agent", "ledger.*.*.bot.*", agent, subjects(bot, agent)},
		{"an agent in a workspace", "ledger.acme.o.bot.>", bot, subjects(bot)},
		{"an organisation", "ledger.*.o.>", org, subjects(bot, org)},
		{"everything but claims", "ledger.>", root, everything},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := h.connect(test.key)
			for _, c := range []natsjs.ConsumerConfig{
				{Name: r.key, AckPolicy: natsjs.AckNonePolicy},
				{Name: r.key + "_7", AckPolicy: natsjs.AckNonePolicy, DeliverPolicy: natsjs.DeliverByStartSequencePolicy, OptStartSeq: 1},
				{Durable: r.key + "_1", AckPolicy: natsjs.AckExplicitPolicy},
			} {
				c.FilterSubject = test.filter
				got := r.read(c)
				if test.filter == "ledger.>" {
					got = got[1:] // of the first root key
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("%+v gives\n%q\nnot\n%q", c, got, test.want)
				}
			}
		})
	}
	h.showsNoToken(acme, other, odd, bot, agent, org, root, brought)
}

// showsNoToken checks the log.
func (h *house) showsNoToken(keys ...ledger.Issued) {
	h.t.Helper()
	for _, k := range keys {
		if strings.Contains(h.logs.String(), k.Token.Reveal()) {
			h.t.Errorf("a token is in the log:\n%s", h.logs)
		}
	}
}

// TestSubscribersResume: a durable consumer goes on where its acknowledgements ended, also on another connection.
func TestSubscribersResume(t *testing.T) {
	h := newHouse(t)
	k := h.key(ledger.Owner{Workspace: "acme"}, ledger.ScopeEvents)
	want := subjects(k)
	for range 9 {
		want = append(want, subjects(h.key(ledger.Owner{Workspace: "acme"}))...)
	}
	var got []string
	for range 5 {
		r := h.connect(k)
		c, err := r.js.CreateOrUpdateConsumer(t.Context(), jetstream.LedgerStream, natsjs.ConsumerConfig{
			Durable: r.key, FilterSubject: "ledger.acme.>", AckPolicy: natsjs.AckExplicitPolicy,
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			m, err := c.Next(natsjs.FetchMaxWait(10 * time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
			got = append(got, m.Subject())
		}
		r.Close()
	}
	if !slices.Equal(got, want) {
		t.Errorf("read\n%q\nnot\n%q", got, want)
	}
}

// TestSubscribersRefused: who may not connect.
func TestSubscribersRefused(t *testing.T) {
	h := newHouse(t)
	scope := ledger.ScopeEvents
	acme := ledger.Owner{Workspace: "acme"}
	revoked, disabled := h.key(acme, scope), h.key(acme, scope)
	call := h.root
	if _, err := h.Revoke(t.Context(), &call, revoked.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	call = h.root
	if _, err := h.Disable(t.Context(), &call, disabled.Key.ID); err != nil {
		t.Fatal(err)
	}
	expired := h.create(ledger.Create{Name: "expired", Scopes: []string{scope}, ExpiresAt: time.Now().Add(500 * time.Millisecond)})
	until(t, "the expiry", func() bool { return !time.Now().Before(expired.Key.ExpiresAt) })
	good := h.key(acme, scope)
	token := func(k ledger.Issued) nats.Option { return nats.Token(k.Token.Reveal()) }
	for _, test := range []struct {
		name   string
		option nats.Option
		says   string
	}{
		{"nobody", nats.Name("nobody"), ""},
		{"an empty password", nats.UserInfo("keyledger", ""), ""},
		{"a wrong token", nats.Token("kl_0123456789012345678901234567890123456789012345678"), ""},
		{"a token as the user", nats.UserInfo(good.Token.Reveal(), ""), ""},
		{"a revoked key", token(revoked), ""},
		{"a disabled key", token(disabled), ""},
		{"an expired key", token(expired), ""},
		{"a key that does not hold the scope", token(h.key(acme, ledger.ScopeRead)), "lacks the scope ledger:events:read"},
		{"a key of a peer", token(h.key(ledger.Owner{Workspace: "acme", Peer: "p"}, scope)), "bound to a peer or a session"},
		{"a key of a session", token(h.key(ledger.Owner{Session: "s"}, scope)), "bound to a peer or a session"},
	} {
		nc, err := nats.Connect(h.url, test.option)
		if !errors.Is(err, nats.ErrAuthorization) {
			if err == nil {
				nc.Close()
			}
			t.Errorf("%s: %v, want an authorization error", test.name, err)
		}
		if !strings.Contains(h.logs.String(), test.says) {
			t.Errorf("%s: the log does not say %q:\n%s", test.name, test.says, h.logs)
		}
	}
	nc, err := nats.Connect(h.url, nats.UserInfo("anybody", good.Token.Reveal()))
	if err != nil {
		t.Errorf("a token as the password: %v", err)
	} else {
		nc.Close()
	}
	h.showsNoToken(good, revoked, disabled, expired)
}

// TestSubscribersDisconnected: a subscriber is disconnected within a second of what ends its right to read.
func TestSubscribersDisconnected(t *testing.T) {
	h := newHouse(t)
	acme := ledger.Owner{Workspace: "acme"}
	soon := time.Now().Add(300 * time.Millisecond)
	noScopes := []string{}
	for name, end := range map[string]func(call *ledger.Call, id uuid.UUID) error{
		"revoked":  func(c *ledger.Call, id uuid.UUID) error { _, err := h.Revoke(t.Context(), c, id, ""); return err },
		"disabled": func(c *ledger.Call, id uuid.UUID) error { _, err := h.Disable(t.Context(), c, id); return err },
		"rotated without grace": func(c *ledger.Call, id uuid.UUID) error {
			_, err := h.Rotate(t.Context(), c, id, &ledger.Rotate{})
			return err
		},
		"without its scope": func(c *ledger.Call, id uuid.UUID) error {
			_, err := h.Update(t.Context(), c, id, &ledger.Update{Scopes: &noScopes})
			return err
		},
		"expiring": func(c *ledger.Call, id uuid.UUID) error {
			_, err := h.Update(t.Context(), c, id, &ledger.Update{ExpiresAt: &soon})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, stays := h.key(acme, ledger.ScopeEvents), h.key(acme, ledger.ScopeEvents)
			r, other := h.connect(k), h.connect(stays)
			c, err := r.js.CreateOrUpdateConsumer(t.Context(), jetstream.LedgerStream, natsjs.ConsumerConfig{
				Name: r.key, FilterSubject: "ledger.acme.>", AckPolicy: natsjs.AckNonePolicy,
			})
			if err != nil {
				t.Fatal(err)
			}
			reading, err := c.Consume(func(natsjs.Msg) {})
			if err != nil {
				t.Fatal(err)
			}
			defer reading.Stop()
			call := h.root
			soon = time.Now().Add(300 * time.Millisecond)
			if err := end(&call, k.Key.ID); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			select {
			case <-r.closed:
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v", took)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it is still connected")
			}
			if !other.IsConnected() {
				t.Error("another subscriber was disconnected too")
			}
		})
	}
}

// TestSubscribersOfADeafNode: who reads from a node that does not hear the ledger is disconnected, and not let in, since the
// heartbeats of a consumer go on. Before and after, answers tell as of when the node knows the ledger.
func TestSubscribersOfADeafNode(t *testing.T) {
	h := newHouse(t)
	k := h.key(ledger.Owner{Workspace: "acme"}, ledger.ScopeEvents)
	r := h.connect(k)
	r.read(natsjs.ConsumerConfig{Name: r.key, FilterSubject: "ledger.acme.>", AckPolicy: natsjs.AckNonePolicy})
	h.ears.deaf.Store(true)
	select {
	case <-r.closed:
	case <-time.After(10 * time.Second):
		t.Fatal("it is still connected")
	}
	if nc, err := nats.Connect(h.url, nats.Token(k.Token.Reveal())); !errors.Is(err, nats.ErrAuthorization) {
		if err == nil {
			nc.Close()
		}
		t.Fatalf("to connect gives %v", err)
	}
	h.ears.deaf.Store(false)
	answer, err := h.connect(k).Request("$JS.API.CONSUMER.INFO.LEDGER."+r.key, nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	age, err := strconv.Atoi(answer.Header.Get(events.HeaderAge))
	if err != nil || age < 0 || age > 60_000 || answer.Header.Get(events.HeaderLast) != strconv.FormatUint(k.Key.Sequence, 10) {
		t.Errorf("the answer has %v, %v", answer.Header, err)
	}
}

// TestSubscribersTLS: with a certificate, the client port speaks TLS to everyone outside, and only TLS.
func TestSubscribersTLS(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	file := func(name string) string { return filepath.Join(dir, name) }
	pair, err := tls.LoadX509KeyPair(file("cert.pem"), file("key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	h := newHouseWith(t, jetstream.EmbedOptions{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	k := h.key(ledger.Owner{Workspace: "acme"}, ledger.ScopeEvents)
	if nc, err := nats.Connect(h.url, nats.Token(k.Token.Reveal())); err == nil {
		nc.Close()
		t.Error("an unknown issuer is accepted, or nothing is encrypted")
	}
	r := h.connect(k, nats.RootCAs(file("cert.pem")))
	if _, err := r.TLSConnectionState(); err != nil {
		t.Error(err)
	}
	got := r.read(natsjs.ConsumerConfig{Name: r.key, FilterSubject: "ledger.acme.>", AckPolicy: natsjs.AckNonePolicy})
	if want := subjects(k); !slices.Equal(got, want) {
		t.Errorf("read %q, not %q", got, want)
	}
}

// TestSubscribersReadHeads: the heads of the tree are for every subscriber, with the events of others still hidden.
func TestSubscribersReadHeads(t *testing.T) {
	h := newHouse(t)
	acme := h.key(ledger.Owner{Workspace: "acme"}, ledger.ScopeEvents)
	if _, err := h.js.Publish(t.Context(), events.HeadSubject(time.Now()), []byte("a head")); err != nil {
		t.Fatal(err)
	}
	r := h.connect(acme)
	c, err := r.js.CreateOrUpdateConsumer(t.Context(), jetstream.HeadsStream, natsjs.ConsumerConfig{
		Durable: r.key, FilterSubject: events.HeadSubjects, AckPolicy: natsjs.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next(natsjs.FetchMaxWait(20 * time.Second))
	if err != nil || string(m.Data()) != "a head" || !strings.HasPrefix(m.Subject(), "heads.") {
		t.Fatalf("%v, %v", m, err)
	}
}
