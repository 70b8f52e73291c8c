package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"keyledger/ledger/jetstream"
)

const (
	// clusterReplicas is how many nodes of a cluster hold each event where nothing else is said.
	clusterReplicas = 3
	// clusterDrain is how long a node of several goes on serving where nothing else is said: balancers ask for readiness
	// about every second, and turn away after the second refusal.
	clusterDrain = 3 * time.Second
	// leastStaleness is below what a replicated ledger can be heard of: its leader hears the other servers every second,
	// and is asked for it twice a second.
	leastStaleness = 3 * time.Second
)

// clusterConfig is what makes nodes with NATS in their processes a cluster.
type clusterConfig struct {
	name   string
	listen string
	routes string
	node   string
}

func (c *clusterConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.name, "cluster-name", "", "makes the NATS in this process a peer of the cluster of this name")
	f.StringVar(&c.listen, "cluster-listen", "", "address for the other nodes of the cluster; over TLS 1.3, whose keys follow from the secret")
	f.StringVar(&c.routes, "cluster-routes", "", "host:port of all nodes that the cluster begins with, with commas, the same at each of them")
	f.StringVar(&c.node, "node-name", "", "name of this node in the cluster, another one at each node and the same at every start; empty is the name of the host")
}

// check validates the flags of a node with NATS in its process.
func (c *clusterConfig) check(all *config) error {
	if c.name == "" {
		return needs(c.listen == "" && c.routes == "", "--cluster-listen and --cluster-routes need --cluster-name")
	}
	if c.node == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--node-name: %w", err)
		}
		c.node = host
	}
	routes := c.routeList()
	errs := []error{
		needs(isWord(c.name), "--cluster-name: without spaces"),
		needs(isWord(c.node), "--node-name: without spaces"),
		needs(all.secret != "", "--secret: all nodes of a cluster must be given the same one"),
		needs(all.replicas == 1 || all.replicas == 3 || all.replicas == 5, "--replicas: 1, 3 or 5"),
		needs(len(routes) >= all.replicas, fmt.Sprintf("--cluster-routes: %d nodes cannot hold %d replicas", len(routes), all.replicas)),
		checkAddress("--cluster-listen", c.listen),
	}
	for _, route := range routes {
		errs = append(errs, checkAddress("--cluster-routes", route))
	}
	return errors.Join(errs...)
}

// routeList is the nodes of --cluster-routes.
func (c *clusterConfig) routeList() []string {
	var list []string
	for route := range strings.SplitSeq(c.routes, ",") {
		if route = strings.TrimSpace(route); route != "" {
			list = append(list, route)
		}
	}
	return list
}

// peer is this node in its cluster, nil when it is in none.
func (c *clusterConfig) peer(secret string) *jetstream.PeerOptions {
	if c.name == "" {
		return nil
	}
	return &jetstream.PeerOptions{Cluster: c.name, Node: c.node, Listen: c.listen, Routes: c.routeList(), Secret: []byte(secret)}
}

// use is how this node uses its data folder.
func (c *config) use() jetstream.Use {
	switch {
	case c.nats != "":
		return jetstream.Use{Mode: externalMode}
	case c.cluster.name != "":
		return jetstream.Use{Mode: jetstream.Clustered, Cluster: c.cluster.name, Node: c.cluster.node}
	default:
		return jetstream.Use{Mode: jetstream.Standalone}
	}
}

// clusterPatience is how long a cluster whose log ends before what was seen of it may take to show the rest.
const clusterPatience = 10 * time.Second

// patience is how long a start waits for a ledger that ends early, before it is refused.
func (c *config) patience() time.Duration {
	if c.use().Mode == jetstream.Standalone {
		return 0
	}
	return clusterPatience
}

// checkDrain completes and checks what depends on whether there are other nodes.
func (c *config) checkDrain() error {
	several := c.nats != "" || c.cluster.name != ""
	if c.drain == 0 && several {
		c.drain = clusterDrain
	}
	return errors.Join(
		needs(c.drain >= 0, "--drain: not less than 0"),
		needs(c.replicas <= 1 || c.maxStaleness >= leastStaleness,
			fmt.Sprintf("--max-staleness: with replicas at least %v", leastStaleness)),
	)
}

func checkAddress(flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (port == "" || port == "0") {
		err = errors.New("a port is needed that the other nodes know")
	}
	if err == nil && flag == "--cluster-routes" && host == "" {
		err = errors.New("a host is needed")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// isWord tells whether NATS takes text as a name.
func isWord(text string) bool { return text != "" && !strings.ContainsAny(text, " \t\r\n") }

// advise adds to a refusal of a data folder what to do.
func advise(err error) error {
	var use *jetstream.UseError
	if !errors.As(err, &use) {
		return err
	}
	switch written, want := use.Written.Mode, use.Want.Mode; {
	case written == want:
		return fmt.Errorf("%w: give its --node-name and --cluster-name, or another --data", err)
	case written == jetstream.Migrated:
		return fmt.Errorf("%w: its ledger was copied to a cluster and goes on there; what is written here would be another one. "+
			"To go back to it all the same, set the mode in %s to %q", err, jetstream.FolderFile, jetstream.Standalone)
	case written == jetstream.Standalone:
		return fmt.Errorf("%w: start it as it was, or give another --data and copy its ledger there with \"keyledger migrate\"", err)
	case written == jetstream.Clustered:
		return fmt.Errorf("%w: start it with its --cluster-name and --node-name, or give another --data; its store is only a part of the cluster", err)
	default:
		return fmt.Errorf("%w: start it as it was, with --nats, or give another --data", err)
	}
}
