package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestHonchoSecret: the secret turns the dialect on, and is not told.
func TestHonchoSecret(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want map[string]int // status of a POST without a token
		says string         // in the log
	}{
		{"by default", nil, map[string]int{"/v3/keys?workspace_id=a": 405}, ""},
		{"with a secret", []string{"--honcho-jwt-secret", "0123456789abcdef0123456789abcdef"}, map[string]int{"/v3/keys?workspace_id=a": 401}, ""},
		{"with a short secret", []string{"--honcho-jwt-secret", "short-honcho-secret"}, map[string]int{"/v2/keys?workspace_id=a": 401}, "Honcho JWT secret is short"},
		{"none", []string{"--dialects", "none"}, map[string]int{"/v3/keys?workspace_id=a": 404}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := t.TempDir()
			s := serveHere(t, data, test.args...)
			url, err := waitReady(data)
			if err != nil {
				t.Fatalf("%v\n%s", err, s.stderr)
			}
			for target, want := range test.want {
				r, err := http.Post(url+target, "application/json", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Body.Close()
				if r.StatusCode != want {
					t.Errorf("%s: %d, want %d", target, r.StatusCode, want)
				}
			}
			s.end(t, data, exitOK)
			said := s.stderr.String()
			if !strings.Contains(said, test.says) || strings.Contains(said, "short-honcho-secret") || test.says == "" && strings.Contains(said, "is short") {
				t.Errorf("it said\n%s", said)
			}
		})
	}
}
