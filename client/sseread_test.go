package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// block is an event of a stream.
func block(sequence int, id uuid.UUID) string {
	return fmt.Sprintf("id: %d\ndata: {\"specversion\":\"1.0\",\"id\":%q,\"type\":\"keyledger.key.created\",\"sequence\":\"%d\",\"data\":{}}\n\n",
		sequence, id, sequence)
}

// TestSSEOtherLedger: who goes on in a ledger that does not have what was read before is told so.
func TestSSEOtherLedger(t *testing.T) {
	a, b := uuid.New(), uuid.New()
	for name, second := range map[string]string{
		"another event": block(5, b),
		"a later one":   block(6, b),
		"passed over":   "id: 4\n\nid: 7\n\n",
		"it is behind":  "409",
	} {
		t.Run(name, func(t *testing.T) {
			answers := []string{"id: 4\n\n" + block(5, a), second}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := answers[0]
				if answers = answers[1:]; answer == "409" {
					w.WriteHeader(http.StatusConflict)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = w.Write([]byte(answer))
				if want := map[bool]string{true: "5", false: "1"}[len(answers) == 0]; r.URL.Query().Get("from") != want {
					t.Errorf("it asks for %q, not %s", r.URL.Query().Get("from"), want)
				}
			}))
			defer server.Close()
			c, err := New(server.URL, NewToken("x"))
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			var end error
			for e, err := range c.Subscribe(t.Context(), EventFilter{}, 0) {
				if end = err; err == nil {
					got = append(got, e.Sequence)
				}
			}
			if !errors.Is(end, ErrLedger) || fmt.Sprint(got) != "[5]" {
				t.Fatalf("got %v and %v", got, end)
			}
		})
	}
}

// FuzzSSE: whatever a server sends, events come in ascending order, and the place never moves back.
func FuzzSSE(f *testing.F) {
	f.Add("retry: 1000\nid: 4\n\n" + block(5, uuid.New()) + ": heartbeat\nid: 9\n\n" + block(10, uuid.New()))
	f.Add(block(5, uuid.New()) + block(5, uuid.New()))
	f.Add("data: {}\n\n")
	f.Add("id: 18446744073709551615\n\n")
	f.Add("id\ndata\n:\n\n\n")
	f.Fuzz(func(t *testing.T, body string) {
		at := place{next: 3}
		var last uint64
		r := &sseReader{at: &at, give: func(e Event) error {
			if e.Sequence <= last || at.last != e.Sequence {
				t.Fatalf("event %d follows event %d", e.Sequence, last)
			}
			last = e.Sequence
			return nil
		}}
		if err := r.read(strings.NewReader(body), func() {}); err == nil {
			t.Fatal("it has no end")
		}
		if at.next < 3 || at.last > 0 && at.next <= at.last {
			t.Fatalf("the place is %+v", at)
		}
	})
}
