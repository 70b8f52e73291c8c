package agentex_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRoutes: no input gives a 500 or a panic, a refusal appends nothing, and every answer is JSON.
func FuzzRoutes(f *testing.F) {
	w := newWorld(f, false)
	for _, in := range w.routes("00000000-0000-7000-8000-000000000000") {
		f.Add(in.Method, in.Target, in.Body, "application/json", "")
	}
	f.Add("POST", "/agent_api_keys", `{"name":"\u00e9","agent_name":"test-agent","api_key_type":"github","api_key":"s"}`, "application/json", "acme")
	f.Add("POST", "/agents/register", `{"name":"a","description":"","acp_url":"","acp_type":"sync","registration_metadata":{"a":1e999}}`, "application/json", "\xff")
	f.Add("DELETE", "/agent_api_keys/%ff", "", "", "")
	f.Add("GET", "/agent_api_keys/name/%2e%2e?agent_name=test-agent&api_key_type=slack", "", "", "")
	f.Add("GET", "/agent_api_keys?agent_name=%ff&limit=+1&page_number=9223372036854775807", "", "", "")
	f.Fuzz(func(t *testing.T, method, target, body, kind, account string) {
		if !strings.HasPrefix(target, "/agent") {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+target, strings.NewReader(body))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:1"
		r.Header = http.Header{"Authorization": {"Bearer " + w.Root}, "Content-Type": {kind}, "X-Selected-Account-Id": {account}}
		before := w.Events(t)
		answer := httptest.NewRecorder()
		w.Server.ServeHTTP(answer, r)
		text := answer.Body.Bytes()
		if answer.Code >= 500 || r.Method != http.MethodHead && !json.Valid(text) {
			t.Fatalf("%s %q: %d %q", method, target, answer.Code, text)
		}
		if answer.Code >= 400 && w.Events(t) != before {
			t.Fatalf("%s %q: %d, and an event was appended", method, target, answer.Code)
		}
	})
}
