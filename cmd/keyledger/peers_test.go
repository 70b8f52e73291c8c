package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyledger/client"
	"keyledger/cmd/keyledger/clustertest"
)

// onNode gives a client of a node that acts as root, and repeats nothing by itself.
func onNode(t *testing.T, n *clustertest.Node) *client.Client {
	t.Helper()
	c, err := client.New(n.URL, client.NewToken(clustertest.RootToken), client.WithRetries(0),
		client.WithHTTPClient(&http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCluster: nodes without a NATS beside them are one ledger, which goes on when nodes are restarted, killed and added,
// and answers nothing that it cannot know.
func TestCluster(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{Args: []string{"--nats-listen", "127.0.0.1:0"}})
	for _, part := range []struct {
		name string
		test func(*testing.T, *clustertest.Cluster)
	}{
		{"OneLedger", oneLedger},
		{"RollingRestart", rollingRestart},
		{"LeaderKilled", leaderKilled},
		{"NoMajority", noMajority},
		{"DamagedSnapshots", damagedSnapshots},
		{"VerifiersAlone", verifiersAlone},
		{"NodeAdded", nodeAdded},
		{"OtherFolders", otherFolders},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.test(t, c) }) {
			t.FailNow() // the next one would begin with what this one left
		}
	}
}

// oneLedger: what one node did, each other one shows.
func oneLedger(t *testing.T, c *clustertest.Cluster) {
	ctx := t.Context()
	for i, n := range c.Nodes {
		issued, err := patient(t, n).CreateKey(ctx, client.CreateKey{Name: fmt.Sprint("of ", n.Name)})
		if err != nil {
			t.Fatal(err)
		}
		other := patient(t, c.Nodes[(i+1)%len(c.Nodes)])
		v, err := other.Verify(ctx, client.Verify{Token: issued.Token}, client.MinSequence(issued.Sequence))
		if err != nil || !v.Valid {
			t.Fatalf("verify on another node: %v, %v", v.Code, err)
		}
		revoked, err := other.RevokeKey(ctx, issued.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		v, err = patient(t, n).Verify(ctx, client.Verify{Token: issued.Token}, client.MinSequence(revoked.Sequence))
		if err != nil || v.Code != client.KeyRevoked {
			t.Fatalf("verify of what another node revoked: %v, %v", v.Code, err)
		}
	}
}

// tour is a client of several nodes: it asks one after the other until one answers.
type tour struct {
	nodes []*client.Client
	turn  atomic.Int64
}

func newTour(t *testing.T, c *clustertest.Cluster) *tour {
	t.Helper()
	o := &tour{}
	for _, n := range c.Nodes {
		o.nodes = append(o.nodes, onNode(t, n))
	}
	return o
}

// do repeats a request until a node answers it, whatever it answers.
func (o *tour) do(ctx context.Context, request func(context.Context, *client.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, clustertest.Patience)
	defer cancel()
	for {
		err := request(ctx, o.nodes[int(o.turn.Add(1))%len(o.nodes)])
		var refused *client.Error
		if err == nil || ctx.Err() != nil {
			return err
		}
		if errors.As(err, &refused) && refused.Status != http.StatusServiceUnavailable && refused.Code != "idempotency_running" {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// traffic creates and verifies keys until it is ended.
type traffic struct {
	tour    *tour
	again   bool // a create is repeated until it is answered; else the next one has another name
	stop    context.CancelFunc
	workers sync.WaitGroup

	mu      sync.Mutex
	created map[string]client.Issued // by name
	failed  error
}

// workers is how many clients a traffic has.
const workers = 8

func newTraffic(t *testing.T, c *clustertest.Cluster, prefix string, again bool) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &traffic{tour: newTour(t, c), again: again, stop: stop, created: map[string]client.Issued{}}
	for i := range workers {
		r.workers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := r.once(t.Context(), fmt.Sprintf("%s-%d-%d", prefix, i, n)); err != nil {
					r.mu.Lock()
					r.failed = errors.Join(r.failed, err)
					r.mu.Unlock()
					return
				}
			}
		})
	}
	return r
}

// once creates a key and verifies it, wherever that is answered.
func (r *traffic) once(ctx context.Context, name string) error {
	var issued client.Issued
	attempts, first := 0, name
	err := r.tour.do(ctx, func(ctx context.Context, c *client.Client) (err error) {
		if r.again {
			issued, err = c.CreateKey(ctx, client.CreateKey{Name: name}, client.IdempotencyKey(name))
			return err
		}
		name = fmt.Sprintf("%s-%d", first, attempts)
		attempts++
		issued, err = c.CreateKey(ctx, client.CreateKey{Name: name})
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	r.mu.Lock()
	r.created[name] = issued
	r.mu.Unlock()
	return r.tour.do(ctx, func(ctx context.Context, c *client.Client) error {
		v, err := c.Verify(ctx, client.Verify{Token: issued.Token}, client.MinSequence(issued.Sequence))
		if err == nil && !v.Valid {
			return fmt.Errorf("%s, which was acknowledged as %d, is %s", name, issued.Sequence, v.Code)
		}
		return err
	})
}

// count is how many keys were acknowledged.
func (r *traffic) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.created)
}

