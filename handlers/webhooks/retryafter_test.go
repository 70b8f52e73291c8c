package webhooks

import (
	"net/http"
	"testing"
	"time"
)

// FuzzRetryAfter holds that an endpoint cannot put its events off for longer than a day, whatever it says.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []string{"", "0", "120", "-1", "99999999999999999999", "4294967295", "1e3", now.Add(time.Hour).Format(http.TimeFormat),
		now.Add(-time.Hour).Format(http.TimeFormat), "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(s)
	}
	s := &sender{now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, value string) {
		if d := s.retryAfter(value); d < 0 || d > maxRetryAfter {
			t.Fatalf("%q is %v", value, d)
		}
	})
}

func TestRetryAfterIsRead(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &sender{now: func() time.Time { return now }}
	for value, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "4000000": 24 * time.Hour, "soon": 0, "-5": 0,
		now.Add(time.Hour).Format(http.TimeFormat):  time.Hour,
		now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := s.retryAfter(value); got != want {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
}
