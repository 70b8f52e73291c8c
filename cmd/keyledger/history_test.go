package main

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyledger/client"
	"keyledger/cmd/keyledger/clustertest"
	"keyledger/cmd/keyledger/historytest"
)

const (
	// staleness is --max-staleness of the nodes under faults.
	staleness = 5 * time.Second
	// clients is how many clients they have.
	clients = 8
)

// seeded gives what the faults of a test follow from: KEYLEDGER_FAULT_SEED, or another seed each time, which it tells. What
// the clients and the nodes do at the same time does not follow from it.
func seeded(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64N(1_000_000)
	if text := os.Getenv("KEYLEDGER_FAULT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("KEYLEDGER_FAULT_SEED: %v", err)
		}
	}
	t.Logf("KEYLEDGER_FAULT_SEED=%d", seed)
	return seed
}

// trial is a cluster under traffic whose history is recorded.
type trial struct {
	*clustertest.Cluster
	links   *clustertest.Links
	rand    *rand.Rand
	seed    uint64
	history *historytest.History
	traffic *historytest.Traffic
	jumps   bool // clocks do, of which an audit warns
}

// newTrial starts a cluster whose nodes reach each other through links.
func newTrial(t *testing.T, o clustertest.Options) *trial {
	t.Helper()
	seed := seeded(t)
	links := clustertest.NewLinks(t)
	o.Route = links.Route
	o.Args = append(o.Args, "--max-staleness", staleness.String(), "--log-level", "warn",
		"--first-used-rate", "0") // nothing is stored by itself
	c := clustertest.Start(t, o)
	return &trial{Cluster: c, links: links, seed: seed, rand: rand.New(rand.NewPCG(seed, 0))}
}

// begin begins a history.
func (x *trial) begin(t *testing.T) {
	t.Helper()
	var urls []string
	for _, n := range x.Nodes {
		urls = append(urls, n.URL)
	}
	var err error
	name := strings.ReplaceAll(t.Name(), "/", "-")
	x.history = historytest.New()
	x.traffic, err = historytest.Run(t.Context(), x.history, urls, client.NewToken(clustertest.RootToken), name, clients, x.seed)
	if err != nil {
		t.Fatal(err)
	}
}

// progress waits until some more writes are done and keys found valid.
func (x *trial) progress(t *testing.T, more int) {
	t.Helper()
	from := x.history.Progress()
	clustertest.Until(t, "writes to be answered", func() bool { return x.history.Progress() >= from+more })
}

// end ends the traffic, and checks what was answered, the ledgers of all nodes, and their views.
func (x *trial) end(t *testing.T) {
	t.Helper()
	for _, n := range x.Nodes {
		n.AwaitReady(t)
	}
	x.traffic.End()
	t.Log(x.history.Summary())
	for _, n := range x.Nodes {
		if err := x.history.Settle(eventsOf(t, n, x.history.Last())); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
	}
	if err := x.history.Check(staleness); err != nil {
		t.Error(err)
	}
	x.sameViews(t)
	x.sameHeads(t)
	if t.Failed() {
		t.FailNow()
	}
}

// patient is a client that asks again: a node that was cut off, or started anew, may lack the ledger for a moment once more
// after it was ready, when the cluster moves what it reads from.
func patient(t *testing.T, n *clustertest.Node) *client.Client {
	t.Helper()
	c, err := client.New(n.URL, client.NewToken(clustertest.RootToken), client.WithRetries(12))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventsOf is the whole ledger as a node shows it.
func eventsOf(t *testing.T, n *clustertest.Node, least uint64) []client.Event {
	t.Helper()
	var list []client.Event
	for e, err := range patient(t, n).Events(t.Context(), client.EventQuery{}, client.MinSequence(least)) {
		if err != nil {
			t.Fatalf("%s: %v", n.Name, err)
		}
		list = append(list, e)
	}
	return list
}

// sameViews checks that the views of all nodes hold the same, once the uses that each has counted are written.
func (x *trial) sameViews(t *testing.T) {
	t.Helper()
	views := make([]map[string][]byte, len(x.Nodes))
	for deadline := time.Now().Add(clustertest.Patience); ; <-time.After(100 * time.Millisecond) {
		for i, n := range x.Nodes {
			views[i] = dump(t, patient(t, n))
		}
		differ := slices.IndexFunc(views, func(v map[string][]byte) bool { return !maps.EqualFunc(v, views[0], bytes.Equal) })
		if differ < 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s and %s do not show the same:", x.Nodes[0].Name, x.Nodes[differ].Name)
			compare(t, views[0], views[differ])
			return
		}
	}
}

// sameHeads checks that all nodes sign the same head.
func (x *trial) sameHeads(t *testing.T) {
	t.Helper()
	heads := make([]string, len(x.Nodes))
	clustertest.Until(t, "all nodes to sign one head", func() bool {
		for i, n := range x.Nodes {
			head, _, err := patient(t, n).Checkpoint(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", n.Name, err)
			}
			heads[i], _, _ = strings.Cut(string(head), "\n\n")
		}
		return len(slices.Compact(slices.Clone(heads))) == 1
	})
}

// replayed checks that what all nodes show is what the ledger gives: by an audit of what one exports, and by building its
// views anew.
func (x *trial) replayed(t *testing.T, n *clustertest.Node) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ledger.ndjson")
	for _, args := range [][]string{{"export", "--server", n.URL, "-o", file}, {"verify", "--trust-key", file}} {
		audit := exec.CommandContext(t.Context(), "keyledger", append([]string{"audit"}, args...)...)
		audit.Env = append(os.Environ(), "KEYLEDGER_TOKEN="+clustertest.RootToken)
		out, err := audit.CombinedOutput()
		if warned := audit.ProcessState.ExitCode() == exitWarnings; err != nil && !(warned && x.jumps) {
			t.Fatalf("%s: audit %s: %v\n%s", n.Name, args[0], err, out)
		}
	}
	n.Stop(t)
	if err := os.RemoveAll(filepath.Join(n.Data, viewsFolder)); err != nil {
		t.Fatal(err)
	}
	n.Start(t)
	n.AwaitReady(t)
	x.sameViews(t)
}

// TestHistory: what a cluster answers while its leader is cut off, and another node is killed, can be explained, and is kept.
func TestHistory(t *testing.T) {
	x := newTrial(t, clustertest.Options{})
	x.begin(t)
	x.progress(t, 10)
	leader := x.index(x.Leader(t))
	x.isolate(leader)
	x.progress(t, 10) // by the others
	x.links.Heal()
	killed := x.Nodes[(leader+1)%len(x.Nodes)]
	killed.Kill(t)
	x.progress(t, 10)
	killed.Start(t)
	x.end(t)
	x.replayed(t, killed)
}

// index is the place of a node among the nodes.
func (x *trial) index(n *clustertest.Node) int { return slices.Index(x.Nodes, n) }

// isolate cuts a node off from all others.
func (x *trial) isolate(node int) {
	for other := range x.Nodes {
		if other != node {
			x.links.Part(node, other)
		}
	}
}
