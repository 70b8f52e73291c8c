package handlerstest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Clients is the folder of the vendors' own Node clients, as the tests of a package beside this one see it. They are
// installed with `npm ci` there.
const Clients = "../handlerstest/clients"

// nodeTimeout is how long a script may take.
const nodeTimeout = time.Minute

// Node runs a script, the text of an ES module, with Node.js, and returns what it wrote to its standard output. It imports
// packages from dir/node_modules. env holds NAME=value pairs, on top of the environment of the test. The test fails when
// the script does. Without node, or what dir is to have installed, it is skipped, and fails where CI is "true".
func Node(t testing.TB, dir, script string, env ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		const how = "install Node.js, and run `npm ci` in handlers/handlerstest/clients"
		if os.Getenv("CI") == "true" {
			t.Fatalf("the vendors' clients are missing (%v): CI must %s", err, how)
		}
		t.Skipf("NOT TESTED: the vendors' own clients, because they are missing (%v): %s", err, how)
	}
	ctx, cancel := context.WithTimeout(t.Context(), nodeTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, program, "--input-type=module", "-")
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	command.Stdin = strings.NewReader(script)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s%s", errors.Join(err, ctx.Err()), out, &stderr)
	}
	return out
}
