package main

import (
	"testing"

	"keyledger/client"
	"keyledger/cmd/keyledger/clustertest"
)

// onNode gives a client of a node that acts as root.
func onNode(t *testing.T, n *clustertest.Node, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(n.URL, client.NewToken(clustertest.RootToken), options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCluster: three nodes without a NATS beside them are one ledger.
func TestCluster(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{})
	ctx := t.Context()
	issued, err := onNode(t, c.Nodes[0]).CreateKey(ctx, client.CreateKey{Name: "shared"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		v, err := onNode(t, n).Verify(ctx, client.Verify{Token: issued.Token}, client.MinSequence(issued.Sequence))
		if err != nil || !v.Valid {
			t.Fatalf("%s: %v, %v", n.Name, v.Code, err)
		}
	}
	leader := c.Leader(t)
	t.Logf("%s leads", leader.Name)
}
