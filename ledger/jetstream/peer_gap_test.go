package jetstream_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// embedded starts three peers in this process, and gives a connection to the last of them.
func embedded(t *testing.T) (peers []*jetstream.Server, nc *nats.Conn) {
	t.Helper()
	routes, _ := freePorts(t, 3)
	var addresses []string
	for _, route := range routes {
		addresses = append(addresses, route.Host)
	}
	for i, address := range addresses {
		s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: t.TempDir(), Peer: &jetstream.PeerOptions{
			Cluster: "c", Node: fmt.Sprint("n", i), Listen: address, Routes: addresses, Secret: []byte("the secret that the peers of a cluster share"),
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Shutdown)
		peers = append(peers, s)
		if nc, err = s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
	}
	return peers, nc
}

// TestPeerWithGap: a peer whose replica of the ledger lacks a message ends, though nothing but that replica tells of it.
func TestPeerWithGap(t *testing.T) {
	peers, nc := embedded(t)
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var stream natsjs.Stream
	until(t, "the peers to have a stream", func() bool {
		stream, err = js.CreateOrUpdateStream(t.Context(), natsjs.StreamConfig{Name: jetstream.LedgerStream, Subjects: []string{"ledger.>"}, Replicas: 3})
		return err == nil
	})
	for range 3 {
		if _, err := js.Publish(t.Context(), "ledger.a", nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range peers {
		select {
		case err := <-s.Failed():
			t.Fatalf("peer %d, which has everything: %v", i, err)
		default:
		}
	}
	if err := stream.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for i, s := range peers {
		select {
		case err := <-s.Failed():
			if !errors.Is(err, ledger.ErrGap) {
				t.Errorf("peer %d: %v", i, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("peer %d goes on with a gap", i)
		}
	}
}
