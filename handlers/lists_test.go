package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"keyledger/ledger"
)

// pages reads a list to its end and returns the value of a member of each entry.
func (w *world) pages(path, member string) []string {
	w.t.Helper()
	var all []string
	for cursor := ""; ; {
		a := w.do("GET", path+cursor, "", nil)
		hasStatus(w.t, a, http.StatusOK)
		var page struct {
			Data []map[string]any `json:"data"`
			Next *string          `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.text, &page); err != nil {
			w.t.Fatal(err)
		}
		for _, entry := range page.Data {
			all = append(all, fmt.Sprint(entry[member]))
		}
		if page.Next == nil {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Next)
	}
}

func TestListPages(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 23 {
		in := ledger.Create{Name: fmt.Sprintf("key %d", i), Owner: ledger.Owner{Workspace: "acme", Org: "eu", AgentID: "bot7"}}
		want = append(want, w.key(in).Key.ID.String())
		w.key(ledger.Create{Owner: ledger.Owner{Workspace: "other"}})
	}
	slices.Reverse(want) // newest first
	for _, path := range []string{"/v1/workspaces/acme/keys", "/v1/orgs/eu/keys", "/v1/agents/bot7/keys", "/v1/keys?workspace_id=acme"} {
		for _, limit := range []int{1, 7, 22, 23, 1000} {
			separator := "?"
			if path == "/v1/keys?workspace_id=acme" {
				separator = "&"
			}
			got := w.pages(fmt.Sprintf("%s%slimit=%d", path, separator, limit), "id")
			if !slices.Equal(got, want) {
				t.Errorf("%s by %d: %d keys, want %d", path, limit, len(got), len(want))
			}
		}
	}
	if got := w.pages("/v1/keys?name=key+1&limit=3", "name"); len(got) != 11 {
		t.Errorf("names that begin with key 1: %v", got)
	}
	if got := w.pages("/v1/keys?limit=10", "id"); len(got) != 47 { // root's too
		t.Errorf("%d keys in all", len(got))
	}
}

func TestListFilters(t *testing.T) {
	w := newWorld(t)
	fill := cast(w)
	used := w.do("POST", "/v1/keys/verify", fill.Replace(`{"token":"{active.token}"}`), nil)
	hasStatus(t, used, http.StatusOK)
	active := used.field("key.id").(string)
	w.waitForUse(active, 1)
	for query, want := range map[string]string{
		"status=expired":                  fill.Replace("[{expired.id}]"),
		"status=scheduled":                fill.Replace("[{scheduled.id}]"),
		"status=revoked":                  fill.Replace("[{revoked.id}]"),
		"status=disabled":                 fill.Replace("[{disabled.id}]"),
		"status=active&workspace_id=acme": fill.Replace("[{bound.id} {test.id} {active.id}]"),
		"environment=test":                fill.Replace("[{test.id}]"),
		"scope=deploy":                    fill.Replace("[{active.id}]"),
		"name=test+b":                     fill.Replace("[{test.id}]"),
		"org_id=eu&peer_id=p1&environment=live&status=active":                     fill.Replace("[{active.id}]"),
		"used_before=" + stamp(w.Now().Add(time.Hour)) + "&scope=deploy":          fill.Replace("[{active.id}]"),
		"used_before=" + stamp(w.Now().Add(-time.Hour)) + "&scope=deploy":         "[]",
		"unused_since=" + stamp(w.Now().Add(time.Hour)) + "&name=test":            fill.Replace("[{test.id}]"),
		"unused_since=" + stamp(w.Now().Add(-time.Hour)) + "&name=deploy&limit=9": "[]",
	} {
		if got := fmt.Sprint(w.pages("/v1/keys?"+query, "id")); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func stamp(t time.Time) string { return url.QueryEscape(t.UTC().Format(time.RFC3339)) }

// A cursor is good for its own list with its own filters, under its own secret, and nowhere else.
func TestCursorIsOfOneList(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.key(ledger.Create{Owner: ledger.Owner{Workspace: "acme", Org: "acme"}})
		a := w.do("POST", "/v1/agents", fmt.Sprintf(`{"name":"a%d","workspace_id":"acme"}`, w.log.Len()), nil)
		hasStatus(t, a, http.StatusCreated)
	}
	first := w.do("GET", "/v1/workspaces/acme/keys?limit=1&environment=live", "", nil)
	cursor, _ := first.field("next_cursor").(string)
	if cursor == "" {
		t.Fatalf("there is no next page\n%s", first.text)
	}
	hasStatus(t, w.do("GET", "/v1/workspaces/acme/keys?environment=live&limit=2&cursor="+cursor, "", nil), http.StatusOK)
	spoiled := []byte(cursor)
	spoiled[len(spoiled)/2] ^= 1
	for _, path := range []string{
		"/v1/workspaces/acme/keys?limit=1&cursor=" + cursor,
		"/v1/workspaces/acme/keys?environment=test&cursor=" + cursor,
		"/v1/workspaces/other/keys?environment=live&cursor=" + cursor,
		"/v1/orgs/acme/keys?environment=live&cursor=" + cursor,
		"/v1/keys?environment=live&cursor=" + cursor,
		"/v1/keys?environment=live&workspace_id=acme&cursor=" + cursor,
		"/v1/agents?cursor=" + cursor,
		"/v1/events?cursor=" + cursor,
		"/v1/workspaces/acme/keys?environment=live&cursor=" + cursor[:len(cursor)-1],
		"/v1/workspaces/acme/keys?environment=live&cursor=" + cursor + "AAAA",
		"/v1/workspaces/acme/keys?environment=live&cursor=" + url.QueryEscape(string(spoiled)),
	} {
		a := w.do("GET", path, "", nil)
		if a.StatusCode != http.StatusBadRequest || a.field("field") != "cursor" {
			t.Errorf("%s: %d\n%s", path, a.StatusCode, a.text)
		}
	}
	if got := w.pages("/v1/agents?limit=2&workspace_id=acme", "name"); len(got) != 3 {
		t.Errorf("agents: %v", got)
	}
}

func TestHistoryPages(t *testing.T) {
	w := newWorld(t)
	fill := cast(w)
	for range 5 {
		hasStatus(t, w.do("POST", fill.Replace("/v1/keys/{active.id}/rotate"), "", nil), http.StatusOK)
	}
	all := w.pages(fill.Replace("/v1/keys/{active.id}/events?limit=1000"), "sequence")
	if len(all) != 6 {
		t.Fatalf("sequences %v", all)
	}
	types := w.pages(fill.Replace("/v1/keys/{active.id}/events?limit=1"), "type")
	want := append([]string{"keyledger.key.created"}, slices.Repeat([]string{"keyledger.key.rotated"}, 5)...)
	if !slices.Equal(types, want) {
		t.Errorf("types %v, want %v", types, want)
	}
	for _, limit := range []int{1, 2, 3, 6} {
		if got := w.pages(fmt.Sprintf(fill.Replace("/v1/keys/{active.id}/events?limit=%d"), limit), "sequence"); !slices.Equal(got, all) {
			t.Errorf("by %d: %v, want %v", limit, got, all)
		}
	}
	if got := w.pages(fill.Replace("/v1/keys/{active.id}/events?from="+all[3]), "sequence"); !slices.Equal(got, all[3:]) {
		t.Errorf("from %s: %v", all[3], got)
	}
	subjects := w.pages("/v1/events?workspace_id=acme&org_id=eu&limit=2", "subject")
	if len(subjects) == 0 || slices.Contains(subjects, fill.Replace("{other.id}")) {
		t.Errorf("subjects of acme: %v", subjects)
	}
	mine := w.do("GET", "/v1/events?limit=1000", "", with("Authorization", fill.Replace("Bearer {bound.token}")))
	hasStatus(t, mine, http.StatusOK)
	for _, entry := range mine.field("data").([]any) {
		if source := entry.(map[string]any)["source"]; source != "/keyledger/test" {
			t.Errorf("source %v", source)
		}
		if entry.(map[string]any)["subject"] == fill.Replace("{other.id}") {
			t.Error("a bound key reads the events of another workspace")
		}
	}
}

func TestUsageIsSeen(t *testing.T) {
	w := newWorld(t)
	fill := cast(w)
	r := request("POST", "/v1/keys/verify", fill.Replace(`{"token":"{active.token}"}`), nil)
	r.RemoteAddr = "203.0.113.7:1234"
	hasStatus(t, w.send(r), http.StatusOK)
	hasStatus(t, w.do("GET", "/v1/authorize", "", with("Authorization", fill.Replace("Bearer {active.token}"), "User-Agent", "proxy")),
		http.StatusNoContent)
	w.waitForUse(fill.Replace("{active.id}"), 2)
	use := w.do("GET", fill.Replace("/v1/keys/{active.id}/usage"), "", nil)
	if use.field("use_count") != 2.0 || use.field("user_agent") != "proxy" || use.field("ip") != "192.0.2.1" || use.field("last_used_at") == nil {
		t.Errorf("%s", use.text)
	}
	key := w.do("GET", fill.Replace("/v1/keys/{active.id}"), "", nil)
	if key.field("use_count") != 2.0 || key.field("last_used_at") != use.field("last_used_at") {
		t.Errorf("%s", key.text)
	}
}
