package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// agentexDo sends a request to Agentex's routes, without a token when token is empty, and gives the status and the body.
func agentexDo(t *testing.T, method, url, token, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Error(err)
	}
	var members map[string]any
	_ = json.Unmarshal(text.Bytes(), &members) // not everything is an object
	return resp.StatusCode, members
}

const agentexRegistration = `{"name":"an-agent","description":"","acp_url":"http://localhost:8000","acp_type":"sync"}`

// TestAgentexOpen: without the flag the routes take a token; with it clients on this machine need none, and an agent is
// given the same internal key after a restart of the server.
func TestAgentexOpen(t *testing.T) {
	data := t.TempDir()
	p := start(t, data, "--agentex-open")
	status, agent := agentexDo(t, "POST", p.url+"/agents/register", "", agentexRegistration)
	if key, _ := agent["agent_api_key"].(string); status != 200 || len(key) != 64 {
		t.Fatalf("%d %v", status, agent)
	}
	p.says(t, "--agentex-open")
	p.stop(t)
	p = start(t, data)
	if status, _ := agentexDo(t, "POST", p.url+"/agents/register", "", agentexRegistration); status != 401 {
		t.Errorf("without the flag and a token: %d", status)
	}
	status, again := agentexDo(t, "POST", p.url+"/agents/register", rootToken, agentexRegistration)
	if status != 200 || again["agent_api_key"] != agent["agent_api_key"] || again["id"] != agent["id"] {
		t.Errorf("%d %v, not %v", status, again, agent)
	}
	if strings.Contains(p.stderr.String(), fmt.Sprint(agent["agent_api_key"])) {
		t.Error("the log shows the key")
	}
	p.stop(t)
}

// TestDialectsOff: a dialect that is switched off is not there.
func TestDialectsOff(t *testing.T) {
	p := start(t, t.TempDir(), "--dialects", "none")
	status, problem := agentexDo(t, "GET", p.url+"/agent_api_keys", rootToken, "")
	if status != 404 || problem["code"] != "not_found" {
		t.Errorf("%d %v", status, problem)
	}
	p.stop(t)
}

// TestAgentexRaceOfNodes: of many creates of one name on two nodes one wins, and both nodes give an agent one key.
func TestAgentexRaceOfNodes(t *testing.T) {
	external := []string{"--nats", externalNATS(t), "--secret", "one-secret-for-all-nodes-of-a-ledger"}
	nodes := []*process{start(t, t.TempDir(), external...), start(t, t.TempDir(), external...)}
	var mu sync.Mutex
	seen := make(map[string]int)
	parallel := func(path, body string, what func(map[string]any) any) {
		var all sync.WaitGroup
		clear(seen)
		for i := range 50 {
			all.Go(func() {
				status, answer := agentexDo(t, "POST", nodes[i%2].url+path, rootToken, body)
				mu.Lock()
				defer mu.Unlock()
				seen[fmt.Sprint(status, what(answer))]++
			})
		}
		all.Wait()
	}
	parallel("/agents/register", agentexRegistration, func(m map[string]any) any { return m["agent_api_key"] })
	if len(seen) != 1 {
		t.Errorf("an agent got %v", seen)
	}
	parallel("/agent_api_keys", `{"name":"one","agent_name":"an-agent"}`, func(map[string]any) any { return "" })
	if seen["200"] != 1 || seen["409"] != 49 {
		t.Errorf("50 creates of one name: %v", seen)
	}
	for _, n := range nodes {
		n.stop(t)
	}
}
