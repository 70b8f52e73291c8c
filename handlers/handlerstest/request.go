package handlerstest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Request is a request to a World.
type Request struct {
	Method string
	Target string            // path and query
	Token  string            // sent as "Authorization: Bearer"; empty: none
	Header map[string]string // over what is sent else; a value of "-" leaves a header out
	Body   string            // sent as application/json unless Header says otherwise
}

// Response is the answer to it. Redirections are not followed.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Field is what stands at a dotted path in the body: see Field.
func (r *Response) Field(path string) any { return Field(r.Body, path) }

// Field is what stands at a dotted path in the JSON object in text, nil when nothing does.
func Field(text []byte, path string) any {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return nil
	}
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// Do sends a request over the network, as a client does.
func (w *World) Do(t testing.TB, in Request) Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), in.Method, w.URL+in.Target, strings.NewReader(in.Body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "tests")
	if in.Body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if in.Token != "" {
		r.Header.Set("Authorization", "Bearer "+in.Token)
	}
	for name, value := range in.Header {
		if r.Header.Set(name, value); value == "-" {
			r.Header.Del(name)
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Response{Status: response.StatusCode, Header: response.Header, Body: text}
}

// Events is how many events the ledger holds: the sequence of the last one.
func (w *World) Events(t testing.TB) uint64 {
	t.Helper()
	last, err := w.Log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// Refuses sends a request that must be answered with a status, and must append nothing to the ledger.
func (w *World) Refuses(t testing.TB, in Request, status int) Response {
	t.Helper()
	before := w.Events(t)
	r := w.Do(t, in)
	if r.Status != status {
		t.Errorf("%s %s: %d, want %d\n%s", in.Method, in.Target, r.Status, status, r.Body)
	}
	if n := w.Events(t) - before; n != 0 {
		t.Errorf("%s %s: it was refused and appended %d events", in.Method, in.Target, n)
	}
	return r
}
