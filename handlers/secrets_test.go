package handlers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"keyledger/ledger"
)

// secretsScenarios are those of the sealed secrets of personal data.
func secretsScenarios() []scenario {
	const path = "/v1/ledger/secrets"
	return []scenario{
		{name: "all", path: path, status: 200, want: []string{"next_cursor=<nil>"}},
		{name: "a page", path: path + "?limit=1", status: 200},
		{name: "for an owner", path: path, header: bearer("bound"), status: 403},
		{name: "too many", path: path + "?limit=1001", status: 400, want: []string{"field=limit"}},
		{name: "at another cursor", path: path + "?cursor=AAAA", status: 400, want: []string{"field=cursor"}},
	}
}

// Secrets are those of the vault, page by page, without the place up to which erasures are carried out.
func TestSecrets(t *testing.T) {
	w := newWorld(t)
	for n := range 5 {
		w.key(ledger.Create{Name: "Ada", Owner: ledger.Owner{Workspace: fmt.Sprint("workspace ", n)}})
	}
	if a := w.do("POST", "/v1/workspaces/workspace%201/erase", "", nil); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	kept, err := w.log.Secrets(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for _, s := range kept {
		want[s.Place] = s.Value
	}
	delete(want, ledger.SecretPlace("."))
	if len(want) < 5 {
		t.Fatalf("%d secrets are kept", len(want))
	}
	for cursor := ""; ; {
		a := w.do("GET", "/v1/ledger/secrets?limit=2"+cursor, "", nil)
		var page struct {
			Data []struct {
				Secret string `json:"secret"`
				Value  []byte `json:"value"`
			} `json:"data"`
			Next string `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.text, &page); err != nil || a.StatusCode != 200 {
			t.Fatalf("%d %s: %v", a.StatusCode, a.text, err)
		}
		for _, s := range page.Data {
			if value, ok := want[s.Secret]; !ok || !bytes.Equal(value, s.Value) {
				t.Errorf("%s is %x, want %x", s.Secret, s.Value, value)
			}
			delete(want, s.Secret)
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(page.Next)
	}
	if len(want) > 0 {
		t.Errorf("%d secrets are missing", len(want))
	}
}
