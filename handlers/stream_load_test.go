package handlers_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/handlers"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// Whatever is appended meanwhile and wherever its connection is cut, a client that resumes gets exactly the events that
// it wants, once and in order.
func TestStreamResumes(t *testing.T) {
	s := newStack(t, slog.New(slog.DiscardHandler))
	owners := []ledger.Owner{{Workspace: "acme"}, {Workspace: "acme", Org: "eu"}, {Workspace: "other"}}
	root := ledger.Call{Principal: ledger.Principal{Scopes: ledger.ScopeAll}}
	fixed, err := s.Service.Create(t.Context(), &root, &ledger.Create{Name: "fixed", Owner: owners[1]})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		from := s.State.Position() + 1 - rapid.Uint64Range(0, min(s.State.Position(), 20)).Draw(rt, "past")
		path := fmt.Sprintf(rapid.SampledFrom([]string{"/v1/events?from=%d", "/v1/events?from=%d&workspace_id=acme",
			"/v1/events?from=%d&workspace_id=acme&org_id=eu", "/v1/keys/" + fixed.Key.ID.String() + "/events?from=%d"}).Draw(rt, "path"), from)
		media := rapid.SampledFrom([]string{sse, lined}).Draw(rt, "media")
		cuts := rapid.SliceOfN(rapid.IntRange(0, 4000), 0, 6).Draw(rt, "cuts") // after how many bytes
		writers := rapid.IntRange(1, 4).Draw(rt, "writers")
		var writing sync.WaitGroup
		for i := range writers {
			writing.Go(func() { s.change(root, owners[i%3], fixed.Key.ID) })
		}
		written := make(chan struct{})
		go func() {
			writing.Wait()
			close(written)
		}()
		var got []event
		last := ""
		for _, cut := range cuts {
			l := resume(t, s.address(), path, media, last)
			go func() { // nothing more comes then
				<-written
				l.hangUp()
			}()
			l.body = bufio.NewReader(io.LimitReader(l.answer.Body, int64(cut)))
			for {
				e, err := l.next() // of a block that is cut nothing counts
				if err != nil {
					break
				}
				last, got = e.id, append(got, e)
			}
			l.hangUp()
		}
		<-written
		end, err := s.Service.Create(t.Context(), &root, &ledger.Create{Name: "end", Owner: owners[1]})
		if err == nil {
			_, err = s.Service.Update(t.Context(), &root, fixed.Key.ID, &ledger.Update{Name: new(end.Key.ID.String())})
		}
		if err != nil {
			t.Fatal(err)
		}
		l := resume(t, s.address(), path, media, last)
		for len(got) == 0 || !strings.Contains(got[len(got)-1].text, `"name":"`+end.Key.ID.String()) {
			got = append(got, l.must())
		}
		l.hangUp()
		same(t, path, got, history(t, s.address(), path+"&limit=1000"))
	})
}

// resume opens a stream after the last event of another, if there was one.
func resume(t *testing.T, address, path, media, last string) *client {
	t.Helper()
	if last == "" {
		return listen(t, address, path, media)
	}
	return listen(t, address, path, media, "Last-Event-ID", last)
}

// change appends some events, among them one of a key that others change too.
func (s *stack) change(by ledger.Call, owner ledger.Owner, shared uuid.UUID) {
	for i := range 3 {
		issued, err := s.Service.Create(s.t.Context(), &by, &ledger.Create{Name: strconv.Itoa(i), Owner: owner})
		if err == nil {
			_, err = s.Service.Revoke(s.t.Context(), &by, issued.Key.ID, "done")
		}
		if err == nil {
			_, err = s.Service.Update(s.t.Context(), &by, shared, &ledger.Update{Name: new(issued.Key.ID.String())})
		}
		if err != nil {
			s.t.Error(err)
		}
	}
}

// tight is a listener whose connections hold little between the server and a client that does not read.
type tight struct{ net.Listener }

func (l tight) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4096)
	}
	return c, err
}

