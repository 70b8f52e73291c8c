package handlers_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever is sent, the answer is a whole one of the API: no panic, no fault of the server, and a problem document when
// it is a refusal.
func FuzzRequests(f *testing.F) {
	for _, seed := range []struct{ method, target, header, body string }{
		{"POST", "/v1/keys", "", `{"name":"a","scopes":["b"],"metadata":{"c":1}}`},
		{"POST", "/v1/keys", "Idempotency-Key: k", `{}`},
		{"GET", "/v1/keys?limit=2&status=active", "", ""},
		{"GET", "/v1/keys/{id}", `If-None-Match: W/"3"`, ""},
		{"PATCH", "/v1/keys/{id}", `If-Match: "3"`, `{"name":"b","expires_at":null}`},
		{"POST", "/v1/keys/{id}/rotate", "", `{"grace_seconds":60}`},
		{"POST", "/v1/keys/{id}/disable", "", ""},
		{"POST", "/v1/keys/{id}/enable", "", "{}"},
		{"POST", "/v1/keys/{id}/revoke", "", `{"reason":"r"}`},
		{"POST", "/v1/keys/verify", "", `{"token":"kl_neverseenbutlongenough","scopes":["x"]}`},
		{"GET", "/v1/authorize?scope=a+b", "X-API-Key: x", ""},
		{"POST", "/v1/agents", "", `{"name":"bot","workspace_id":"w"}`},
		{"GET", "/v1/agents/a%2Fb?workspace_id=w", "", ""},
		{"GET", "/v1/workspaces/%00/keys?name=%C3%A4&cursor=AAAA", "", ""},
		{"GET", "/v1/keys/{id}/events?from=1&limit=3", "Keyledger-Min-Sequence: 1", ""},
		{"GET", "/v1/events?workspace_id=w&from=18446744073709551615", "", ""},
		{"GET", "/v1/events?type=key.created&from=2&until=now", "Accept: text/event-stream", ""},
		{"GET", "/v1/keys/{id}/events", "Accept: application/x-ndjson;q=0.5\r\nLast-Event-ID: 1", ""},
		{"GET", "/v1/keys/{id}/usage", "", ""},
		{"POST", "/v1/usage", "", `{"uses":[{"key_id":"{id}","count":1,"last_used_at":"2030-01-01T00:00:00Z"}]}`},
		{"POST", "/v1/webhooks", "", `{"url":"http://127.0.0.1:9/","types":["webhook.deleted"],"from_sequence":3}`},
		{"GET", "/v1/webhooks?limit=1&org_id=a", "", ""},
		{"GET", "/v1/webhooks/{id}/dead-letters?limit=1", "", ""},
		{"PATCH", "/v1/webhooks/{id}", "", `{"types":null}`},
		{"POST", "/v1/webhooks/{id}/replay", "", `{"from":1,"to":9223372036854775807}`},
		{"DELETE", "/v1/keys", "", ""},
		{"GET", "/metrics?x=%zz", "", ""},
	} {
		f.Add(seed.method, seed.target, seed.header, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte) {
		w := newWorld(t)
		target = strings.ReplaceAll(target, "{id}", w.Call.Principal.KeyID.String())
		raw := method + " " + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + rootToken +
			"\r\nContent-Type: application/json\r\n" + header + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return // net/http refuses it
		}
		r.Body, r.ContentLength = http.NoBody, 0
		if len(body) > 0 {
			r.Body, r.ContentLength = httptest.NewRequest("POST", "/", bytes.NewReader(body)).Body, int64(len(body))
		}
		r.RemoteAddr = "192.0.2.1:1"
		w.Server.EndStreams()
		recorder := httptest.NewRecorder()
		func() {
			defer func() {
				if v := recover(); v != nil && v != http.ErrAbortHandler { // a stream with an end was cut, as it had to be
					panic(v)
				}
			}()
			w.Server.ServeHTTP(recorder, r)
		}()
		status, mediaType := recorder.Code, recorder.Header().Get("Content-Type")
		waits := r.Header["Keyledger-Min-Sequence"] != nil && status == http.StatusServiceUnavailable
		if (status >= 500 || status < 200) && !waits {
			t.Fatalf("%d\n%s", status, recorder.Body)
		}
		if status >= 400 && mediaType != "application/problem+json" {
			t.Fatalf("%d is %s", status, mediaType)
		}
	})
}
