package handlers_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyledger/handlers"
	"keyledger/ledger"
)

const wrongToken = "kl_neverseenbutlongenough"

// limited is a world that takes three wrong tokens from an address in a minute, and trusts proxies in 10.0.0.0/8.
func limited(t *testing.T) *world {
	return newWorld(t, func(c *handlers.Config, _ *ledger.Config) {
		c.AuthFailures = 3
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
}

// from is a request of an address, maybe for another one, with a token.
func from(address, forwarded, token, method, path string) *http.Request {
	r := request(method, path, "", with("Authorization", "Bearer "+token))
	r.RemoteAddr = address
	if forwarded != "" {
		r.Header.Set("X-Forwarded-For", forwarded)
	}
	return r
}

func TestWrongTokensAreLimited(t *testing.T) {
	w, clock := frozen(t, func(c *handlers.Config, _ *ledger.Config) { c.AuthFailures = 3 })
	const home, away = "192.0.2.1:1000", "192.0.2.2:1000"
	for i, path := range []string{"/v1/keys", "/v1/authorize", "/v1/ledger/tile/entries/000"} {
		a := w.send(from(home, "", wrongToken, "GET", path))
		hasStatus(t, a, 401)
		hasHeader(t, a, "RateLimit-Policy", `"wrong-tokens";q=3;w=60`)
		hasHeader(t, a, "RateLimit", fmt.Sprintf(`"wrong-tokens";r=%d;t=60`, 2-i))
	}
	clock.Add(20_000_000)
	for _, path := range []string{"/v1/keys", "/v1/authorize"} {
		a := w.send(from(home, "", wrongToken, "GET", path))
		hasStatus(t, a, 429)
		hasHeader(t, a, "Retry-After", "40")
		hasHeader(t, a, "RateLimit", `"wrong-tokens";r=0;t=40`)
		hasHeader(t, a, "Keyledger-Code", "")
		if a.field("code") != "rate_limited" || a.events != 0 {
			t.Errorf("%d events, %s", a.events, a.text)
		}
	}
	for _, ok := range []*http.Request{from(home, "", rootToken, "GET", "/v1/keys"), from(home, "", rootToken, "GET", "/v1/authorize"),
		from(home, "", wrongToken, "GET", "/healthz")} {
		if a := w.send(ok); a.StatusCode >= 300 || a.Header.Get("RateLimit") != "" {
			t.Errorf("%s with a right token, or without need of one: %d %v", ok.URL, a.StatusCode, a.Header)
		}
	}
	hasStatus(t, w.send(from(away, "", wrongToken, "GET", "/v1/keys")), 401)
	clock.Add(41_000_000)
	hasStatus(t, w.send(from(home, "", wrongToken, "GET", "/v1/keys")), 401)
	counts(t, w, map[string]float64{"keyledger_wrong_tokens_total": 7, "keyledger_wrong_tokens_limited_total": 2})
}

// What is not a wrong token is not counted: none at all, a scope that lacks, and what a service asks about others' tokens.
func TestOnlyWrongTokensAreLimited(t *testing.T) {
	w := limited(t)
	poor := w.key(ledger.Create{Scopes: []string{"deploy"}}).Token.Reveal()
	for range 20 {
		hasStatus(t, w.do("GET", "/v1/keys", "", with("Authorization", "-")), 401)
		hasStatus(t, w.do("GET", "/v1/keys", "", with("Authorization", "Bearer "+poor)), 403)
		hasStatus(t, w.do("GET", "/v1/authorize?scope=other", "", with("Authorization", "Bearer "+poor)), 403)
		hasStatus(t, w.do("POST", "/v1/keys/verify", `{"token":"`+wrongToken+`"}`, nil), 200)
	}
	counts(t, w, map[string]float64{"keyledger_wrong_tokens_total": 0})
}

func TestWrongTokensAreCountedByClient(t *testing.T) {
	for name, same := range map[string]struct {
		a, b [2]string // address, X-Forwarded-For
		same bool
	}{
		"another port":                      {[2]string{"192.0.2.1:1"}, [2]string{"192.0.2.1:2"}, true},
		"another address":                   {[2]string{"192.0.2.1:1"}, [2]string{"192.0.2.9:1"}, false},
		"the same /64":                      {[2]string{"[2001:db8::1]:1"}, [2]string{"[2001:db8::ffff:2]:1"}, true},
		"another /64":                       {[2]string{"[2001:db8::1]:1"}, [2]string{"[2001:db8:0:1::1]:1"}, false},
		"a mapped address":                  {[2]string{"192.0.2.1:1"}, [2]string{"[::ffff:192.0.2.1]:1"}, true},
		"two clients of a trusted proxy":    {[2]string{"10.0.0.1:1", "192.0.2.1"}, [2]string{"10.0.0.1:1", "192.0.2.2"}, false},
		"one client of two trusted proxies": {[2]string{"10.0.0.1:1", "192.0.2.1"}, [2]string{"10.0.0.2:1", "192.0.2.1"}, true},
		"what a stranger says of itself":    {[2]string{"192.0.2.1:1", "198.51.100.1"}, [2]string{"192.0.2.1:1", "198.51.100.2"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := limited(t)
			for range 4 {
				w.send(from(same.a[0], same.a[1], wrongToken, "GET", "/v1/keys"))
			}
			want := map[bool]int{true: 429, false: 401}[same.same]
			hasStatus(t, w.send(from(same.b[0], same.b[1], wrongToken, "GET", "/v1/keys")), want)
		})
	}
}

// Many wrong tokens, each from an address of its own, leave nothing behind but a bounded log; who has a right one is
// served meanwhile, and an address that is at its limit stays there.
func TestWrongTokensOfManyAddresses(t *testing.T) {
	const requests = 200_000
	w := limited(t)
	const home = "192.0.2.1:1000"
	for range 4 {
		w.send(from(home, "", wrongToken, "GET", "/v1/keys"))
	}
	lines := len(strings.Split(w.Lines.String(), "\n"))
	r := from(home, "", wrongToken, "GET", "/v1/authorize")
	heap := liveHeap()
	for i := range requests {
		r.RemoteAddr = "[2001:db8:" + strconv.FormatInt(int64(i>>16), 16) + ":" + strconv.FormatInt(int64(i&0xffff), 16) + "::1]:1000"
		sink := unread{http.Header{}}
		w.Server.ServeHTTP(&sink, r)
	}
	if grown := int64(liveHeap()) - int64(heap); grown > 4<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	if more := len(strings.Split(w.Lines.String(), "\n")) - lines; more > 1000 {
		t.Errorf("%d wrong tokens wrote %d lines", requests, more)
	}
	hasStatus(t, w.send(from(home, "", wrongToken, "GET", "/v1/keys")), 429)
	hasStatus(t, w.send(from(home, "", rootToken, "GET", "/v1/keys")), 200)
	w.Later(2 * time.Minute)
	hasStatus(t, w.send(from(home, "", wrongToken, "GET", "/v1/keys")), 401)
	if text := w.Lines.String(); !strings.Contains(text, "there were too many") {
		t.Error("the log does not tell that lines were left out")
	}
}

// An address beyond its limit has one more line, not one for each wrong token.
func TestLimitedTokensAreLoggedOnce(t *testing.T) {
	w := limited(t)
	for range 20 {
		w.send(from("192.0.2.1:1", "", wrongToken, "GET", "/v1/keys"))
	}
	if got := strings.Count(w.Lines.String(), `"code":"rate_limited"`); got != 1 {
		t.Errorf("%d lines tell of the limit\n%s", got, w.Lines.String())
	}
	if got := strings.Count(w.Lines.String(), `"code":"unauthenticated"`); got != 3 {
		t.Errorf("%d lines tell of wrong tokens", got)
	}
}

// unread is an answer that nobody reads.
type unread struct{ header http.Header }

func (u *unread) Header() http.Header         { return u.header }
func (u *unread) Write(b []byte) (int, error) { return len(b), nil }
func (u *unread) WriteHeader(int)             {}

// liveHeap is how much the heap holds, in bytes.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func hasHeader(t *testing.T, a *answer, name, want string) {
	t.Helper()
	if got := a.Header.Get(name); got != want {
		t.Errorf("%s is %q, want %q", name, got, want)
	}
}

// counts checks counters of the world.
func counts(t *testing.T, w *world, want map[string]float64) {
	t.Helper()
	families, err := w.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n, ok := want[f.GetName()]; ok && f.GetMetric()[0].GetCounter().GetValue() != n {
			t.Errorf("%s is %v, want %v", f.GetName(), f.GetMetric()[0].GetCounter().GetValue(), n)
		}
		delete(want, f.GetName())
	}
	for name := range want {
		t.Errorf("there is no %s", name)
	}
}
