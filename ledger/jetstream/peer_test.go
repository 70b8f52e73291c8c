package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"keyledger/ledger/jetstream"
)

// TestPeersProveThemselves: a peer with another secret than the others is let in by none, and says so.
func TestPeersProveThemselves(t *testing.T) {
	routes, _ := freePorts(t, 4)
	var addresses []string
	for _, route := range routes {
		addresses = append(addresses, route.Host)
	}
	logs := make([]*syncBuffer, len(addresses))
	logsOpened := make(chan error, len(addresses))
	for i, address := range addresses {
		secret := "the secret that the peers of a cluster share"
		if i == 3 {
			secret = "another secret than that of the cluster is"
		}
		logs[i] = new(syncBuffer)
		s, err := jetstream.Embed(jetstream.EmbedOptions{
			Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(logs[i], nil)),
			Peer: &jetstream.PeerOptions{
				Cluster: "c", Node: fmt.Sprint("n", i), Listen: address, Routes: addresses[:3], Secret: []byte(secret),
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Shutdown)
		nc, err := s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		ctx := t.Context()
		if i == 3 {
			until(t, "the stranger to be refused", func() bool {
				return strings.Contains(logs[3].String(), "TLS route handshake error") || strings.Contains(logs[3].String(), "certificate")
			})
			limited, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			if _, err := jetstream.Open(limited, nc, jetstream.Options{Server: s, Replicas: 3}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a stranger opens the ledger: %v", err)
			}
			break
		}
		go func() {
			l, err := jetstream.Open(ctx, nc, jetstream.Options{Server: s, Replicas: 3})
			if err == nil {
				_, err = l.Append(ctx, entry())
				l.Close()
			}
			logsOpened <- err
		}()
	}
	for range 3 {
		if err := <-logsOpened; err != nil {
			t.Errorf("a peer: %v", err)
		}
	}
	for i, log := range logs {
		if bytes.Contains([]byte(log.String()), []byte("secret that")) {
			t.Errorf("peer %d logs the secret:\n%s", i, log)
		}
	}
}

// TestPeerFolders: a store is that of one peer of one cluster.
func TestPeerFolders(t *testing.T) {
	dir := t.TempDir()
	n1 := jetstream.Use{Mode: jetstream.Clustered, Cluster: "c", Node: "n1"}
	if err := jetstream.MarkFolder(dir, n1); err != nil {
		t.Fatal(err)
	}
	if err := jetstream.MarkFolder(dir, n1); err != nil {
		t.Errorf("the same peer is refused: %v", err)
	}
	for _, other := range []jetstream.Use{
		{Mode: jetstream.Standalone},
		{Mode: jetstream.Clustered, Cluster: "c", Node: "n2"},
		{Mode: jetstream.Clustered, Cluster: "d", Node: "n1"},
	} {
		var use *jetstream.UseError
		if err := jetstream.MarkFolder(dir, other); !errors.As(err, &use) || use.Written != n1 || use.Want != other {
			t.Errorf("%s: %v", other, err)
		}
	}
}
