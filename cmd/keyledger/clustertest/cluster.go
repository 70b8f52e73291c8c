// Package clustertest runs keyledger nodes in processes of their own, as a cluster on this machine, for tests: they are
// started, stopped, killed and paused, each by its process id, and end with the test.
package clustertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Patience bounds every wait for something that must happen.
const Patience = 90 * time.Second

const (
	// RootToken is the root token of every cluster.
	RootToken = "kl-test-root-token-0123456789abcdef"
	// Secret is what the nodes of every cluster share.
	Secret = "one-secret-for-all-nodes-of-a-cluster"
)

// Options say what cluster to make. The zero value is three nodes.
type Options struct {
	// Nodes is how many there are, 3 when 0. One stands alone: it is no peer of a cluster.
	Nodes int
	// Binary is the program, "keyledger" on the path when empty.
	Binary string
	// Data gives the data folder of a node; nil: folders of the test. It must exist.
	Data func(node int) string
	// Args are further arguments of serve at every node.
	Args []string
	// Route gives the address under which a node knows another one; nil: that of the other. A proxy can be put between.
	Route func(from, to int, address string) string
	// Clocks are the clocks of the nodes, with a program of their own; nil: that of this machine.
	Clocks *Clocks
}

// Cluster is some nodes, running or not.
type Cluster struct {
	Nodes []*Node
	args  []string
	root  string // of the data folders of the test
}

// New makes a cluster whose nodes do not run yet. They end with the test, which shows their logs when it has failed.
func New(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	switch {
	case o.Clocks != nil:
		o.Binary = o.Clocks.binary
	case o.Binary == "":
		o.Binary = "keyledger"
	}
	c := &Cluster{args: o.Args, root: t.TempDir()}
	addresses := FreeAddresses(t, 2*o.Nodes)
	for i := range o.Nodes {
		n := &Node{
			Name: fmt.Sprint("node-", i+1), Data: filepath.Join(c.root, fmt.Sprint("node-", i+1)),
			URL: "http://" + addresses[i], Peers: addresses[o.Nodes+i], Binary: o.Binary, cluster: c,
		}
		if o.Data != nil {
			n.Data = o.Data(i)
		}
		if o.Clocks != nil {
			n.env = append(n.env, o.Clocks.variable(i))
		}
		c.Nodes = append(c.Nodes, n)
	}
	for i, n := range c.Nodes {
		var routes []string
		for j, other := range c.Nodes {
			address := other.Peers
			if o.Route != nil && i != j {
				address = o.Route(i, j, address)
			}
			routes = append(routes, address)
		}
		n.routes = strings.Join(routes, ",")
	}
	t.Cleanup(func() { c.end(t) })
	return c
}

// Start makes a cluster and starts all its nodes. It returns when they are ready.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := New(t, o)
	for _, n := range c.Nodes {
		n.Start(t)
	}
	for _, n := range c.Nodes {
		n.AwaitReady(t)
	}
	return c
}

// Add makes one more node, which knows those there are. It does not run yet.
func (c *Cluster) Add(t testing.TB) *Node {
	t.Helper()
	addresses := FreeAddresses(t, 2)
	name := fmt.Sprint("node-", len(c.Nodes)+1)
	n := &Node{
		Name: name, Data: filepath.Join(c.root, name),
		URL: "http://" + addresses[0], Peers: addresses[1], Binary: c.Nodes[0].Binary, routes: c.Nodes[0].routes, cluster: c,
	}
	c.Nodes = append(c.Nodes, n)
	return n
}

// Leader waits until one of the running nodes says that it leads the ledger, and gives it.
func (c *Cluster) Leader(t testing.TB) *Node {
	t.Helper()
	var leader *Node
	Until(t, "a leader", func() bool {
		for _, n := range c.Nodes {
			if n.Running() && !n.paused && n.metric("keyledger_log_leader") == "1" {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// Others are all nodes but one.
func (c *Cluster) Others(but *Node) []*Node {
	var others []*Node
	for _, n := range c.Nodes {
		if n != but {
			others = append(others, n)
		}
	}
	return others
}

// end ends the processes.
func (c *Cluster) end(t testing.TB) {
	for _, n := range c.Nodes {
		n.kill()
	}
	if !t.Failed() {
		return
	}
	for _, n := range c.Nodes {
		t.Logf("%s:\n%s", n.Name, n.Log())
	}
}

// FreeAddresses gives addresses on loopback with distinct ports, below those that the system gives to connections: so
// they stay free while no process has them.
func FreeAddresses(t testing.TB, n int) []string {
	t.Helper()
	seen := map[string]bool{}
	var addresses []string
	for len(addresses) < n {
		address := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000))
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil || seen[address] {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		seen[address] = true
		addresses = append(addresses, address)
	}
	return addresses
}

// Until waits for a condition that nothing tells of.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !condition(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
