package imtegrate_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyledger/handlers/handlerstest"
)

// Whatever is sent to a route of the dialect, the answer is a whole one of it: no panic, no fault of the server, and a
// refusal is FastAPI's and appends nothing.
func FuzzRequests(f *testing.F) {
	const keyed = "/v1/api-keys/182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"
	for _, seed := range []struct{ method, target, header, body string }{
		{"POST", "", "Content-Type: application/json", `{"name":"ab","scopes":["a"],"env":"live"}`},
		{"POST", "?a=%zz", "Content-Type: application/x+json", "\ufeff" + `{"name":"\ud83d\ude00b","name":NaN}`},
		{"POST", "", "X-Org-Id: x", `{"name":"\ud83d"}`},
		{"POST", "", "Content-Type: text/plain", "\xff"},
		{"POST", "", "Idempotency-Key: a", `{"name":"a\u0000b","scopes":[1,""," ","ledger:*"]}`},
		{"GET", "", "Keyledger-Min-Sequence: 1", ""},
		{"DELETE", strings.TrimPrefix(keyed, "/v1/api-keys"), "", ""},
		{"DELETE", "/%ff{%2F", "", ""},
		{"POST", "/urn:uuid:x/revoke", "", "{"},
	} {
		f.Add(seed.method, seed.target, seed.header, []byte(seed.body))
	}
	w := newWorld(f, handlerstest.Options{}, "by default")
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte) {
		for _, token := range []string{w.Root, w.caller} {
			raw := method + " /v1/api-keys" + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n" + header + "\r\n\r\n"
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				return // net/http refuses it
			}
			r.Body, r.ContentLength = http.NoBody, 0
			if len(body) > 0 {
				r.Body, r.ContentLength = httptest.NewRequest("POST", "/", bytes.NewReader(body)).Body, int64(len(body))
			}
			r.RemoteAddr = "192.0.2.1:1"
			before := w.Events(t)
			recorder := httptest.NewRecorder()
			w.Server.ServeHTTP(recorder, r)
			check(t, r, recorder, w.Events(t)-before)
			var k key
			if json.Unmarshal(recorder.Body.Bytes(), &k) == nil && k.Token != "" {
				w.Hide(k.Token)
			}
		}
	})
}

// check holds an answer against what every answer of the dialect is.
func check(t *testing.T, r *http.Request, answer *httptest.ResponseRecorder, events uint64) {
	status, waits := answer.Code, r.Header["Keyledger-Min-Sequence"] != nil && answer.Code == http.StatusServiceUnavailable
	if (status < 200 || status >= 500) && !waits {
		t.Fatalf("%d\n%s", status, answer.Body)
	}
	if status != http.StatusCreated && events != 0 {
		t.Fatalf("%d, and %d events", status, events)
	}
	if status < 400 || answer.Header().Get("Content-Type") == "application/problem+json" && status == http.StatusNotFound {
		return // no route has the path
	}
	var refusal struct {
		Detail any `json:"detail"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &refusal); err != nil && r.Method != http.MethodHead || refusal.Detail == nil {
		t.Fatalf("%d: %s", status, answer.Body)
	}
	if _, list := refusal.Detail.([]any); list != (status == http.StatusUnprocessableEntity) {
		t.Fatalf("%d: %s", status, answer.Body)
	}
}
