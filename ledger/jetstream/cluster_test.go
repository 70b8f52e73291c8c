package jetstream_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
)

// cluster starts three nats-servers that sync every write, and gives them when they have a leader.
func cluster(t testing.TB) []*server.Server {
	t.Helper()
	routes, _ := freePorts(t, 3)
	servers := members(t, routes, 3)
	until(t, "a leader", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers) {
				return true
			}
		}
		return false
	})
	return servers
}

// members starts the last n servers of a cluster, and gives them when they listen.
func members(t testing.TB, routes []*url.URL, n int) (servers []*server.Server) {
	t.Helper()
	for _, route := range routes[len(routes)-n:] {
		port, err := strconv.Atoi(route.Port())
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.NewServer(&server.Options{
			ServerName: "n" + route.Port(), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true,
			JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 1 << 28,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port},
			Routes:  routes,
		})
		if err != nil {
			t.Fatal(err)
		}
		go s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		until(t, "a server to listen", func() bool { return s.ReadyForConnections(time.Second) })
	}
	return servers
}

// freePorts gives n distinct ports of this machine, and the routes to them. They are below those that connections are given:
// one of these would be taken again before a server listens, when other tests make thousands of connections.
func freePorts(t testing.TB, n int) (routes []*url.URL, ports []int) {
	t.Helper()
	for tries := 0; len(ports) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(12_000)))
		if err != nil && tries > 100 {
			t.Fatal(err)
		}
		if err != nil {
			continue
		}
		defer l.Close()
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return routes, ports
}

// until waits for a condition, which is asked for again and again: nothing tells that it has come true.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// openURL opens a log on external servers.
func openURL(t testing.TB, url string, o jetstream.Options) *jetstream.Log {
	t.Helper()
	nc, err := jetstream.Connect(t.Context(), jetstream.ConnectOptions{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l, err := jetstream.Open(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func TestClusterConformance(t *testing.T) {
	servers := cluster(t)
	n := 0
	ledgertest.Conformance(t, func(t *testing.T) ledger.Log {
		n++
		wipe(t, servers[0])
		return openURL(t, servers[n%3].ClientURL(), jetstream.Options{Replicas: 3})
	})
}

// TestOpenWhileServersCome: a start beside the servers of a cluster waits for the last of them, but not for ever.
func TestOpenWhileServersCome(t *testing.T) {
	routes, _ := freePorts(t, 3)
	first := members(t, routes[:2], 2)
	until(t, "a leader", func() bool { return first[0].JetStreamIsLeader() || first[1].JetStreamIsLeader() })
	open := func() error {
		nc, err := jetstream.Connect(t.Context(), jetstream.ConnectOptions{URL: first[0].ClientURL()})
		if err != nil {
			return err
		}
		defer nc.Close()
		l, err := jetstream.Open(t.Context(), nc, jetstream.Options{Replicas: 3})
		if err == nil {
			l.Close()
		}
		return err
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "no suitable peers") {
		t.Fatalf("without the third server: %v", err)
	}
	opened := make(chan error, 1)
	go func() { opened <- open() }()
	members(t, routes, 1)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// TestClusterVault: what is replaced is destroyed by all three servers.
func TestClusterVault(t *testing.T) {
	servers := cluster(t)
	n := 0
	ledgertest.VaultConformance(t, func(t *testing.T) ledger.Vault {
		n++
		wipe(t, servers[0])
		return openURL(t, servers[n%3].ClientURL(), jetstream.Options{Replicas: 3})
	})
}

// wipe removes the streams of the test before.
func wipe(t *testing.T, s *server.Server) {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	for name := range js.StreamNames() {
		if err := js.DeleteStream(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClusterFailover ends the stream's leader under load: no append fails, and each event is there once, in order, for
// a tail that was running.
func TestClusterFailover(t *testing.T) {
	servers := cluster(t)
	url := servers[0].ClientURL() + "," + servers[1].ClientURL() + "," + servers[2].ClientURL()
	l := openURL(t, url, jetstream.Options{Replicas: 3})
	reader := openURL(t, url, jetstream.Options{Replicas: 3})

	stored := make(chan ledger.Entry, 4000)
	feed := make(chan events.Message, 4000)
	go reader.Tail(t.Context(), 1, func(b ledger.Batch) error {
		for _, m := range b.Messages {
			feed <- m
		}
		return nil
	})
	for i := range 32 {
		go func() {
			for range 100 {
				e := entry()
				sequence, err := l.Append(t.Context(), e)
				if err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
				e.Message.Sequence = sequence
				stored <- e
			}
		}()
	}
	want := make(map[uuid.UUID]uint64)
	for n := range 3200 {
		e := <-stored
		want[e.Message.ID] = e.Message.Sequence
		if n == 1000 {
			for _, s := range servers {
				if s.JetStreamIsStreamLeader("$G", jetstream.LedgerStream) {
					s.Shutdown()
					break
				}
			}
		}
	}
	for sequence := uint64(1); len(want) > 0; sequence++ {
		m := <-feed
		if m.Sequence != sequence || want[m.ID] != sequence {
			t.Fatalf("the tail gives %s as %d, want %d as acknowledged, after %d", m.ID, m.Sequence, want[m.ID], sequence-1)
		}
		delete(want, m.ID)
	}
}
