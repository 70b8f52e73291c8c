package handlers_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers"
	"keyledger/ledger"
)

// What is past and what comes are one sequence, in both forms, with every filter, and as the pages show it.
func TestStreamJoinsPastAndPresent(t *testing.T) {
	w := newWorld(t)
	fill := cast(w)
	address := serve(t, w.Server, nil)
	for _, path := range []string{"/v1/events?from=1", "/v1/events?from=5", "/v1/events?from=0&workspace_id=acme",
		"/v1/events?from=1&agent_id=bot7&org_id=eu", "/v1/keys/{active.id}/events?from=1", "/v1/keys/{active.id}/events?from=9"} {
		for _, media := range []string{sse, lined} {
			path := fill.Replace(path)
			page := strings.Replace(path, "?", "?limit=1000&", 1)
			past := history(t, address, page)
			l := listen(t, address, path, media)
			same(t, path, l.take(len(past)), past)
			for i := range 5 { // only every other one is of the key, and of acme
				name := fmt.Sprintf(`{"name":"%s %d"}`, media, i)
				hasStatus(t, w.do("PATCH", fill.Replace("/v1/keys/{other.id}"), name, nil), http.StatusOK)
				hasStatus(t, w.do("PATCH", fill.Replace("/v1/keys/{active.id}"), name, nil), http.StatusOK)
			}
			all := history(t, address, page)
			if len(all) < len(past)+5 {
				t.Fatalf("%d events came", len(all)-len(past))
			}
			same(t, path, l.take(len(all)-len(past)), all[len(past):])
			l.hangUp()
		}
	}
}

// Without a place to begin, a stream has what comes from now on; with until=now it has all there is, and ends.
func TestStreamBeginsAndEnds(t *testing.T) {
	w := newWorld(t)
	fill := cast(w)
	address := serve(t, w.Server, nil)
	all := history(t, address, "/v1/events?limit=1000")
	for _, media := range []string{sse, lined} {
		l := listen(t, address, "/v1/events?until=now", media)
		same(t, media, l.take(len(all)), all)
		if err := l.end(); err != io.EOF {
			t.Fatal(err)
		}
		if media == sse && l.lastID != strconv.Itoa(w.log.Len()) {
			t.Errorf("it ends at %s of %d", l.lastID, w.log.Len())
		}
		last := all[len(all)-1]
		for _, nothing := range []*client{
			listen(t, address, "/v1/events?until=now&from="+strconv.Itoa(w.log.Len()+1), media),
			listen(t, address, "/v1/events?until=now&from=1", media, "Last-Event-ID", strconv.Itoa(w.log.Len())),
			listen(t, address, "/v1/events?until=now&workspace_id=none", media),
		} {
			if err := nothing.end(); err != io.EOF {
				t.Fatal(err)
			}
		}
		l = listen(t, address, "/v1/events?until=now&from=1", media, "Last-Event-ID", all[len(all)-2].id)
		same(t, "Last-Event-ID goes before from", l.take(1), []event{last})
		l = listen(t, address, "/v1/events?until=now", media, "Last-Event-ID", "")
		same(t, "an empty Last-Event-ID is none", l.take(1), all[:1])

		l = listen(t, address, "/v1/events", media)
		hasStatus(t, w.do("PATCH", fill.Replace("/v1/keys/{active.id}"), `{"name":"`+media+`"}`, nil), http.StatusOK)
		if e := l.must(); !strings.Contains(e.text, media) {
			t.Errorf("the first event is %s", e.text)
		}
		all = history(t, address, "/v1/events?limit=1000")
	}
}

// Who lost the connection before the first event came has the place to resume at.
func TestStreamBeginsWithAnID(t *testing.T) {
	w := newWorld(t)
	address := serve(t, w.Server, nil)
	l := listen(t, address, "/v1/events", sse)
	for range 3 {
		line, err := l.body.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			l.lastID = strings.TrimSpace(id)
		}
	}
	l.hangUp()
	w.key(ledger.Create{Name: "missed"})
	if e := listen(t, address, "/v1/events", sse, "Last-Event-ID", l.lastID).must(); !strings.Contains(e.text, "missed") {
		t.Error(e)
	}
}

