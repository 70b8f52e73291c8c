package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	sse   = "text/event-stream"
	lined = "application/x-ndjson"
)

// client is one of a stream: a reader of Server-Sent Events as WHATWG HTML section 9.2.6 has it, or of lines.
type client struct {
	t      testing.TB
	answer *http.Response
	body   *bufio.Reader
	hangUp context.CancelFunc
	lastID string // what to resume after
}

// listen opens a stream. What takes longer than 30 s in all fails.
func listen(t testing.TB, address, path, media string, header ...string) *client {
	t.Helper()
	l := dial(t, address, path, media, header...)
	if l.answer.StatusCode != http.StatusOK || l.answer.Header.Get("Content-Type") != media {
		text, _ := io.ReadAll(l.answer.Body)
		t.Fatalf("%s: %d, %s\n%s", path, l.answer.StatusCode, l.answer.Header.Get("Content-Type"), text)
	}
	return l
}

// dial asks for a stream, whatever the answer.
func dial(t testing.TB, address, path, media string, header ...string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+rootToken)
	r.Header.Set("Accept", media)
	for name, value := range with(header...) {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	l := &client{t: t, answer: answer, body: bufio.NewReader(answer.Body), hangUp: cancel}
	l.lastID = r.Header.Get("Last-Event-ID")
	return l
}

// event is what a client gets.
type event struct {
	id   string // of the block; of a line, its sequence
	text string
}

// next is the next event.
func (l *client) next() (event, error) {
	data, block := "", 0
	for {
		line, err := l.body.ReadString('\n')
		if err != nil {
			return event{}, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case l.answer.Header.Get("Content-Type") == lined && line == "", name == "" && value == "heartbeat":
			// it is alive
		case l.answer.Header.Get("Content-Type") == lined:
			l.lastID = sequence(l.t, line)
			return event{l.lastID, line}, nil
		case line == "" && data != "":
			return event{l.lastID, data}, nil
		case line == "" && block == 0:
			l.t.Fatal("an empty block")
		case name == "data":
			data += value
		case name == "id":
			l.lastID = value
		case name != "retry" && line != "":
			l.t.Fatalf("the line %q", line)
		}
		if block++; line == "" {
			block = 0
		}
	}
}

// must is next, which must not fail.
func (l *client) must() event {
	l.t.Helper()
	e, err := l.next()
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

// end fails unless the stream ends, within the time of listen, without another event.
func (l *client) end() error {
	l.t.Helper()
	e, err := l.next()
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		l.t.Fatalf("the stream goes on: %v %v", e, err)
	}
	return err
}

// sequence is that in the exchange form of an event.
func sequence(t testing.TB, text string) string {
	t.Helper()
	var e struct{ Sequence string }
	if err := json.Unmarshal([]byte(text), &e); err != nil || e.Sequence == "" {
		t.Fatalf("%v in %s", err, text)
	}
	return e.Sequence
}

// history are the events that pages of JSON show.
func history(t testing.TB, address, path string) (list []event) {
	t.Helper()
	for query, more := "", true; more; {
		l := dial(t, address, path+query, "application/json")
		var page struct {
			Data []json.RawMessage
			Next string `json:"next_cursor"`
		}
		if err := json.NewDecoder(l.body).Decode(&page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Data {
			list = append(list, event{sequence(t, string(e)), string(e)})
		}
		query, more = "&cursor="+page.Next, page.Next != ""
	}
	return list
}

// same fails unless the events are those.
func same(t testing.TB, what string, got, want []event) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%s: %d events, want %d; they differ at %d:\n%v\n%v", what, len(got), len(want), i,
				got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))])
		}
	}
}

// take are the next events.
func (l *client) take(n int) (list []event) {
	l.t.Helper()
	for range n {
		list = append(list, l.must())
	}
	return list
}
