package handlers_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// A fault inside is a 500 that tells nothing; the access line tells it all.
func TestFault500(t *testing.T) {
	w := newWorld(t)
	routes := []handlers.Route{
		{Method: "GET", Path: "/panic", Public: true, Handle: func(*handlers.Exchange) error { panic("a detail") }},
		{Method: "GET", Path: "/fail", Public: true, Handle: func(x *handlers.Exchange) error {
			x.Header().Set("ETag", `"half done"`)
			x.Body = append(x.Body, "half an answer"...)
			return errors.New("a detail")
		}},
	}
	if err := w.Server.Mount(routes, handlers.RenderProblem); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/panic", "/fail"} {
		recorder := httptest.NewRecorder()
		w.Server.ServeHTTP(recorder, request("GET", path, "", nil))
		text := recorder.Body.String()
		if recorder.Code != 500 || strings.Contains(text, "detail\"}") || strings.Contains(text, "a detail") ||
			strings.Contains(text, "half") || recorder.Header().Get("ETag") != "" {
			t.Errorf("%s: %d %v\n%s", path, recorder.Code, recorder.Header(), text)
		}
		line := w.Lines.Last()
		if line["level"] != "ERROR" || !strings.Contains(fmt.Sprint(line["error"]), "a detail") || line["route"] != path {
			t.Errorf("%s: the access line is %v", path, line)
		}
	}
}

// http.ErrAbortHandler goes through: net/http then cuts the connection.
func TestAbort(t *testing.T) {
	w := newWorld(t)
	abort := handlers.Route{Method: "GET", Path: "/abort", Public: true, Handle: func(*handlers.Exchange) error { panic(http.ErrAbortHandler) }}
	if err := w.Server.Mount([]handlers.Route{abort}, handlers.RenderProblem); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("it did not go through")
		}
	}()
	w.Server.ServeHTTP(httptest.NewRecorder(), request("GET", "/abort", "", nil))
}

// A dialect answers errors in its own way, also those that its handler never sees.
func TestDialectRendersItsErrors(t *testing.T) {
	w := newWorld(t)
	render := func(x *handlers.Exchange, err error) {
		e := handlers.AsError(err)
		x.SetErrorHeaders(e)
		_ = x.WriteJSON(handlers.StatusOf(e.Code), map[string]string{"error": string(e.Code)})
	}
	routes := []handlers.Route{{Method: "POST", Path: "/api/keys", Command: true, Handle: func(x *handlers.Exchange) error {
		var in struct {
			Label string `json:"label"`
		}
		if err := x.Decode(&in); err != nil {
			return err
		}
		issued, err := w.Service.Create(x.Context(), x.Call(), &ledger.Create{Name: in.Label})
		if err != nil {
			return err
		}
		return x.WriteJSON(http.StatusCreated, map[string]string{"secret": issued.Token.Reveal()})
	}}}
	if err := w.Server.Mount(routes, render); err != nil {
		t.Fatal(err)
	}
	ask := func(method, body string, header map[string]string) *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		w.Server.ServeHTTP(recorder, request(method, "/api/keys", body, header))
		return recorder
	}
	for want, got := range map[string]*httptest.ResponseRecorder{
		`401 {"error":"unauthenticated"}`:        ask("POST", `{}`, with("Authorization", "-")),
		`400 {"error":"invalid"}`:                ask("POST", `{"x":1}`, nil),
		`415 {"error":"unsupported_media_type"}`: ask("POST", `{}`, with("Content-Type", "text/plain")),
		`405 {"error":"method_not_allowed"}`:     ask("GET", "", nil),
	} {
		if text := fmt.Sprintf("%d %s", got.Code, strings.TrimSpace(got.Body.String())); text != want {
			t.Errorf("%s, want %s", text, want)
		}
	}
	first, again := ask("POST", `{"label":"a"}`, with("Idempotency-Key", "k")), ask("POST", `{"label":"a"}`, with("Idempotency-Key", "k"))
	if first.Code != http.StatusCreated || first.Body.String() != again.Body.String() {
		t.Errorf("%s, then %s", first.Body, again.Body)
	}
}

