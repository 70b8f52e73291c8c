package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"keyledger/client"
	"keyledger/events"
)

// TestManyEventsOfOneKey: a key that was changed very often is read, changed, and read as of any of its events like others.
func TestManyEventsOfOneKey(t *testing.T) {
	data := t.TempDir()
	start(t, data).stop(t) // makes the root key
	key, first := renamed(t, data, manyEvents)
	p := start(t, data)
	c := p.client(t)
	k, err := c.Key(t.Context(), key.id)
	if err != nil || k.Name != fmt.Sprint("name ", manyEvents) || k.Sequence != first+manyEvents {
		t.Fatalf("%+v, %v", k, err)
	}
	for _, n := range []uint64{0, 1, manyEvents / 2, manyEvents - 1} {
		began := time.Now()
		k, err := c.KeyAsOf(t.Context(), key.id, client.AsOf{Sequence: first + n})
		if err != nil || k.Sequence != first+n || n > 0 && k.Name != fmt.Sprint("name ", n) {
			t.Errorf("as of event %d: %+v, %v", n, k, err)
		}
		t.Logf("as of event %d after %v", n, time.Since(began))
	}
	last := uint64(0)
	for e, err := range c.KeyEvents(t.Context(), key.id, first+manyEvents-500) {
		if err != nil {
			t.Fatal(err)
		}
		last = e.Sequence
	}
	if last != first+manyEvents {
		t.Errorf("the history ends with event %d, not %d", last, first+manyEvents)
	}
	decided(t, c, client.NewToken(key.token), client.Valid)
	if _, err := c.RevokeKey(t.Context(), key.id, "enough"); err != nil {
		t.Fatal(err)
	}
	decided(t, c, client.NewToken(key.token), client.KeyRevoked)
	p.stop(t)
}

// renamed puts a key that was renamed n times into a data folder. Its first event has the sequence first.
func renamed(t *testing.T, data string, n uint64) (key seedKey, first uint64) {
	t.Helper()
	s, err := openStore(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	last, err := s.log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, created, err := seedEvent(0)
	if err != nil {
		t.Fatal(err)
	}
	messages := make([]events.Message, 0, n+1)
	add := func(e *events.Event) {
		m, err := events.Encode(e, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.Sequence = last + uint64(len(messages)) + 1
		messages = append(messages, m)
	}
	add(created)
	for i := range n {
		name := fmt.Sprint("name ", i+1)
		add(&events.Event{
			Header:  events.Header{ID: uuid.New(), Time: created.Time, Actor: "system"},
			Subject: created.Subject, Payload: &events.Updated{KeyID: created.Payload.(*events.Created).KeyID, Name: &name},
		})
	}
	if err := s.log.Restore(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	return key, last + 1
}

// TestManyAgents registers agents from many clients, some of them twice: there is one of each name, and the list has them all.
func TestManyAgents(t *testing.T) {
	p := start(t, t.TempDir())
	c := p.client(t)
	ids := make([]string, manyAgents)
	register := func(ctx context.Context, i int) (client.Agent, error) {
		return c.RegisterAgent(ctx, client.RegisterAgent{Name: fmt.Sprint("agent ", i), WorkspaceID: "acme"})
	}
	for again := range 2 {
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(64)
		for i := 0; i < manyAgents; i += 1 + 99*again {
			group.Go(func() error {
				a, err := register(ctx, i)
				if again == 1 && err == nil && a.ID != ids[i] {
					return fmt.Errorf("agent %d was %s and is %s", i, ids[i], a.ID)
				}
				ids[i] = a.ID
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool, manyAgents)
	for a, err := range c.Agents(t.Context(), client.AgentQuery{WorkspaceID: "acme"}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[a.ID] = true
	}
	for i, id := range ids {
		if !seen[id] {
			t.Errorf("agent %d is not in the list", i)
		}
	}
	if len(seen) != manyAgents {
		t.Errorf("the list has %d agents, want %d", len(seen), manyAgents)
	}
	p.stop(t)
}
