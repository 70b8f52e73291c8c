//go:build faults

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keyledger/cmd/keyledger/clustertest"
)

// peerDamage is what happens to a file of a node that is stopped.
type peerDamage struct {
	name, files string // a pattern below the store
	do          func(t *testing.T, file string, chance *rand.Rand)
}

func peerDamages() []peerDamage {
	const stream, raft = "$G/streams/LEDGER/", "$SYS/_js_/S-R3F-*/"
	return []peerDamage{
		{"BlockFlipped", stream + "msgs/*.blk", flipPart},
		{"BlockCut", stream + "msgs/*.blk", cutPart},
		{"BlockRemoved", stream + "msgs/*.blk", removeFile},
		{"IndexFlipped", stream + "msgs/index.db", flipPart},
		{"IndexCut", stream + "msgs/index.db", cutPart},
		{"MetaCut", stream + "meta.inf", cutPart},
		{"LogFlipped", raft + "msgs/*.blk", flipPart},
		{"LogCut", raft + "msgs/*.blk", cutPart},
		{"SnapshotFlipped", raft + "snapshots/*", flipPart},
		{"SnapshotCut", raft + "snapshots/*", cutPart},
		{"VoteCut", raft + "tav.idx", cutPart},
	}
}

// flipPart flips a bit.
func flipPart(t *testing.T, file string, chance *rand.Rand) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		t.Logf("%s is empty", file)
		return
	}
	b[chance.IntN(len(b))] ^= 1 << chance.IntN(8)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func cutPart(t *testing.T, file string, chance *rand.Rand) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, chance.Int64N(info.Size()+1)); err != nil {
		t.Fatal(err)
	}
}

func removeFile(t *testing.T, file string, _ *rand.Rand) {
	t.Helper()
	remove(t, file)
}

// TestDamagedPeer damages the files of a node of a cluster, which has from the others what it lost, or does not become ready.
func TestDamagedPeer(t *testing.T) {
	x := newTrial(t, clustertest.Options{})
	for _, d := range peerDamages() {
		if !t.Run(d.name, func(t *testing.T) { x.damaged(t, d) }) {
			t.FailNow() // the next one would begin with what this one left
		}
	}
}

func (x *trial) damaged(t *testing.T, d peerDamage) {
	x.begin(t)
	x.progress(t, 20)
	n := x.Nodes[x.rand.IntN(len(x.Nodes))]
	n.Stop(t)
	keep := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(keep, os.DirFS(n.Data)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(n.Data, "nats/jetstream", d.files))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", d.files, err)
	}
	for _, file := range files {
		d.do(t, file, x.rand)
	}
	x.progress(t, 10) // by the others
	n.Start(t)
	if x.mends(n) {
		t.Log("it has from the others what it lost")
	} else {
		if n.Running() {
			t.Logf("it is not ready within %v", mending)
			n.Kill(t)
		} else {
			t.Log("it refuses to start")
		}
		remove(t, n.Data)
		if err := os.CopyFS(n.Data, os.DirFS(keep)); err != nil {
			t.Fatal(err)
		}
		n.Start(t)
	}
	n.AwaitReady(t)
	x.progress(t, 10)
	x.end(t)
	x.replayed(t, n)
}

// mending is how long a node may take to have from the others what it lost.
const mending = 30 * time.Second

// mends tells whether a damaged node becomes ready.
func (x *trial) mends(n *clustertest.Node) bool {
	for deadline := time.Now().Add(mending); n.Running() && time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if n.Ready() {
			return true
		}
	}
	return false
}