func TestStreamOfTypes(t *testing.T) {
	w := newWorld(t)
	cast(w)
	address := serve(t, w.Server, nil)
	var want []event
	for _, e := range history(t, address, "/v1/events?limit=1000") {
		if strings.Contains(e.text, `"type":"keyledger.key.revoked"`) || strings.Contains(e.text, `"type":"keyledger.agent.registered"`) {
			want = append(want, e)
		}
	}
	l := listen(t, address, "/v1/events?type=key.revoked,keyledger.agent.registered&from=1", sse)
	same(t, "types", l.take(len(want)), want)
	issued := w.key(ledger.Create{Name: "not wanted"})
	if _, err := w.Service.Revoke(t.Context(), &w.Call, issued.Key.ID, "wanted"); err != nil {
		t.Fatal(err)
	}
	if e := l.must(); !strings.Contains(e.text, `"reason":"wanted"`) {
		t.Error(e.text)
	}
}

// A client that reads from the beginning while more is appended than the feed holds misses nothing.
func TestStreamBehindTheFeed(t *testing.T) {
	w := newWorld(t)
	address := serve(t, w.Server, nil)
	fill := cast(w)
	const changes = 6000
	key := uuid.MustParse(fill.Replace("{active.id}"))
	paths := []string{"/v1/events?from=1", fill.Replace("/v1/keys/{active.id}/events?from=1")}
	var listeners []*client
	for _, path := range paths {
		listeners = append(listeners, listen(t, address, path, sse), listen(t, address, path, lined))
	}
	var changing sync.WaitGroup
	defer changing.Wait()
	changing.Go(func() {
		for i := range changes {
			name := strconv.Itoa(i)
			if _, err := w.Service.Update(t.Context(), &w.Call, key, &ledger.Update{Name: &name}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i, l := range listeners {
		var got []event
		for len(got) == 0 || !strings.Contains(got[len(got)-1].text, `"name":"5999"`) {
			got = append(got, l.must())
		}
		same(t, paths[i/2], got, history(t, address, paths[i/2]+"&limit=1000"))
	}
}

func TestStreamHeartbeats(t *testing.T) {
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) { c.Stream.Heartbeat = 20 * time.Millisecond })
	server := handlers.NewHTTPServer(w.Server, slog.New(slog.DiscardHandler), nil)
	server.ReadTimeout, server.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond // they must not end a stream
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	for _, media := range []string{sse, lined} {
		l := listen(t, listener.Addr().String(), "/v1/events?workspace_id=acme", media)
		w.key(ledger.Create{Name: "not acme's"})
		for range 10 {
			line, err := l.body.ReadString('\n')
			for ; err == nil && line != ": heartbeat\n" && (media == sse || line != "\n"); line, err = l.body.ReadString('\n') {
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if media == sse { // the place has moved past what does not matter
			if line, _ := l.body.ReadString('\n'); line != fmt.Sprintf("id: %d\n", w.log.Len()) {
				t.Errorf("after %d events: %s", w.log.Len(), line)
			}
			_, _ = l.body.ReadString('\n') // the end of the block
		}
		w.key(ledger.Create{Name: "acme's", Owner: ledger.Owner{Workspace: "acme"}})
		if e := l.must(); !strings.Contains(e.text, "acme's") {
			t.Error(e)
		}
	}
}

// Over HTTP/2 a stream has no other limits either.
func TestStreamOverHTTP2(t *testing.T) {
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) {
		c.Stream = handlers.StreamConfig{Heartbeat: 700 * time.Millisecond, Patience: 500 * time.Millisecond}
	})
	server := httptest.NewUnstartedServer(w.Server)
	server.EnableHTTP2 = true
	server.Config.WriteTimeout = time.Second
	server.StartTLS()
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + rootToken}, "Accept": {lined}}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	l := &client{t: t, answer: answer, body: bufio.NewReader(answer.Body)}
	for range 3 {
		if line, err := l.body.ReadString('\n'); line != "\n" || err != nil {
			t.Fatalf("%q, %v over %s", line, err, answer.Proto)
		}
	}
	w.key(ledger.Create{Name: "after three heartbeats"})
	if e := l.must(); !strings.Contains(e.text, "after three heartbeats") || answer.ProtoMajor != 2 {
		t.Errorf("%v over %s", e, answer.Proto)
	}
}

