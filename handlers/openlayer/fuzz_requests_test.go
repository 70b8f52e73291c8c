package openlayer_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyledger/handlers"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// Whatever is sent to a route of the dialect, the answer is the vendor's: no panic, no fault of the server, a refusal in
// its form, and none that has appended anything.
func FuzzRequests(f *testing.F) {
	for _, seed := range [][4]string{
		{"POST", "w/api-keys", "", `{"name":"a","expiresAt":"2090-01-01T00:00:00Z"}`},
		{"POST", "w/api-keys", "Idempotency-Key: k", `{}`},
		{"POST", "w/api-keys", "Content-Type: text/plain", `{"name":null}`},
		{"GET", "w/api-keys?x=%zz", "", ""},
		{"GET", "w/api-keys/{id}", "", ""},
		{"PUT", "w/api-keys/{id}", "", `{"name":"b"}`},
		{"DELETE", "w/api-keys/{id}", "", ""},
		{"POST", "w/api-keys/{id}/rotate", "", `{"gracePeriodHours":1,"expiresAt":null}`},
		{"POST", "%00%2f/api-keys", "", `{}`},
		{"PATCH", "w/api-keys", "Keyledger-Min-Sequence: 1", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], []byte(seed[3]))
	}
	w := newWorld(f, handlerstest.Options{Configure: func(c *handlers.Config, _ *ledger.Config) {
		c.Logger = slog.New(slog.DiscardHandler)
	}})
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte) {
		if strings.Contains(target, "{id}") {
			k, err := w.Service.Create(t.Context(), &w.Call, &ledger.Create{Owner: ledger.Owner{Workspace: "w"}})
			if err != nil {
				t.Fatal(err)
			}
			target = strings.ReplaceAll(target, "{id}", k.Key.ID.String())
		}
		raw := method + " /v1/workspaces/" + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
			w.Root + "\r\n" + header + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return // net/http refuses it
		}
		r.Body, r.ContentLength, r.RemoteAddr = io.NopCloser(bytes.NewReader(body)), int64(len(body)), "192.0.2.1:1"
		before := w.Events(t)
		recorder := httptest.NewRecorder()
		w.Server.ServeHTTP(recorder, r)
		appended := w.Events(t) - before
		var said struct{ Error, Message, Type string }
		_ = json.Unmarshal(recorder.Body.Bytes(), &said)
		waits := r.Header["Keyledger-Min-Sequence"] != nil && recorder.Code == http.StatusServiceUnavailable
		switch {
		case recorder.Code < 400:
		case recorder.Code >= 500 && !waits, appended > 0:
			t.Fatalf("%d, %d events\n%s", recorder.Code, appended, recorder.Body)
		case method != http.MethodHead && said.Type == "" && (said.Error == "" || said.Error != said.Message):
			t.Fatalf("%d is not a refusal of the vendor's form\n%s", recorder.Code, recorder.Body)
		}
	})
}
