package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"keyledger/ledger/jetstream"
)

// benchNodes is how many nodes the cluster under test has: each holds every event.
const benchNodes = 3

// benchCluster is a cluster of nodes on loopback, each a process with a data folder of its own.
type benchCluster struct {
	dir    string
	secret string
	env    []string
	routes []string
	nodes  []*child // nil: it does not run
}

// startCluster gives the cluster under test. The server under test is stopped: they would share the machine.
func (b *bench) startCluster(ctx context.Context) (*benchCluster, error) {
	if b.cluster != nil {
		return b.cluster, nil
	}
	if err := b.stopServer(); err != nil {
		return nil, err
	}
	c, err := b.newCluster(ctx)
	if err != nil {
		return nil, err
	}
	c.env = append(c.env, "KEYLEDGER_ROOT_TOKEN="+b.token)
	b.cluster = c
	var group errgroup.Group
	for i := range c.nodes {
		group.Go(func() error { return c.start(ctx, i) })
	}
	return c, group.Wait()
}

// newCluster gives a cluster whose nodes do not run yet, with an empty ledger.
func (b *bench) newCluster(ctx context.Context) (*benchCluster, error) {
	secret, err := mintSecret()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "cluster-")
	if err != nil {
		return nil, err
	}
	c := &benchCluster{dir: dir, secret: secret, env: []string{"KEYLEDGER_SECRET=" + secret}, nodes: make([]*child, benchNodes)}
	for len(c.routes) < benchNodes {
		// Below the ports that the system gives to connections, so that they stay free until the nodes take them.
		address := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000))
		if l, err := new(net.ListenConfig).Listen(ctx, "tcp", address); err == nil {
			c.routes = append(c.routes, address)
			if err := l.Close(); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// node is the data folder of a node, and the arguments that make it a peer.
func (c *benchCluster) node(i int) (dir string, args []string) {
	dir = filepath.Join(c.dir, fmt.Sprint("node-", i+1))
	return dir, []string{
		"--data", dir, "--cluster-name", "bench", "--cluster-listen", c.routes[i], "--cluster-routes", strings.Join(c.routes, ","),
		"--node-name", fmt.Sprint("node-", i+1),
	}
}

// start starts a node and waits until it is ready.
func (c *benchCluster) start(ctx context.Context, i int) (err error) {
	dir, args := c.node(i)
	c.nodes[i], _, err = startChild(ctx, dir, c.env,
		append([]string{"serve", "--http", "127.0.0.1:0", "--metrics-public", "--drain", "1ms"}, args...)...)
	return err
}

// leader tells which node leads the ledger.
func (c *benchCluster) leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		for i, n := range c.nodes {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/metrics", nil)
			if err != nil {
				return 0, err
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				return 0, err
			}
			body, err := io.ReadAll(answer.Body)
			if err := errors.Join(err, answer.Body.Close()); err != nil {
				return 0, err
			}
			if strings.Contains(string(body), "\nkeyledger_log_leader 1\n") {
				return i, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no node leads: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the nodes one after the other.
func (c *benchCluster) stop() error {
	var errs []error
	for _, n := range c.nodes {
		if n != nil {
			errs = append(errs, n.stop())
		}
	}
	return errors.Join(errs...)
}

// rawCluster is the baseline of appends to a cluster: two processes that do nothing but hold the stream, and this one,
// which publishes to it.
type rawCluster struct {
	peers  *benchCluster
	stream *rawStream
}

func (b *bench) openRawCluster(ctx context.Context) (*rawCluster, error) {
	c, err := b.newCluster(ctx)
	if err != nil {
		return nil, err
	}
	r := &rawCluster{peers: c}
	for i := 1; i < benchNodes; i++ {
		dir, args := c.node(i)
		if c.nodes[i], err = launchChild(ctx, dir, c.env, append([]string{"migrate"}, args...)...); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	own, _ := c.node(0)
	s, err := openStoreWith(ctx, jetstream.EmbedOptions{Dir: own, Peer: &jetstream.PeerOptions{
		Cluster: "bench", Node: "node-1", Listen: c.routes[0], Routes: c.routes, Secret: []byte(c.secret),
	}}, jetstream.Options{Replicas: benchNodes, Fingerprint: fingerprint(c.secret)})
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	if r.stream, err = newRawStream(s); err != nil {
		s.close()
		return nil, errors.Join(err, c.stop())
	}
	return r, nil
}

func (r *rawCluster) close() error {
	r.stream.store.close()
	return r.peers.stop()
}

// measureClusterCreates spreads the connections over the nodes, as a balancer does. The publishers are in one of the
// processes that hold the stream. One cluster runs at a time.
func measureClusterCreates(ctx context.Context, b *bench) (figure, error) {
	return b.inTurn(func() (sample, error) {
		c, err := b.startCluster(ctx)
		if err != nil {
			return sample{}, err
		}
		l := load{
			addr: c.nodes[0].addr, others: []string{c.nodes[1].addr, c.nodes[2].addr}, conns: 256,
			period: b.options.period, status: http.StatusCreated, requests: always(b.createRequest()),
		}
		return l.run(ctx)
	}, func() (sample, error) {
		if err := b.stopCluster(); err != nil {
			return sample{}, err
		}
		raw, err := b.openRawCluster(ctx)
		if err != nil {
			return sample{}, err
		}
		s := raw.stream.publish(ctx, 256, b.options.period)
		return s, errors.Join(ctx.Err(), raw.close())
	})
}

// stopCluster stops the cluster under test if it runs. The next one begins with an empty ledger.
func (b *bench) stopCluster() error {
	if b.cluster == nil {
		return nil
	}
	c := b.cluster
	b.cluster = nil
	return c.stop()
}