func TestRequestID(t *testing.T) {
	w := newWorld(t)
	for sent, honoured := range map[string]bool{
		"abc-123_.:/+=@|,;": true, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "": false, "a b": false, "ä": false, `a"b`: false,
	} {
		a := w.do("POST", "/v1/agents", `{"name":"`+fmt.Sprint(w.log.Len())+`"}`, with("X-Request-Id", sent))
		hasStatus(t, a, http.StatusCreated)
		id := a.Header.Get("X-Request-Id")
		if (id == sent) != honoured || id == "" {
			t.Errorf("%q became %q", sent, id)
		}
		if line := w.Lines.Last(); line["request_id"] != id {
			t.Errorf("the access line has %v, not %q", line["request_id"], id)
		}
		event := w.pages(fmt.Sprintf("/v1/events?from=%d", w.log.Len()-1), "requestid")
		if event[0] != id {
			t.Errorf("the event has %q, not %q", event[0], id)
		}
	}
	refused := w.do("GET", "/v1/keys/x", "", with("X-Request-Id", "mine"))
	if refused.field("request_id") != "mine" {
		t.Errorf("%s", refused.text)
	}
}

// Commands and reads tell how far the ledger they show is; a node waits for what a client has seen elsewhere.
func TestSequence(t *testing.T) {
	w := newWorld(t)
	created := w.do("POST", "/v1/keys", `{}`, nil)
	if got, want := created.Header.Get("Keyledger-Sequence"), fmt.Sprint(created.field("sequence")); got != want {
		t.Errorf("the create is at %q, want %q", got, want)
	}
	read := w.do("GET", "/v1/keys", "", with("Keyledger-Min-Sequence", created.Header.Get("Keyledger-Sequence")))
	hasStatus(t, read, http.StatusOK)
	if read.Header.Get("Keyledger-Sequence") != created.Header.Get("Keyledger-Sequence") {
		t.Errorf("the list is at %q", read.Header.Get("Keyledger-Sequence"))
	}
	// A request for the next sequence waits until it is there.
	next := fmt.Sprint(w.log.Len() + 1)
	done := make(chan *answer)
	waiting := make(chan struct{})
	go func() {
		close(waiting)
		done <- w.do("GET", "/v1/keys", "", with("Keyledger-Min-Sequence", next))
	}()
	<-waiting
	w.key(ledger.Create{})
	if a := <-done; a.StatusCode != http.StatusOK || a.Header.Get("Keyledger-Sequence") < next {
		t.Errorf("%d at %s, want 200 at %s", a.StatusCode, a.Header.Get("Keyledger-Sequence"), next)
	}
}

// Whatever the log does, a command is answered 503 with a time to come back, and an overloaded one stored nothing.
func TestLogFaults503(t *testing.T) {
	for name, fault := range map[string]ledgertest.Fault{
		"overloaded":  {Err: ledger.ErrOverloaded},
		"unavailable": {Err: ledger.ErrUnavailable},
		"lost answer": {Err: ledger.ErrUnavailable, Applied: true},
		"timed out":   {Err: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, c := range [][2]string{{"POST", "/v1/keys"}, {"PATCH", "/v1/keys/{active.id}"}, {"POST", "/v1/keys/{active.id}/rotate"},
				{"POST", "/v1/keys/{active.id}/disable"}, {"POST", "/v1/keys/{active.id}/revoke"}, {"POST", "/v1/agents"}} {
				path := cast(w).Replace(c[1])
				w.log.FailNext(ledgertest.OpAppend, fault)
				body := `{"name":"new"}`
				if strings.Contains(path, "rotate") || strings.Contains(path, "able") || strings.Contains(path, "revoke") {
					body = ""
				}
				a := w.do(c[0], path, body, nil)
				if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %d, Retry-After %q\n%s", c[1], a.StatusCode, a.Header.Get("Retry-After"), a.text)
				}
				if stored := a.events > 0; stored != fault.Applied {
					t.Errorf("%s: stored is %v", c[1], stored)
				}
			}
		})
	}
}

