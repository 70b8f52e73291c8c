package jetstream_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// newExternalHouse is newHouse with a NATS that is configured as the documentation says.
func newExternalHouse(t *testing.T) *house {
	t.Helper()
	issuer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := issuer.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := issuer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KEYLEDGER_PASSWORD", "ledger-password")
	t.Setenv("SYSTEM_PASSWORD", "system-password")
	t.Setenv("CALLOUT_ISSUER", public)
	o, err := server.ProcessConfigFile("testdata/auth_callout.conf")
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port, o.NoSigs, o.StoreDir, o.JetStreamMaxStore = "127.0.0.1", server.RANDOM_PORT, true, t.TempDir(), 8<<30
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	until(t, "the server", func() bool { return s.ReadyForConnections(time.Second) })

	h := &house{t: t, logs: new(syncBuffer), url: "nats://" + s.Addr().String()}
	connect := func(user, password string) *nats.Conn {
		nc, err := jetstream.Connect(t.Context(), jetstream.ConnectOptions{URL: h.url, User: user, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	h.nc = connect("keyledger", "ledger-password")
	h.settle(jetstream.Options{})
	subscribers, err := jetstream.Callout(h.nc, h.Service, jetstream.CalloutOptions{
		Seed: string(seed), System: connect("system", "system-password"),
		Log: slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.runs(subscribers)
	return h
}

// TestCallout: an external NATS asks, and lets subscribers read what is theirs, and nobody else in.
func TestCallout(t *testing.T) {
	h := newExternalHouse(t)
	acme := ledger.Owner{Workspace: "acme"}
	k, foreign := h.key(acme, ledger.ScopeEvents), h.key(ledger.Owner{Workspace: "umbrella"}, ledger.ScopeEvents)
	r := h.connect(k)
	got := r.read(natsjs.ConsumerConfig{Durable: r.key, FilterSubject: "ledger.acme.>", AckPolicy: natsjs.AckExplicitPolicy})
	if want := subjects(k); !slices.Equal(got, want) {
		t.Errorf("read %q, not %q", got, want)
	}
	for _, subject := range []string{
		"usage.batch", "$JS.API.STREAM.DELETE.LEDGER", "$JS.API.CONSUMER.CREATE.LEDGER." + r.key + ".ledger.>",
		"$JS.API.CONSUMER.CREATE.LEDGER." + r.key + ".ledger.umbrella.>", "$JS.API.CONSUMER.MSG.NEXT.LEDGER." + foreign.Key.ID.String(),
		"$JS.API.DIRECT.GET.LEDGER", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.AUTH",
	} {
		if err := r.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		r.violates(subject)
	}
	for name, option := range map[string]nats.Option{
		"nobody":          nats.Name("nobody"),
		"a wrong token":   nats.Token("kl_0123456789012345678901234567890123456789012345678"),
		"another's scope": nats.Token(h.key(acme, ledger.ScopeRead).Token.Reveal()),
		"a peer":          nats.Token(h.key(ledger.Owner{Peer: "p"}, ledger.ScopeEvents).Token.Reveal()),
		"a wrong user":    nats.UserInfo("keyledger", "ledger-passwort"),
	} {
		if nc, err := nats.Connect(h.url, option); !errors.Is(err, nats.ErrAuthorization) {
			if err == nil {
				nc.Close()
			}
			t.Errorf("%s: %v, want an authorization error", name, err)
		}
	}
	h.showsNoToken(k)
}

// TestCalloutReplies is TestSubscribersReplies for the configuration of an external NATS.
func TestCalloutReplies(t *testing.T) {
	h := newExternalHouse(t)
	r, other := h.pair()
	before := h.stored()
	for _, reply := range []string{"usage.batch", "ledger.acme.~.~." + other.key, "$JS.API.CONSUMER.DELETE.LEDGER." + other.key} {
		for _, subject := range []string{"$JS.API.CONSUMER.INFO.LEDGER.", "$JS.API.CONSUMER.MSG.NEXT.LEDGER."} {
			if err := r.PublishRequest(subject+r.key, reply, []byte("1")); err != nil {
				t.Fatal(err)
			}
			h.unchanged(r, subject+" with the reply "+reply, before)
		}
	}
}

// TestCalloutDisconnects: with a connection to the system account, a revoked key is disconnected within a second.
func TestCalloutDisconnects(t *testing.T) {
	h := newExternalHouse(t)
	k := h.key(ledger.Owner{Workspace: "acme"}, ledger.ScopeEvents)
	r, stays := h.connect(k), h.connect(h.key(ledger.Owner{Workspace: "acme"}, ledger.ScopeEvents))
	call := h.root
	if _, err := h.Revoke(t.Context(), &call, k.Key.ID, ""); err != nil {
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
	if !stays.IsConnected() {
		t.Error("another subscriber was disconnected too")
	}
}

// TestCalloutSeed: what is no seed of an account is refused, and not shown.
func TestCalloutSeed(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "SAX", string(seed)} {
		if err := jetstream.CheckCalloutSeed(wrong); err == nil || wrong != "" && strings.Contains(err.Error(), wrong) {
			t.Errorf("the seed %q gives %v", wrong, err)
		}
	}
}