// await waits until some more keys were acknowledged.
func (r *traffic) await(t *testing.T, more int) {
	t.Helper()
	from := r.count()
	clustertest.Until(t, "keys to be created", func() bool { return r.count() >= from+more })
}

// end ends it, and checks that each node has each acknowledged key once, and that it is valid there.
func (r *traffic) end(t *testing.T, c *clustertest.Cluster, prefix string) {
	t.Helper()
	r.stop()
	r.workers.Wait()
	if r.failed != nil {
		t.Fatal(r.failed)
	}
	last := uint64(0)
	for _, issued := range r.created {
		last = max(last, issued.Sequence)
	}
	for _, n := range c.Nodes {
		on := patient(t, n)
		if _, err := on.KeyPage(t.Context(), client.KeyQuery{}, "", 1, client.MinSequence(last)); err != nil {
			t.Fatalf("%s: %v", n.Name, err)
		}
		stored := map[string]string{}
		for key, err := range on.Keys(t.Context(), client.KeyQuery{NamePrefix: prefix + "-"}) {
			if err != nil {
				t.Fatalf("%s: %v", n.Name, err)
			}
			if other, twice := stored[key.Name]; twice {
				t.Fatalf("%s has %s twice: %s and %s", n.Name, key.Name, other, key.ID)
			}
			stored[key.Name] = key.ID
		}
		for name, issued := range r.created {
			if stored[name] != issued.ID {
				t.Fatalf("%s was acknowledged as %s, %s has %q", name, issued.ID, n.Name, stored[name])
			}
			v, err := on.Verify(t.Context(), client.Verify{Token: issued.Token})
			if err != nil || !v.Valid {
				t.Fatalf("%s on %s: %v, %v", name, n.Name, v.Code, err)
			}
		}
	}
	t.Logf("%d keys were acknowledged", len(r.created))
}

// rollingRestart restarts each node in turn, the leader among them, while keys are created and verified.
func rollingRestart(t *testing.T, c *clustertest.Cluster) {
	r := newTraffic(t, c, "rolling", true)
	for _, n := range c.Nodes {
		r.await(t, 20)
		n.Stop(t)
		r.await(t, 20) // by the others
		n.Start(t)
		n.AwaitReady(t)
	}
	r.await(t, 20)
	r.end(t, c, "rolling")
}

// leaderKilled kills the node that leads: the others elect another one. A create that it was busy with is not repeated:
// its claim on the Idempotency-Key is held for half a minute.
func leaderKilled(t *testing.T, c *clustertest.Cluster) {
	prefix := fmt.Sprint("killed-", time.Now().UnixNano())
	r := newTraffic(t, c, prefix, false)
	r.await(t, 20)
	leader := c.Leader(t)
	leader.Kill(t)
	began := time.Now()
	r.await(t, workers+1) // so many may have been answered before
	t.Logf("creates go on %v after the leader was killed", time.Since(began))
	leader.Start(t)
	leader.AwaitReady(t)
	r.end(t, c, prefix)
}

// noMajority stops two of three nodes: the third one answers neither yes nor no.
func noMajority(t *testing.T, c *clustertest.Cluster) { aloneWithoutMajority(t, c, c.Leader(t)) }