func TestAccessLine(t *testing.T) {
	w := newWorld(t)
	fill := cast(w)
	w.do("GET", fill.Replace("/v1/keys/{active.id}"), "", with("X-Request-Id", "mine"))
	line := w.Lines.Last()
	for name, want := range map[string]any{
		"msg": "request", "level": "INFO", "method": "GET", "route": "/v1/keys/{id}", "status": 200.0, "ip": "192.0.2.1",
		"request_id": "mine", "by": fill.Replace("{root.id}"), "key": fill.Replace("{active.id}"),
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if line["took"] == nil || line["bytes"] == nil || line["error"] != nil {
		t.Errorf("%v", line)
	}
	// Tokens in places where they do not belong: the world checks at its end that no line shows one.
	token := fill.Replace("{active.token}")
	w.do("GET", "/v1/keys/"+token, "", nil)
	w.do("GET", "/v1/keys?token="+token, "", nil)
	w.do("GET", "/"+token, "", nil)
	w.do("POST", "/v1/keys", `{"`+token+`":1}`, nil)
	w.do("GET", "/v1/keys", "", with("Authorization", token))
	w.do("GET", "/v1/keys", "", with("Keyledger-Min-Sequence", token))
	if got := strings.Count(w.Lines.String(), "\n"); got != 7 {
		t.Errorf("7 requests made %d lines", got)
	}
}

func TestTrustedProxies(t *testing.T) {
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	})
	for _, c := range []struct{ remote, forwarded, want string }{
		{"203.0.113.7:1", "198.51.100.1", "203.0.113.7"}, // not trusted: its word counts for nothing
		{"10.0.0.1:1", "", "10.0.0.1"},
		{"10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"10.0.0.1:1", "1.1.1.1, nonsense, 10.0.0.2", "10.0.0.2"},
		{"[::1]:1", "2001:db8::1", "2001:db8::1"},
		{"[::ffff:10.0.0.1]:1", "198.51.100.1", "198.51.100.1"},
	} {
		r := request("GET", "/healthz", "", with("X-Forwarded-For", c.forwarded))
		r.RemoteAddr = c.remote
		w.send(r)
		if got := w.Lines.Last()["ip"]; got != c.want {
			t.Errorf("from %s for %q: %v, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	fill := cast(w)
	for range 3 {
		w.do("POST", "/v1/keys/verify", fill.Replace(`{"token":"{active.token}"}`), nil)
	}
	w.do("POST", "/v1/keys/verify", fill.Replace(`{"token":"{revoked.token}"}`), nil)
	w.do("GET", "/v1/authorize", "", with("Authorization", fill.Replace("Bearer {active.token}")))
	w.do("GET", fill.Replace("/v1/keys/{absent.id}"), "", nil)
	w.do("HEAD", fill.Replace("/v1/keys/{active.id}"), "", nil)
	w.do("GET", "/nothing/here", "", nil)
	text := string(w.do("GET", "/metrics", "", nil).text)
	for _, want := range []string{
		`keyledger_http_requests_total{code="200",method="POST",route="/v1/keys/verify"} 4`,
		`keyledger_http_requests_total{code="404",method="GET",route="/v1/keys/{id}"} 1`,
		`keyledger_http_requests_total{code="200",method="GET",route="/v1/keys/{id}"} 1`,
		`keyledger_http_requests_total{code="404",method="",route=""} 1`,
		`keyledger_http_request_duration_seconds_count{method="POST",route="/v1/keys/verify"} 4`,
		`keyledger_verifications_total{code="VALID"} 4`,
		`keyledger_verifications_total{code="REVOKED"} 1`,
		`keyledger_http_requests_in_flight 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "nothing/here") {
		t.Error("a path that no route has became a label")
	}
}

func TestMetricsPublic200(t *testing.T) {
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) { c.MetricsPublic = true })
	hasStatus(t, w.do("GET", "/metrics", "", with("Authorization", "-")), http.StatusOK)
}

func TestNewRefusesHalfAConfig(t *testing.T) {
	w := newWorld(t)
	for name, spoil := range map[string]func(*handlers.Config){
		"no service":     func(c *handlers.Config) { c.Service = nil },
		"no memo":        func(c *handlers.Config) { c.Memo = nil },
		"a short secret": func(c *handlers.Config) { c.Secret = make([]byte, 31) },
		"no name":        func(c *handlers.Config) { c.LedgerName = "" },
		"a long timeout": func(c *handlers.Config) { c.Timeout = time.Minute },
	} {
		c := w.config
		c.Registerer = prometheus.NewRegistry()
		if _, err := handlers.New(c); err != nil {
			t.Fatalf("the whole one: %v", err)
		}
		c.Registerer = prometheus.NewRegistry()
		if spoil(&c); true {
			if _, err := handlers.New(c); err == nil {
				t.Errorf("%s: it was taken", name)
			}
		}
	}
}

// serve serves h on a loopback port as the program does, and returns its address.
func serve(t testing.TB, h http.Handler, config *tls.Config) string {
	t.Helper()
	return handlerstest.Serve(t, handlers.NewHTTPServer(h, slog.New(slog.DiscardHandler), config))
}

func TestHeaderLimit431(t *testing.T) {
	address := serve(t, newWorld(t).Server, nil)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

// A body without a length, over the limit: the answer comes without the rest being read, and the next request on a
// new connection is served.
func TestBodyLimitOverTheWire413(t *testing.T) {
	w := newWorld(t)
	address := serve(t, w.Server, nil)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", rootToken)
	fmt.Fprintf(conn, "%x\r\n%s\r\n", 70<<10, bytes.Repeat([]byte{' '}, 70<<10)) // and no end
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusRequestEntityTooLarge || err != nil {
		t.Errorf("%d %v\n%s", response.StatusCode, err, text)
	}
}

func TestTLSVersion(t *testing.T) {
	w := newWorld(t)
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	address := serve(t, w.Server, &tls.Config{Certificates: certificate.TLS.Certificates})
	dial := func(most uint16) error {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: most})
		if err == nil {
			conn.Close()
		}
		return err
	}
	if dial(tls.VersionTLS11) == nil {
		t.Error("TLS 1.1 is taken")
	}
	if err := dial(tls.VersionTLS12); err != nil {
		t.Error(err)
	}
}

// The buffered lines are written out in time, when there are many, and at the end.
func TestLogWriter(t *testing.T) {
	read, write := io.Pipe()
	buffered := handlers.NewLogWriter(write, time.Millisecond)
	got := make(chan string)
	go func() {
		in := bufio.NewScanner(read)
		for in.Scan() {
			got <- in.Text()
		}
		close(got)
	}()
	for _, line := range []string{"one", "two"} {
		fmt.Fprintln(buffered, line)
		if text := <-got; text != line {
			t.Errorf("%q, want %q", text, line)
		}
	}
	var whole bytes.Buffer
	slow := handlers.NewLogWriter(&whole, time.Hour)
	long := strings.Repeat("x", 1000)
	for range 100 {
		fmt.Fprintln(slow, long)
	}
	if whole.Len() == 0 {
		t.Error("100 kB are held back")
	}
	if err := slow.Close(); err != nil || whole.Len() != 100*1001 {
		t.Errorf("%d bytes after Close, %v", whole.Len(), err)
	}
	_ = write.Close()
}
