package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"keyledger/client"
	"keyledger/ledger/ledgertest"
)

// TestKilledWhileCreating kills the server again and again while it is creating keys for many clients. Afterwards every
// acknowledged key is there and valid, no key is there twice, a create that was not answered is settled by asking again,
// and every view equals one that is built anew from the ledger.
func TestKilledWhileCreating(t *testing.T) {
	rounds, creates, connections := 10, 10_000, 128
	switch {
	case testing.Short():
		rounds, creates, connections = 2, 1_000, 32
	case ledgertest.Raced:
		rounds, creates = 3, 1_000
	}
	data := t.TempDir()
	acknowledged := map[string]client.Issued{} // by name
	var unanswered []string                    // names of the first round
	for round := range rounds {
		p := start(t, data)
		c := p.client(t, client.WithRetries(0))
		storm := &storm{client: c, round: round, idempotent: round == 0}
		storm.run(t, p, creates, connections)
		maps.Copy(acknowledged, storm.acknowledged)
		if round == 0 {
			unanswered = storm.unanswered
		}
	}
	p := start(t, data)
	c := p.client(t, client.WithRetries(60))   // the claim of a killed server is waited out
	if !testing.Short() && !ledgertest.Raced { // it takes up to half a minute: so long is a claim held that a killed server left
		settle(t, c, unanswered, acknowledged)
	}
	checkKeys(t, c, acknowledged)
	t.Logf("%d creates in %d rounds were acknowledged", len(acknowledged), rounds)

	p.stop(t)                                   // uses are flushed
	quiet := []string{"--first-used-rate", "0"} // nothing is stored while it is compared
	p = start(t, data, quiet...)
	live := dump(t, p.client(t))
	p.stop(t)
	if err := os.RemoveAll(filepath.Join(data, "views")); err != nil {
		t.Fatal(err)
	}
	p = start(t, data, quiet...)
	replayed := dump(t, p.client(t))
	p.stop(t)
	compare(t, live, replayed)
}

// storm is many clients that create keys until the server is killed.
type storm struct {
	client     *client.Client
	round      int
	idempotent bool

	mu           sync.Mutex
	acknowledged map[string]client.Issued
	unanswered   []string
	answers      atomic.Int64
}

