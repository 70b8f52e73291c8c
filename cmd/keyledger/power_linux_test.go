package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyledger/cmd/keyledger/clustertest"
	"keyledger/cmd/keyledger/powertest"
)

// powered is a trial on disks that can lose power.
type powered struct {
	*trial
	disks   []*powertest.Disk
	unmount []func()
}

// newPowered starts a cluster, each node on a disk of its own.
func newPowered(t *testing.T, nodes int, o powertest.Options) *powered {
	t.Helper()
	x := &powered{}
	root := t.TempDir()
	t.Cleanup(func() { // after the nodes have ended
		for _, unmount := range x.unmount {
			unmount()
		}
	})
	x.trial = newTrial(t, clustertest.Options{Nodes: nodes, Data: func(node int) string {
		folder := filepath.Join(root, string(rune('1'+node)))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		x.disks = append(x.disks, powertest.NewDisk(o))
		x.unmount = append(x.unmount, powertest.Mount(t, x.disks[node], folder))
		return folder
	}})
	return x
}

// cut cuts the power of some nodes, all at the moment when the first of them has done so many more operations.
func (x *powered) cut(t *testing.T, operations int, nodes ...int) {
	t.Helper()
	t.Logf("the power is cut after %d operations of %s", operations, x.Nodes[nodes[0]].Name)
	lost := x.disks[nodes[0]].LoseAfter(operations)
	clustertest.Until(t, "the power to be lost", func() bool {
		select {
		case <-lost:
			return true
		default:
			if n := x.Nodes[nodes[0]]; !n.Running() {
				t.Fatalf("%s ended before:\n%s", n.Name, n.Log())
			}
			return false
		}
	})
	for _, i := range nodes {
		x.disks[i].LoseAfter(0)
	}
	for _, i := range nodes {
		n := x.Nodes[i]
		if n.Running() {
			n.Kill(t)
		}
		x.unmount[i]()
		for _, target := range x.disks[i].Restore(rand.New(rand.NewPCG(x.rand.Uint64(), 0))) {
			if err := os.RemoveAll(target); err != nil { // memory, which is lost too
				t.Fatal(err)
			}
		}
		x.unmount[i] = powertest.Mount(t, x.disks[i], n.Data)
	}
}

// powerCuts cuts the power of all nodes of a cluster so many times, also while they start, each time after most operations of a
// disk at most: writes, syncs and changes of names. A start does some hundred, a write under load a few.
func powerCuts(t *testing.T, cuts, most, nodes int, o powertest.Options) {
	t.Helper()
	x := newPowered(t, nodes, o)
	x.begin(t)
	x.progress(t, 10)
	for range cuts {
		first := x.rand.IntN(nodes)
		order := []int{first}
		for i := range nodes {
			if i != first {
				order = append(order, i)
			}
		}
		x.cut(t, 1+x.rand.IntN(most), order...)
		for _, n := range x.Nodes {
			n.Start(t)
		}
		if x.rand.IntN(3) > 0 { // else the next cut comes while they start
			for _, n := range x.Nodes {
				n.AwaitReady(t)
			}
			x.progress(t, 10)
		}
	}
	x.end(t)
	x.replayed(t, x.Nodes[x.rand.IntN(nodes)])
}

// TestPowerCut: a node alone loses nothing that it has acknowledged when the power is cut.
func TestPowerCut(t *testing.T) {
	powerCuts(t, 2, 500, 1, powertest.Options{})
}

// TestPowerCutIsFound: the test above fails on a disk that lies.
func TestPowerCutIsFound(t *testing.T) {
	x := newPowered(t, 1, powertest.Options{Lies: true})
	x.begin(t)
	x.progress(t, 10)
	x.cut(t, 1, 0)
	x.Nodes[0].Start(t)
	x.Nodes[0].AwaitReady(t)
	x.traffic.End()
	if err := x.history.Settle(eventsOf(t, x.Nodes[0], 0)); err == nil || !strings.Contains(err.Error(), "is lost") {
		t.Fatalf("everything is lost, and that is not found: %v", err)
	}
}