// A client that does not read is dropped, and can resume; the others get everything meanwhile.
func TestSlowClientIsDropped(t *testing.T) {
	w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) { c.Stream.Patience = 200 * time.Millisecond })
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := handlers.NewHTTPServer(w.Server, slog.New(slog.DiscardHandler), nil)
	go server.Serve(tight{raw})
	t.Cleanup(func() { server.Close() })
	address := raw.Addr().String()

	slow := rawStream(t, address, "/v1/events")
	_ = slow.(*net.TCPConn).SetReadBuffer(4096)
	quick := listen(t, address, "/v1/events", sse)
	w.waitForMetric("keyledger_streams_open", 2)
	first := w.log.Len()
	metadata := json.RawMessage(`{"text":"` + strings.Repeat("x", 3900) + `"}`)
	const count = 500
	for range count {
		w.key(ledger.Create{Metadata: metadata})
		quick.must()
	}
	w.waitForMetric("keyledger_streams_dropped_total", 1)
	w.waitForMetric("keyledger_streams_open", 1)
	line := w.waitForLine("did not take in time")
	if line["route"] != "/v1/events" || line["level"] != "INFO" || line["status"] != 200.0 || line["bytes"].(float64) < 4096 {
		t.Errorf("the access line is %v", line)
	}
	// What it was sent is whole up to where it was cut.
	l := &client{t: t, body: bufio.NewReader(slow), answer: &http.Response{Header: http.Header{}}}
	answer, err := http.ReadResponse(l.body, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.body = bufio.NewReader(answer.Body)
	var got []event
	for {
		e, err := l.next()
		if err != nil {
			break
		}
		got = append(got, e)
	}
	if len(got) == 0 || len(got) == count {
		t.Fatalf("it got %d events before it was dropped", len(got))
	}
	again := listen(t, address, "/v1/events", sse, "Last-Event-ID", got[len(got)-1].id)
	got = append(got, again.take(count-len(got))...)
	same(t, "resumed", got, history(t, address, fmt.Sprintf("/v1/events?limit=1000&from=%d", first+1)))
}

// rawStream opens a stream on a connection of its own, from which nothing is read.
func rawStream(t *testing.T, address, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: %s\r\n\r\n", path, rootToken, sse)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// metric is the value of a metric without labels.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	families, err := w.Metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	w.t.Fatalf("there is no metric %s", name)
	return 0
}

// waitForMetric waits until a metric has a value.
func (w *world) waitForMetric(name string, value float64) {
	w.t.Helper()
	w.waitUntil(name, func() bool { return w.metric(name) == value })
}

// waitForLine waits until the last access line has a text, and returns it decoded.
func (w *world) waitForLine(text string) map[string]any {
	w.t.Helper()
	w.waitUntil(text, func() bool { return strings.Contains(fmt.Sprint(w.Lines.Last()), text) })
	return w.Lines.Last()
}

func (w *world) waitUntil(what string, reached func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-ctx.Done():
			w.t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// A thousand clients that wait cost less than 30 MiB, and all of them get what comes.
func TestIdleStreamsAreCheap(t *testing.T) {
	w := newWorld(t)
	address := serve(t, w.Server, nil)
	const clients, limit = 1000, 30 << 20
	rawStream(t, address, "/v1/events") // what the first one costs is not counted
	w.waitForMetric("keyledger_streams_open", 1)
	before := memory(t)
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = rawStream(t, address, "/v1/events")
	}
	w.waitForMetric("keyledger_streams_open", clients+1)
	after := memory(t)
	t.Logf("%d bytes a client, %d in memory", (after.runtime-before.runtime)/clients, (after.resident-before.resident)/clients)
	if used := after.runtime - before.runtime; used > limit {
		t.Errorf("%d clients cost %d bytes", clients, used)
	}
	if used := after.resident - before.resident; used > limit && !ledgertest.Raced {
		t.Errorf("%d clients cost %d bytes of memory", clients, used)
	}
	w.key(ledger.Create{Name: "for all"})
	for i, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		buffer, text := make([]byte, 4096), []byte(nil)
		for !bytes.Contains(text, []byte("for all")) {
			n, err := conn.Read(buffer)
			if err != nil {
				t.Fatalf("client %d: %v\n%s", i, err, text)
			}
			text = append(text, buffer[:n]...)
		}
	}
	if got := w.metric("keyledger_stream_events_total"); got < clients {
		t.Errorf("%v events were counted", got)
	}
}

// usage is what this process takes: heap and stacks after a collection, and all that is in memory.
type usage struct{ runtime, resident int64 }

func memory(t *testing.T) usage {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{runtime: int64(m.HeapInuse + m.StackInuse)}
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return u // not on this system
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	u.resident = pages * int64(os.Getpagesize())
	return u
}