// run kills p at a random moment of the creates.
func (s *storm) run(t *testing.T, p *process, creates, connections int) {
	s.acknowledged = map[string]client.Issued{}
	fatal := int64(1 + rand.IntN(creates*9/10))
	struck := make(chan struct{})
	var names atomic.Int64
	var all errgroup.Group
	for range connections {
		all.Go(func() error {
			for {
				n := names.Add(1)
				if n > int64(creates) {
					return nil
				}
				issued, err := s.create(t.Context(), fmt.Sprintf("storm-%d-%d", s.round, n))
				if err != nil {
					select {
					case <-struck: // as it must be
						return nil
					default:
						return err
					}
				}
				if issued.ID == "" {
					return fmt.Errorf("create %d was answered without a key", n)
				}
				if s.answers.Add(1) == fatal {
					close(struck)
					p.kill(t)
				}
			}
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatalf("before the kill: %v\n%s", err, p.stderr)
	}
}

// create creates a key and notes how it went.
func (s *storm) create(ctx context.Context, name string) (client.Issued, error) {
	in, option := stormKey(name)
	var options []client.CallOption
	if s.idempotent {
		options = append(options, option)
	}
	issued, err := s.client.CreateKey(ctx, in, options...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unanswered = append(s.unanswered, name)
	} else {
		s.acknowledged[name] = issued
	}
	return issued, err
}

// stormKey is the key of a name: the same whenever it is asked for.
func stormKey(name string) (client.CreateKey, client.CallOption) {
	spread := int(name[len(name)-1] - '0')
	return client.CreateKey{
		Name:        name,
		WorkspaceID: fmt.Sprintf("w%d", spread%3),
		OrgID:       fmt.Sprintf("o%d", spread%2),
		AgentID:     fmt.Sprintf("a%d", spread),
		Scopes:      []string{"read", "write"},
		Metadata:    json.RawMessage(`{"round":"storm"}`),
	}, client.IdempotencyKey(name)
}

// settle repeats the creates that were not answered, with their idempotency keys: each gives its one key.
func settle(t *testing.T, c *client.Client, names []string, acknowledged map[string]client.Issued) {
	t.Helper()
	var mu sync.Mutex
	var all errgroup.Group
	for _, name := range names {
		all.Go(func() error {
			in, option := stormKey(name)
			issued, err := c.CreateKey(t.Context(), in, option)
			mu.Lock()
			defer mu.Unlock()
			acknowledged[name] = issued
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatalf("settle: %v", err)
	}
}

// checkKeys checks that the acknowledged keys are there once and valid, and that no name is there twice.
func checkKeys(t *testing.T, c *client.Client, acknowledged map[string]client.Issued) {
	t.Helper()
	stored := map[string]string{} // id by name
	for key, err := range c.Keys(t.Context(), client.KeyQuery{NamePrefix: "storm-"}) {
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := stored[key.Name]; twice {
			t.Fatalf("%s is there twice: %s and %s", key.Name, other, key.ID)
		}
		stored[key.Name] = key.ID
	}
	var all errgroup.Group
	all.SetLimit(16)
	for name, issued := range acknowledged {
		if stored[name] != issued.ID {
			t.Fatalf("%s was acknowledged as %s, but the list has %q", name, issued.ID, stored[name])
		}
		all.Go(func() error {
			v, err := c.Verify(t.Context(), client.Verify{Token: issued.Token, Scopes: []string{"read"}})
			if err == nil && (!v.Valid || v.Key.ID != issued.ID) {
				err = fmt.Errorf("%s: verify says %s", name, v.Code)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// dump is all that the views hold, as the API shows it: lists of every kind, agents, histories.
func dump(t *testing.T, c *client.Client) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	queries := map[string]client.KeyQuery{"keys": {}}
	for i := range 10 {
		queries[fmt.Sprintf("workspace w%d", i%3)] = client.KeyQuery{WorkspaceID: fmt.Sprintf("w%d", i%3)}
		queries[fmt.Sprintf("org o%d", i%2)] = client.KeyQuery{OrgID: fmt.Sprintf("o%d", i%2)}
		queries[fmt.Sprintf("agent a%d", i)] = client.KeyQuery{AgentID: fmt.Sprintf("a%d", i)}
	}
	for name, q := range queries {
		for key, err := range c.Keys(t.Context(), q) {
			if key.Name == "root" { // every request of the test is a use of it
				key.UseCount, key.LastUsedAt = 0, time.Time{}
			}
			out[name] = record(t, out[name], key, err)
			if name == "agent a0" && key.Sequence%10 == 0 {
				for event, err := range c.KeyEvents(t.Context(), key.ID, 0) {
					out["history"] = record(t, out["history"], event, err)
				}
			}
		}
	}
	for event, err := range c.Events(t.Context(), client.EventQuery{}) {
		out["events"] = record(t, out["events"], event, err)
	}
	return out
}

func record(t *testing.T, to []byte, v any, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(to, b...), '\n')
}

func compare(t *testing.T, live, replayed map[string][]byte) {
	t.Helper()
	if names := slices.Sorted(maps.Keys(live)); !slices.Equal(names, slices.Sorted(maps.Keys(replayed))) {
		t.Fatalf("the views hold %v, their replay %v", names, slices.Sorted(maps.Keys(replayed)))
	}
	for name := range live {
		if string(live[name]) != string(replayed[name]) {
			t.Errorf("%s: the view (%d bytes) is not what its replay gives (%d bytes)", name, len(live[name]), len(replayed[name]))
		}
	}
}
