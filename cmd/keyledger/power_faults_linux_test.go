//go:build faults

package main

import (
	"strings"
	"testing"

	"keyledger/cmd/keyledger/clustertest"
	"keyledger/cmd/keyledger/powertest"
)

// TestPowerCuts cuts the power of a node alone again and again, and that of all nodes of a cluster at once.
func TestPowerCuts(t *testing.T) {
	for _, test := range []struct {
		name  string
		cuts  int
		nodes int
		disk  powertest.Options
	}{
		{"Alone", 20, 1, powertest.Options{}},
		{"AloneTorn", 20, 1, powertest.Options{Torn: true}},
		{"All", 5, 3, powertest.Options{}},
		{"AllTorn", 5, 3, powertest.Options{Torn: true}},
	} {
		t.Run(test.name, func(t *testing.T) { powerCuts(t, test.cuts, 2000, test.nodes, test.disk) })
	}
}

// TestPowerCutOfNames: NATS syncs the files of a stream, not the folders they are in. Where that is not enough, which ext4,
// XFS and Btrfs are not, the ledger is gone with its names, and a node that has signed a head of it refuses to start.
func TestPowerCutOfNames(t *testing.T) {
	x := newPowered(t, 1, powertest.Options{OnlyFolders: true})
	x.begin(t)
	x.progress(t, 10)
	n := x.Nodes[0]
	clustertest.Until(t, "a head with what was answered", func() bool {
		head, _, err := patient(t, n).Checkpoint(t.Context())
		return err == nil && strings.Count(string(head), "\n") > 3 && x.history.Progress() > 10
	})
	x.cut(t, 1+x.rand.IntN(2000), 0)
	x.traffic.End()
	n.Start(t)
	if code := n.Wait(t); code != exitDamaged || !strings.Contains(n.Log(), "are gone") {
		t.Fatalf("exit code %d\n%s", code, n.Log())
	}
}
