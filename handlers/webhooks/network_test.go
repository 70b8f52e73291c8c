package webhooks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"

	"keyledger/handlers/handlerstest"
	"keyledger/handlers/webhooks"
	"keyledger/ledger"
)

// reserved are addresses that no webhook may lead to, in every spelling.
func reserved() []string {
	return []string{
		"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fe80::1",
		"fe80::1%25eth0", "fec0::1", "ff02::1", "ff0e::1", "fd00:ec2::254",
	}
}

func TestReservedAddressesAreRefused(t *testing.T) {
	n := &webhooks.Network{}
	for _, address := range reserved() {
		host := address
		if netip.MustParseAddr(unescape(address)).Is6() {
			host = "[" + address + "]"
		}
		if err := n.Check(t.Context(), "https://"+host+":8443/hook"); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("%s passes: %v", address, err)
		}
		named := &webhooks.Network{Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr(unescape(address))}, nil
		}}
		if err := named.Check(t.Context(), "https://example.com"); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("a name for %s passes: %v", address, err)
		}
		if err := (&webhooks.Network{Private: true}).Check(t.Context(), "https://"+host); err != nil {
			t.Errorf("%s is refused though private ones are allowed: %v", address, err)
		}
	}
	for _, host := range []string{"1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "[2606:4700:4700::1111]", "[::ffff:1.1.1.1]"} {
		if err := n.Check(t.Context(), "https://"+host); err != nil {
			t.Errorf("%s is refused: %v", host, err)
		}
	}
	unknown := &webhooks.Network{Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }}
	if err := unknown.Check(t.Context(), "https://not-yet.example"); err != nil {
		t.Errorf("a name that does not resolve yet is refused: %v", err)
	}
}

func unescape(s string) string {
	s, _ = url.PathUnescape(s)
	return s
}

// What a name leads to when a message is sent counts, not what it led to when the webhook was created.
func TestRebinding(t *testing.T) {
	var inside atomic.Bool
	w := newWorld(t, func(c *webhooks.Config) {
		c.Network = &webhooks.Network{Lookup: func(context.Context, string) ([]netip.Addr, error) {
			if inside.Load() {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
			return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
		}}
	})
	r := receive(t, nil)
	port := netip.MustParseAddrPort(r.Listener.Addr().String()).Port()
	target := fmt.Sprintf("https://rebound.example:%d/hook", port)
	e := w.create(target, `,"types":["key.created"]`)
	inside.Store(true)
	w.key(acme)
	if d := e.await("dead", 1)[0]; d["error"] != "forbidden_address" || d["status"] != nil {
		t.Errorf("%v", d)
	}
	if tested := w.ask("POST", e.path+"/test", "", 200); tested.Field("error") != "forbidden_address" {
		t.Errorf("%s", tested.Body)
	}
	for _, in := range []handlerstest.Request{
		{Method: "POST", Target: "/v1/webhooks", Body: fmt.Sprintf(`{"url":%q}`, target)},
		{Method: "POST", Target: "/v1/webhooks", Body: fmt.Sprintf(`{"url":%q}`, r.URL)},
		{Method: "POST", Target: "/v1/webhooks", Body: `{"url":"https://[::1]/"}`},
		{Method: "POST", Target: "/v1/webhooks", Body: `{"url":"http://1.1.1.1/"}`},
		{Method: "PATCH", Target: e.path, Body: `{"url":"https://169.254.169.254/latest"}`},
	} {
		in.Token = w.Root
		if answer := w.Refuses(t, in, 400); answer.Field("field") != "url" {
			t.Errorf("%s: %s", in.Body, answer.Body)
		}
	}
	if len(r.got) > 0 {
		t.Error("the receiver was reached")
	}
}

// A certificate that nobody vouches for is no endpoint's.
func TestCertificates(t *testing.T) {
	w := newWorld(t, nil)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	e := w.create(server.URL, "")
	if tested := w.ask("POST", e.path+"/test", "", 200); tested.Field("error") != "tls" {
		t.Errorf("%s", tested.Body)
	}
}

// Owners are kept apart, and nobody creates a webhook that hears more than they may.
func TestOwners(t *testing.T) {
	w := newWorld(t, nil)
	mine, theirs, all := receive(t, nil), receive(t, nil), receive(t, nil)
	w.create(mine.URL, `,"workspace_id":"acme","org_id":"eu","types":["key.created"]`)
	w.create(theirs.URL, `,"workspace_id":"other","types":["key.created"]`)
	w.create(all.URL, `,"types":["key.created"]`)
	eu := ledger.Owner{Workspace: "acme", Org: "eu", AgentID: "bot7", Peer: "p"}
	for _, owner := range []ledger.Owner{acme, other, eu, {Workspace: "acme", Org: "us"}, {Org: "eu"}, {}} {
		w.key(owner)
	}
	for range 6 {
		all.next(t)
	}
	for _, r := range []*receiver{mine, theirs} {
		r.next(t)
		if len(r.got) > 0 {
			m := r.next(t)
			t.Errorf("one more: %s", m.body)
		}
	}
	bound := w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeWebhooks}}).Token.Reveal()
	peer := w.Key(t, ledger.Create{Owner: eu, Scopes: []string{ledger.ScopeWebhooks}}).Token.Reveal()
	refuses := func(token, body string, status int) {
		t.Helper()
		w.Refuses(t, handlerstest.Request{Method: "POST", Target: "/v1/webhooks", Token: token, Body: body}, status)
	}
	refuses(bound, fmt.Sprintf(`{"url":%q}`, mine.URL), 403)
	refuses(bound, fmt.Sprintf(`{"url":%q,"workspace_id":"other"}`, mine.URL), 404)
	refuses(peer, fmt.Sprintf(`{"url":%q,"workspace_id":"acme","org_id":"eu","agent_id":"bot7"}`, mine.URL), 403)
}
