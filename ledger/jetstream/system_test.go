package jetstream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"keyledger/ledger/jetstream"
)

// TestServersAreChecked: with a user of the system account, a server that acknowledges before it syncs is found; a cluster
// is not used with one replica.
func TestServersAreChecked(t *testing.T) {
	for _, test := range []struct {
		name     string
		lazy     int // server that does not sync; none when there is no such one
		replicas int
		refusal  string // empty: none
	}{
		{"all sync", 3, 3, ""},
		{"one does not", 1, 3, "n1"},
		{"one replica", 3, 1, "3 are needed"},
		{"more replicas than servers", 3, 5, "3 servers keep streams"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := systemCluster(t, test.lazy)
			connect := func(user string) *nats.Conn {
				nc, err := jetstream.Connect(t.Context(), jetstream.ConnectOptions{URL: url, User: user, Password: "secret"})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(nc.Close)
				return nc
			}
			l, err := jetstream.Open(t.Context(), connect("ledger"), jetstream.Options{Replicas: test.replicas, System: connect("system")})
			if test.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), test.refusal) {
					t.Fatalf("opened with %v, want a refusal that says %s", err, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if list := strings.Join(l.Unverified(), "\n"); strings.Contains(list, "sync_interval") {
				t.Errorf("what was checked is said to be unverified: %s", list)
			}
			if _, err := l.Append(t.Context(), entry()); err != nil {
				t.Fatal(err)
			}
		})
	}
	url := systemCluster(t, 3)
	nc, err := jetstream.Connect(t.Context(), jetstream.ConnectOptions{URL: url, User: "ledger", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := jetstream.Open(t.Context(), nc, jetstream.Options{Replicas: 3, System: nc}); err == nil {
		t.Error("a user of another account than the system's is taken")
	}
}

// systemCluster starts three servers with an account for the ledger and a system account.
func systemCluster(t *testing.T, lazy int) (url string) {
	t.Helper()
	routes, ports := freePorts(t, 3)
	var servers []*server.Server
	for i := range ports {
		ledger, system := server.NewAccount("LEDGER"), server.NewAccount("SYS")
		s, err := server.NewServer(&server.Options{
			ServerName: "n" + string(rune('0'+i)), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true,
			JetStream: true, StoreDir: t.TempDir(), SyncAlways: i != lazy, JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 1 << 28,
			Cluster:  server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]},
			Routes:   routes,
			Accounts: []*server.Account{ledger, system}, SystemAccount: "SYS",
			Users: []*server.User{
				{Username: "ledger", Password: "secret", Account: ledger},
				{Username: "system", Password: "secret", Account: system},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		go s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	var urls []string
	for _, s := range servers {
		until(t, "a server to listen", func() bool { return s.ReadyForConnections(time.Second) })
		account, err := s.LookupAccount("LEDGER")
		if err != nil {
			t.Fatal(err)
		}
		if err := account.EnableJetStream(nil, nil); err != nil {
			t.Fatal(err)
		}
		urls = append(urls, s.ClientURL())
	}
	until(t, "a leader", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers) {
				return true
			}
		}
		return false
	})
	return strings.Join(urls, ",")
}
