package openlayer_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers/handlerstest"
)

// recorded is a request as a client of the vendor's sent it.
type recorded struct {
	Client     string      `json:"client"`
	Method     string      `json:"method"`
	Target     string      `json:"target"`
	RawHeaders [][2]string `json:"rawHeaders"`
	Body       string      `json:"body"`
}

// recordedRequests are those of testdata/client-requests.jsonl.
func recordedRequests(t testing.TB) []recorded {
	t.Helper()
	text, err := os.ReadFile("testdata/client-requests.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var list []recorded
	for line := range bytes.Lines(text) {
		var r recorded
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// bytes is what went over the wire, but for the address and the token.
func (r *recorded) bytes(address, token string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	for _, h := range r.RawHeaders {
		switch strings.ToLower(h[0]) {
		case "host":
			h[1] = address
		case "authorization":
			h[1] = "Bearer " + token
		}
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n" + r.Body)
	return b.Bytes()
}

// send sends it over a connection of its own.
func (r *recorded) send(t testing.TB, url, token string) handlerstest.Response {
	t.Helper()
	address := strings.TrimPrefix(url, "http://")
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(r.bytes(address, token)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.Method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return handlerstest.Response{Status: response.StatusCode, Header: response.Header, Body: text}
}

// apiKey is what the vendor's clients decode: what is required of it must be there.
type apiKey struct {
	ID           *uuid.UUID      `json:"id"`
	Name         *string         `json:"name"`
	DateCreated  *time.Time      `json:"dateCreated"`
	DateUpdated  *time.Time      `json:"dateUpdated"`
	DateLastUsed json.RawMessage `json:"dateLastUsed"` // required, may be null
	SecureKey    *string         `json:"secureKey"`
	Status       *string         `json:"status"` // required by the second generation
	Secret       *string         `json:"secret"`
}

// What the vendor's clients send, byte for byte, makes a key that they can read.
func TestRecordedRequests(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	all := recordedRequests(t)
	if len(all) != 5 {
		t.Fatalf("%d requests are recorded", len(all))
	}
	for i, r := range all {
		t.Run(fmt.Sprint(i, " ", r.Client), func(t *testing.T) {
			before := w.Events(t)
			answer := r.send(t, w.URL, w.token)
			w.hide(&answer)
			if n := w.Events(t) - before; answer.Status != 201 || n != 1 || answer.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d, %d events, %v: %s", answer.Status, n, answer.Header, answer.Body)
			}
			var k apiKey
			if err := json.Unmarshal(answer.Body, &k); err != nil {
				t.Fatalf("%v: %s", err, answer.Body)
			}
			if k.ID == nil || k.DateCreated == nil || k.DateUpdated == nil || string(k.DateLastUsed) != "null" || k.Status == nil {
				t.Fatalf("a required member is missing: %s", answer.Body)
			}
			var sent struct{ Name *string }
			if err := json.Unmarshal([]byte(r.Body), &sent); err != nil {
				t.Fatal(err)
			}
			if (sent.Name == nil) != (k.Name == nil) || sent.Name != nil && *sent.Name != *k.Name {
				t.Errorf("the name of %s became %s", r.Body, answer.Body)
			}
			if k.SecureKey == nil || k.Secret == nil || *k.Secret != *k.SecureKey || w.verdict(t, *k.SecureKey) != "VALID" {
				t.Errorf("there is no key that is valid: %s", answer.Body)
			}
		})
	}
}

// A client whose token is not good gets an answer that it can show, and appends nothing.
func TestRecordedRequestsRefused(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	for _, r := range recordedRequests(t) {
		before := w.Events(t)
		answer := r.send(t, w.URL, "tok")
		if refusal(t, &answer); answer.Status != 401 || w.Events(t) != before {
			t.Errorf("%s: %d, %d events", r.Client, answer.Status, w.Events(t)-before)
		}
	}
}
