package clustertest

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clockVariable names the file that says how wrong the wall clock of a process is.
const clockVariable = "KEYLEDGER_TEST_CLOCK"

//go:embed step.go.txt
var stepSource []byte

// Clocks are the wall clocks of nodes, which can be set while they run. The program of the nodes is built with a package time
// whose Now adds what a file in memory holds, for itself and every library in it; the monotonic clock and all timers are left
// alone, as they are when the clock of a machine is set.
type Clocks struct {
	binary string
	dir    string
	files  []*os.File
}

// NewClocks builds the program, which takes minutes the first time, with clocks that are right for so many nodes.
func NewClocks(t testing.TB, nodes int) *Clocks {
	t.Helper()
	c := &Clocks{dir: t.TempDir()}
	c.binary = filepath.Join(c.dir, "keyledger")
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", c.overlay(t), "-o", c.binary, "keyledger/cmd/keyledger")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with another clock: %v\n%s", err, out)
	}
	for node := range nodes {
		f, err := os.Create(c.path(node))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		c.files = append(c.files, f)
		c.Set(t, node, 0)
	}
	return c
}

// overlay writes the changed package time, and the file that tells the go command of it.
func (c *Clocks) overlay(t testing.TB) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const reads = "\tsec, nsec, mono := runtimeNow()\n"
	if bytes.Count(source, []byte(reads)) != 1 {
		t.Fatalf("time.Now of %s reads the clock in another way", folder)
	}
	source = bytes.Replace(source, []byte(reads), []byte(reads+"\tsec += step()\n"), 1)
	replace := map[string]string{}
	for name, content := range map[string][]byte{"time.go": source, "step.go": stepSource} {
		replace[filepath.Join(folder, name)] = filepath.Join(c.dir, name)
		c.write(t, name, content)
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	return c.write(t, "overlay.json", list)
}

func (c *Clocks) write(t testing.TB, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(c.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c *Clocks) path(node int) string { return filepath.Join(c.dir, fmt.Sprint("clock-", node+1)) }

// variable is what the environment of a node says about its clock.
func (c *Clocks) variable(node int) string { return clockVariable + "=" + c.path(node) }

// Set sets the wall clock of a node ahead of that of this machine, in whole seconds; below 0: behind it.
func (c *Clocks) Set(t testing.TB, node int, ahead time.Duration) {
	t.Helper()
	b := binary.NativeEndian.AppendUint64(nil, uint64(ahead/time.Second))
	if _, err := c.files[node].WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}
