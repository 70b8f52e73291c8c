package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/handlers"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/projections"
)

// stack is a server over the real thing: JetStream in this process with every write synced, and views on disk.
type stack struct {
	t       testing.TB
	log     *jetstream.Log
	views   *projections.Views
	service *ledger.Service
	server  *handlers.Server
	address string
}

func newStack(t testing.TB, logger *slog.Logger) *stack {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	server, err := jetstream.Embed(jetstream.EmbedOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := server.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	s := &stack{t: t}
	if s.log, err = jetstream.Open(ctx, conn, jetstream.Options{Server: server}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.log.Close)
	feed := new(ledger.Feed)
	if s.views, err = projections.Open(projections.Options{Dir: t.TempDir(), Applied: feed.Publish}); err != nil {
		t.Fatal(err)
	}
	usage := ledger.NewUsage(s.log, 0)
	s.service = ledger.New(ledger.Config{Log: s.log, State: s.views, Usage: usage, Feed: feed})
	metrics := prometheus.NewRegistry()
	s.server, err = handlers.New(handlers.Config{
		Service:    s.service,
		State:      s.views,
		Memo:       s.log,
		Secret:     []byte("a secret of the server, 32 bytes"),
		LedgerName: "stack",
		Logger:     logger,
		Registerer: metrics,
		Gatherer:   metrics,
		Ready:      s.log.Healthy,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.run(ctx, cancel, usage)
	if _, _, err := s.service.Bootstrap(ctx, ledger.NewSecret(rootToken)); err != nil {
		t.Fatal(err)
	}
	s.address = serve(t, s.server, nil)
	return s
}

// run runs the views and the uses until the test ends, then closes the views.
func (s *stack) run(ctx context.Context, cancel func(), usage *ledger.Usage) {
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.views.Run(ctx, s.log, s.log); err != nil {
			s.t.Error(err)
		}
	})
	running.Go(func() {
		if err := usage.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := s.views.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// ask sends a request as a client does and decodes the answer.
func (s *stack) ask(method, path, body string, header map[string]string, status int) map[string]any {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.address+path, bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+rootToken)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		s.t.Fatalf("%s %s: %d, want %d, %v\n%s", method, path, response.StatusCode, status, err, text)
	}
	answer := make(map[string]any)
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			s.t.Fatal(err)
		}
	}
	return answer
}

// The whole life of a key over a real connection, a real JetStream and real views.
func TestLifeOfAKey(t *testing.T) {
	s := newStack(t, slog.New(slog.DiscardHandler))
	const create = `{"name":"deploy bot","workspace_id":"acme","org_id":"eu","agent_id":"bot7","scopes":["deploy"],"metadata":{"team":"infra"}}`
	key := s.ask("POST", "/v1/keys", create, with("Idempotency-Key", "once"), 201)
	again := s.ask("POST", "/v1/keys", create, with("Idempotency-Key", "once"), 201)
	if key["token"] != again["token"] || key["id"] != again["id"] {
		t.Fatalf("the repeat made another key: %v, %v", key["id"], again["id"])
	}
	s.ask("POST", "/v1/keys", `{}`, with("Idempotency-Key", "once"), 422)
	id, token := key["id"].(string), key["token"].(string)
	path := "/v1/keys/" + id
	decision := func(token string) any {
		return s.ask("POST", "/v1/keys/verify", `{"token":"`+token+`","scopes":["deploy"]}`, nil, 200)["code"]
	}
	expect := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
	expect("created", decision(token), "VALID")
	for _, list := range []string{"/v1/keys?workspace_id=acme", "/v1/workspaces/acme/keys", "/v1/orgs/eu/keys", "/v1/agents/bot7/keys"} {
		page := s.ask("GET", list, "", nil, 200)
		expect(list, page["data"].([]any)[0].(map[string]any)["id"], id)
	}
	expect("disabled", s.ask("POST", path+"/disable", "", nil, 200)["status"], "disabled")
	expect("disabled", decision(token), "DISABLED")
	expect("enabled", s.ask("POST", path+"/enable", "", nil, 200)["status"], "active")
	updated := s.ask("PATCH", path, `{"name":"renamed"}`, with("If-Match", fmt.Sprintf(`"%.0f"`, key["sequence"].(float64)+2)), 200)
	expect("renamed", updated["name"], "renamed")
	s.ask("PATCH", path, `{"name":"lost"}`, with("If-Match", fmt.Sprintf(`"%.0f"`, key["sequence"])), 412)
	rotated := s.ask("POST", path+"/rotate", `{"grace_seconds":600}`, nil, 200)
	expect("the new token", decision(rotated["token"].(string)), "VALID")
	expect("the old token in its grace", decision(token), "VALID")
	s.waitForUse(id, 3)
	expect("used", s.ask("GET", path, "", nil, 200)["last_used_at"] != nil, true)
	expect("revoked", s.ask("POST", path+"/revoke", `{"reason":"done"}`, nil, 200)["status"], "revoked")
	expect("revoked", decision(rotated["token"].(string)), "REVOKED")
	expect("revoked", decision(token), "REVOKED")
	var types []string
	for _, event := range s.ask("GET", path+"/events", "", nil, 200)["data"].([]any) {
		types = append(types, strings.TrimPrefix(event.(map[string]any)["type"].(string), "keyledger.key."))
	}
	expect("history", strings.Join(types, " "), "created disabled enabled updated rotated revoked")
	agent := s.ask("POST", "/v1/agents", `{"name":"Bot 7","workspace_id":"acme"}`, nil, 201)
	expect("agent", s.ask("POST", "/v1/agents", `{"name":"Bot 7","workspace_id":"acme"}`, nil, 200)["id"], agent["id"])
	s.ask("GET", "/readyz", "", nil, 200)
}

// waitForUse waits until so many uses of a key are in the views.
func (s *stack) waitForUse(id string, count uint64) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for {
		use, err := s.views.LastUse(ctx, uuid.MustParse(id))
		if err != nil {
			s.t.Fatal(err)
		}
		if use.Count >= count {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("%d uses are seen, want %d", use.Count, count)
		case <-tick.C:
		}
	}
}

// A revocation that was acknowledged holds for every verification that begins after it.
func TestRevokeVerifyRaces(t *testing.T) {
	s := newStack(t, slog.New(slog.DiscardHandler))
	for worker := range 8 {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			s := *s
			s.t = t
			for range 12 {
				key := s.ask("POST", "/v1/keys", `{}`, nil, 201)
				token := with("Authorization", "Bearer "+key["token"].(string))
				s.ask("GET", "/v1/authorize", "", token, 204)
				s.ask("POST", "/v1/keys/"+key["id"].(string)+"/revoke", "", nil, 200)
				s.ask("GET", "/v1/authorize", "", token, 401)
			}
		})
	}
}
