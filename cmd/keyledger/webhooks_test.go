package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"keyledger/client"
)

// TestKilledWhileDelivering kills the server again and again while events are made and delivered. Afterwards every event
// after the webhook's creation was delivered at least once under its own id, and no other was.
func TestKilledWhileDelivering(t *testing.T) {
	kills, creates := 5, 60
	if testing.Short() {
		kills = 2
	}
	var mu sync.Mutex
	ids := map[string]string{} // body's subject by webhook-id
	arrived, fail := make(chan struct{}, 1<<16), 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the server was killed while it sent
		}
		var event struct{ ID, Subject string }
		if err := json.Unmarshal(body, &event); err != nil || event.ID != r.Header.Get("Webhook-Id") {
			t.Errorf("%q as %s: %v", body, r.Header.Get("Webhook-Id"), err)
		}
		mu.Lock()
		defer mu.Unlock()
		if fail++; fail%5 == 0 { // each fifth attempt fails, and is made again
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if subject, again := ids[event.ID]; again && subject != event.Subject {
			t.Errorf("%s is of %s and of %s", event.ID, subject, event.Subject)
		}
		ids[event.ID] = event.Subject
		arrived <- struct{}{}
	}))
	t.Cleanup(receiver.Close)

	data := t.TempDir()
	args := []string{"--webhook-allow-private", "--webhook-schedule", "100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms"}
	p := start(t, data, args...)
	if _, err := p.client(t).CreateKey(t.Context(), client.CreateKey{Name: "before"}); err != nil {
		t.Fatal(err)
	}
	createWebhook(t, p, receiver.URL)
	made := map[string]bool{} // ids of keys that were acknowledged
	for range kills {
		c := p.client(t, client.WithRetries(0))
		for i := range creates {
			issued, err := c.CreateKey(t.Context(), client.CreateKey{Name: fmt.Sprint(i)})
			if err != nil {
				t.Fatal(err)
			}
			made[issued.ID] = true
		}
		<-arrived // in the middle of the deliveries
		p.kill(t)
		p = start(t, data, args...)
	}
	// What a killed process had in hand comes again after half a minute.
	deadline := time.After(2 * time.Minute)
	for {
		mu.Lock()
		delivered := map[string]bool{}
		for _, subject := range ids {
			delivered[subject] = true
		}
		mu.Unlock()
		if maps.Equal(delivered, made) {
			break
		}
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("%d keys were delivered of %d: %v", len(delivered), len(made), slices.Sorted(maps.Keys(delivered)))
		}
	}
	p.stop(t)
	mu.Lock() // what was sent twice may still come in
	defer mu.Unlock()
	if len(ids) != len(made) {
		t.Errorf("%d ids for %d events", len(ids), len(made))
	}
}

// createWebhook creates a webhook for new keys, as root.
func createWebhook(t *testing.T, p *process, url string) {
	t.Helper()
	body := fmt.Appendf(nil, `{"url":%q,"types":["key.created"]}`, url)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/v1/webhooks", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+rootToken)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("%s: %s", answer.Status, text)
	}
}