// aloneWithoutMajority stops all nodes but one.
func aloneWithoutMajority(t *testing.T, c *clustertest.Cluster, alone *clustertest.Node) {
	t.Helper()
	ctx := t.Context()
	on := onNode(t, alone)
	issued, err := patient(t, alone).CreateKey(ctx, client.CreateKey{Name: "before"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Others(alone) {
		n.Pause(t)
	}
	refused := func(err error) bool {
		var e *client.Error
		return errors.As(err, &e) && e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0
	}
	clustertest.Until(t, "appends to be refused", func() bool {
		began := time.Now()
		_, err := on.CreateKey(ctx, client.CreateKey{Name: "without a majority"})
		if err == nil {
			t.Fatal("a key was acknowledged without a majority")
		}
		return refused(err) && time.Since(began) < 2*time.Second
	})
	clustertest.Until(t, "verifications to be refused", func() bool {
		_, err := on.Verify(ctx, client.Verify{Token: issued.Token})
		return refused(err)
	})
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200} {
		if got := alone.Status(path); got != want {
			t.Errorf("%s answers %d, want %d", path, got, want)
		}
	}
	for _, n := range c.Others(alone) {
		n.Resume(t)
	}
	for _, n := range c.Nodes {
		n.AwaitReady(t)
	}
	on = patient(t, alone) // those that went on elect a leader once more
	if v, err := on.Verify(ctx, client.Verify{Token: issued.Token}); err != nil || !v.Valid {
		t.Fatalf("afterwards: %v, %v", v.Code, err)
	}
	if _, err := on.CreateKey(ctx, client.CreateKey{Name: "after"}); err != nil {
		t.Fatal(err)
	}
}

// damagedSnapshots: a peer that takes no part in its Raft groups, since their snapshots are damaged, is not ready and says why.
func damagedSnapshots(t *testing.T, c *clustertest.Cluster) {
	n := c.Nodes[0]
	n.Stop(t)
	snapshots, err := filepath.Glob(filepath.Join(n.Data, "nats/jetstream/$SYS/_js_/S-R3F-*/snapshots/*"))
	if err != nil || len(snapshots) == 0 {
		t.Fatalf("there are no snapshots: %v", err)
	}
	whole := make([][]byte, len(snapshots))
	for i, path := range snapshots {
		if whole[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(len(whole[i])/2)); err != nil {
			t.Fatal(err)
		}
	}
	n.Start(t)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(n.Log(), "group node missing"); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the node does not say what it lacks, and is ready: %v", n.Ready())
		}
	}
	if status := n.Status("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d", status)
	}
	n.Stop(t)
	for i, path := range snapshots {
		if err := os.WriteFile(path, whole[i], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.Start(t)
	n.AwaitReady(t)
}

// nodeAdded adds a node: when it is ready it shows everything.
func nodeAdded(t *testing.T, c *clustertest.Cluster) {
	n := c.Add(t)
	n.Start(t)
	n.AwaitReady(t)
	names := func(n *clustertest.Node) (list []string) {
		for key, err := range patient(t, n).Keys(t.Context(), client.KeyQuery{}) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, key.ID)
		}
		return list
	}
	if got, want := strings.Join(names(n), " "), strings.Join(names(c.Nodes[0]), " "); got != want {
		t.Fatalf("the new node has %d bytes of keys, the first one %d", len(got), len(want))
	}
	n.Stop(t)
}

// otherFolders: a store of a node is opened by that node of that cluster alone, and no cluster opens the store of a node
// that stood alone, which it would delete.
func otherFolders(t *testing.T, c *clustertest.Cluster) {
	n := c.Nodes[2]
	n.Stop(t)
	alone := t.TempDir()
	s := serveHere(t, alone, "--secret", clustertest.Secret)
	if _, err := waitReady(alone); err != nil {
		t.Fatal(err)
	}
	s.end(t, alone, exitOK)
	peer := []string{
		"--secret", clustertest.Secret, "--cluster-name", "test", "--cluster-listen", n.Peers,
		"--cluster-routes", "127.0.0.1:1,127.0.0.1:2," + n.Peers,
	}
	for _, test := range []struct {
		what, data string
		args       []string
		says       []string
	}{
		{"a store that stood alone", alone, append(peer, "--node-name", n.Name), []string{`"standalone"`, "keyledger migrate"}},
		{"a node of a cluster, alone", n.Data, nil, []string{`"cluster"`, "--cluster-name"}},
		{"another node", n.Data, append(peer, "--node-name", "node-9"), []string{n.Name, "node-9", "--node-name"}},
		{"a node of a cluster, with an external NATS", n.Data, []string{"--nats", "nats://127.0.0.1:1", "--secret", clustertest.Secret}, []string{`"external"`}},
	} {
		s := serveHere(t, test.data, test.args...)
		if code := <-s.code; code != exitFailed {
			t.Errorf("%s: exit code %d", test.what, code)
		}
		for _, word := range test.says {
			if !strings.Contains(s.stderr.String(), word) {
				t.Errorf("%s: the refusal does not say %s: %s", test.what, word, s.stderr)
			}
		}
	}
}

// TestDrain: a node that was told to stop is not ready, and goes on serving for a while.
func TestDrain(t *testing.T) {
	data := t.TempDir()
	s := serveHere(t, data, "--drain", "3s")
	url, err := waitReady(data)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	clustertest.Until(t, "the node to be not ready", func() bool { return status(t, url+"/readyz") == http.StatusServiceUnavailable })
	if got := status(t, url+"/openapi.json"); got != http.StatusOK {
		t.Errorf("while it drains it answers %d", got)
	}
	s.end(t, data, exitOK)
}
