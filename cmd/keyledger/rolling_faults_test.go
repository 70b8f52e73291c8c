//go:build faults

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"keyledger/cmd/keyledger/clustertest"
)

// rollingFrom is the version that TestRollingUpgradeFaults begins with. The first versions with clusters end at events with
// sealed personal data, which they do not know, as they must; this one is of after that.
const rollingFrom = "7170ddfab847f738ddee5f4f64039e9c8d931cd5"

// TestRollingUpgradeFaults replaces the nodes of a cluster of an earlier version by this one, one after the other and the leader
// among them, while clients create and verify keys, and repeat what is refused: nothing that was acknowledged is lost, and
// no request fails for good. In between nodes of both versions are one ledger.
func TestRollingUpgradeFaults(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{Binary: builtFrom(t, rollingFrom)})
	r := newTraffic(t, c, "upgrade", true)
	for _, n := range c.Nodes {
		r.await(t, 50)
		n.Stop(t)
		r.await(t, 20) // by the others
		n.Binary = "keyledger"
		n.Start(t)
		n.AwaitReady(t)
		oneLedger(t, c)
	}
	r.await(t, 50)
	r.end(t, c, "upgrade")
}

// builtFrom builds the program as it was at a commit.
func builtFrom(t *testing.T, commit string) string {
	t.Helper()
	dir := t.TempDir()
	archive, program := filepath.Join(dir, "source.tar"), filepath.Join(dir, "keyledger-before")
	if out, err := exec.Command("git", "-C", "../..", "archive", "--output", archive, commit).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: a rolling upgrade, because the history of this repository does not have %s here: %v: %s", commit, err, out)
	}
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, "./cmd/keyledger")
	build.Dir = source
	for _, cmd := range []*exec.Cmd{exec.Command("tar", "-xf", archive, "-C", source), build} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	return program
}
