package honcho_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyledger/handlers/handlerstest"
)

// Whatever is asked, by whoever, the answer is one of Honcho's: no panic, no fault of the server, an event when and only
// when a key is given, whose token verifies, and an exact expiry.
func FuzzCreate(f *testing.F) {
	for _, query := range []string{
		"workspace_id=a&peer_id=b&session_id=c&expires_at=2027-01-01T00:00:00.5%2B02:00",
		"workspace_id=a&expires_at=1798761600.5", "workspace_id=%C3%B6%F0%9F%98%80%22%5C&peer_id=",
		"workspace_id=%00", "workspace_id=%ff&x=;&%zz", "expires_at=0001-01-01T00:00%2b23:59&workspace_id=w",
		"expires_at=-99999999999999999999.9e9&workspace_id=w", "peer_id=p", "workspace_id=" + strings.Repeat("%F0%9F%98%80", 40),
	} {
		f.Add(query, "Bearer "+admin)
	}
	f.Add("workspace_id=w", "Bearer "+handlerstest.RootToken)
	f.Add("workspace_id=w", "bearer a.b.c")
	f.Add("workspace_id=w", "Bearer eyJhbGciOiJub25lIn0.e30.")
	f.Add("workspace_id=w", "Basic x")
	w := newWorld(f, secret)
	f.Fuzz(func(t *testing.T, query, authorization string) {
		before := w.Events(t)
		r := httptest.NewRequest(http.MethodPost, "/v3/keys", http.NoBody)
		r.URL.RawQuery = query
		r.Header["Authorization"] = []string{authorization}
		recorder := httptest.NewRecorder()
		w.Server.ServeHTTP(recorder, r)
		appended := w.Events(t) - before
		switch recorder.Code {
		case 200:
			key, _ := handlerstest.Field(recorder.Body.Bytes(), "key").(string)
			got := claims(t, key)
			if exp, ok := got["exp"].(string); ok {
				if _, err := time.Parse("2006-01-02T15:04:05Z", exp); err != nil {
					t.Error(err)
				}
			}
			if code := verify(t, w, key, ""); appended != 1 || code != "VALID" && code != "EXPIRED" {
				t.Errorf("%d events, the key is %s", appended, code)
			}
		case 401, 422:
			if appended != 0 || handlerstest.Field(recorder.Body.Bytes(), "detail") == nil {
				t.Errorf("%d events, %s", appended, recorder.Body)
			}
		default:
			t.Errorf("%d: %s", recorder.Code, recorder.Body)
		}
	})
}

// A moment that is read is written as a form that is read again as the same. One that is not, is told with the input.
func FuzzExpiresAt(f *testing.F) {
	for _, s := range []string{"2027-01-01T00:00:00Z", "2027-01-01_00:00:00,5-0830", "2027-02-30", "0000-01-01", "20270101", "-1.5", "1e9",
		"9999-12-31T23:59:59-01:00", "0001-01-01T00:00+00:01", "253402300799999", "253402300799999.9", "-62167219200001", ".5", "5.", ".", "0x1.8p3",
		"2027-01-01T00:00:00\u22120100", "+5", "1_0.5"} {
		f.Add(s)
	}
	w := newWorld(f, secret)
	f.Fuzz(func(t *testing.T, s string) {
		exp, ok := expiry(t, w, s)
		if !ok {
			return
		}
		if again, _ := expiry(t, w, exp); again != exp {
			t.Errorf("%q is %s, which is %s", s, exp, again)
		}
	})
}

// expiry is the claim that an input gives, if it is taken.
func expiry(t *testing.T, w *handlerstest.World, s string) (exp string, ok bool) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v3/keys?workspace_id=w&expires_at="+url.QueryEscape(s), http.NoBody)
	r.Header.Set("Authorization", "Bearer "+admin)
	recorder := httptest.NewRecorder()
	w.Server.ServeHTTP(recorder, r)
	if recorder.Code == 422 {
		return "", false
	}
	key, ok := handlerstest.Field(recorder.Body.Bytes(), "key").(string)
	if !ok {
		t.Fatalf("%q: %d %s", s, recorder.Code, recorder.Body)
	}
	exp, ok = claims(t, key)["exp"].(string)
	return exp, ok
}