func TestHeadOfAStream(t *testing.T) {
	w := newWorld(t)
	for _, media := range []string{sse, lined} {
		a := w.do("HEAD", "/v1/events", "", with("Accept", media))
		hasStatus(t, a, http.StatusOK)
		if len(a.text) != 0 || a.Header.Get("Content-Type") != media {
			t.Errorf("%s: %q", a.Header.Get("Content-Type"), a.text)
		}
		hasStatus(t, w.do("HEAD", "/v1/events?from=1000", "", with("Accept", media)), http.StatusConflict)
	}
}

func TestAcceptDecidesTheForm(t *testing.T) {
	w := newWorld(t)
	for accept, want := range map[string]string{
		"-": "application/json", "*/*": "application/json", "application/json": "application/json", "text/html": "application/json",
		sse: sse, lined: lined, "application/json, " + sse: "application/json", sse + ", application/json": sse,
		sse + ";q=0.5, application/json;q=0.4": sse, sse + ";q=0.5," + lined: lined, sse + ";q=0": "application/json",
		sse + ";q=x": "application/json", "text/html, */*;q=0.1, " + lined + ";q=0.2": lined, ",;,": "application/json",
	} {
		if got := w.do("HEAD", "/v1/events", "", with("Accept", accept)).Header.Get("Content-Type"); got != want {
			t.Errorf("%s gives %s, want %s", accept, got, want)
		}
	}
}

// When the server stops, streams end at once.
func TestStreamsEndWithTheServer(t *testing.T) {
	w := newWorld(t)
	server := handlers.NewHTTPServer(w.Server, slog.New(slog.DiscardHandler), nil)
	server.RegisterOnShutdown(w.Server.EndStreams)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	address := listener.Addr().String()
	first, second := listen(t, address, "/v1/events", sse), listen(t, address, "/v1/events", lined)
	began := time.Now()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	for _, l := range []*client{first, second} {
		if err := l.end(); err != io.EOF {
			t.Error(err)
		}
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// A stream that is ended before the end that it has is seen to be cut; one without an end just ends.
func TestStreamThatIsNotWhole(t *testing.T) {
	w := newWorld(t)
	address := serve(t, w.Server, nil)
	w.Server.EndStreams()
	for _, media := range []string{sse, lined} {
		if err := listen(t, address, "/v1/events?until=now", media).end(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("with an end: %v", err)
		}
		if err := listen(t, address, "/v1/events?from=1", media).end(); err != io.EOF {
			t.Errorf("without: %v", err)
		}
	}
}

// There is one access line for a stream, when it ends: with its bytes, and with why it ended when that matters.
func TestStreamHasOneAccessLine(t *testing.T) {
	w := newWorld(t)
	address := serve(t, w.Server, nil)
	key := w.key(ledger.Create{Scopes: []string{ledger.ScopeEvents}})
	l := listen(t, address, "/v1/events?from=1", sse, "Authorization", "Bearer "+key.Token.Reveal())
	l.take(2)
	before := strings.Count(w.Lines.String(), "\n")
	if _, err := w.Service.Revoke(t.Context(), &w.Call, key.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	l.end()
	line := w.waitForLine("/v1/events")
	if line["code"] != "unauthenticated" || line["status"] != 200.0 || line["error"] != nil || line["bytes"].(float64) < 500 ||
		line["by"] != key.Key.ID.String() {
		t.Errorf("revoked: %v", line)
	}
	if n := strings.Count(w.Lines.String(), "\n"); n != before+1 {
		t.Errorf("%d lines", n-before)
	}
	l = listen(t, address, "/v1/keys/"+key.Key.ID.String()+"/events", sse)
	l.hangUp()
	line = w.waitForLine("/v1/keys/{id}/events")
	if line["code"] != nil || line["error"] != nil || line["key"] != key.Key.ID.String() {
		t.Errorf("gone: %v", line)
	}
	w.waitForMetric("keyledger_streams_open", 0)
	w.waitForMetric("keyledger_streams_dropped_total", 0)
}
