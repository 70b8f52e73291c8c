package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// imtegrateCreate creates a key by Imtegrate's route, as root.
func imtegrateCreate(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/api-keys", strings.NewReader(`{"name":"ci"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+rootToken)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// TestImtegrateIsServed: by default, with the configured organization, and not when it is switched off.
func TestImtegrateIsServed(t *testing.T) {
	data := t.TempDir()
	p := start(t, data, "--imtegrate-default-org", "acme")
	if status, text := imtegrateCreate(t, p.url); status != http.StatusCreated || !strings.Contains(text, `"org_id":"acme"`) {
		t.Errorf("%d %s", status, text)
	}
	p.stop(t)
	p = start(t, data)
	if status, text := imtegrateCreate(t, p.url); status != http.StatusUnprocessableEntity || !strings.Contains(text, "x-org-id") {
		t.Errorf("without an organization: %d %s", status, text)
	}
	p.stop(t)
	p = start(t, data, "--dialects", "none")
	if status, text := imtegrateCreate(t, p.url); status != http.StatusNotFound {
		t.Errorf("switched off: %d %s", status, text)
	}
}
