//go:build faults

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"keyledger/cmd/keyledger/clustertest"
)

// damage is what happens to a file of a node that is stopped.
type damage struct {
	name, files string // a pattern below the store
	do          func(t *testing.T, file string, chance *rand.Rand)
}

func damages() []damage {
	const stream, raft = "$G/streams/LEDGER/", "$SYS/_js_/S-R3F-*/"
	return []damage{
		{"BlockFlipped", stream + "msgs/*.blk", flip},
		{"BlockCut", stream + "msgs/*.blk", cutShort},
		{"BlockRemoved", stream + "msgs/*.blk", removeFile},
		{"IndexFlipped", stream + "msgs/index.db", flip},
		{"IndexCut", stream + "msgs/index.db", cutShort},
		{"MetaCut", stream + "meta.inf", cutShort},
		{"LogFlipped", raft + "msgs/*.blk", flip},
		{"LogCut", raft + "msgs/*.blk", cutShort},
		{"SnapshotFlipped", raft + "snapshots/*", flip},
		{"SnapshotCut", raft + "snapshots/*", cutShort},
		{"VoteCut", raft + "tav.idx", cutShort},
	}
}

// flip flips a bit.
func flip(t *testing.T, file string, chance *rand.Rand) {
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

func cutShort(t *testing.T, file string, chance *rand.Rand) {
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

// TestDamagedPeer damages the files of a node of a cluster, which either refuses to start or has from the others what it lost.
func TestDamagedPeer(t *testing.T) {
	x := newTrial(t, clustertest.Options{})
	for _, d := range damages() {
		if !t.Run(d.name, func(t *testing.T) { x.damaged(t, d) }) {
			t.FailNow() // the next one would begin with what this one left
		}
	}
}

func (x *trial) damaged(t *testing.T, d damage) {
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
	clustertest.Until(t, n.Name+" to be ready or to refuse", func() bool { return n.Ready() || !n.Running() })
	if n.Running() {
		t.Log("it has from the others what it lost")
	} else {
		t.Log("it refuses to start")
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
