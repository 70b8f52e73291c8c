package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"keyledger/client"
	"keyledger/events"
	"keyledger/ledger/audit"
)

// exportFile writes the ledger of a server from a sequence on as audit export does, and gives the file.
func exportFile(t *testing.T, c *client.Client, from uint64) string {
	t.Helper()
	checkpoint, source, err := c.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := audit.NewTree(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for leaf, err := range c.Leaves(t.Context(), 1, from-1) {
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Add(tlog.RecordHash(leaf)); err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	w, err := audit.NewWriter(&file, audit.Header{Origin: "keyledger/main", Source: source, From: from, Before: tree.Hashes()})
	if err != nil {
		t.Fatal(err)
	}
	told := newTelling(t.Context(), c, from)
	defer told.stop()
	for leaf, err := range c.Leaves(t.Context(), from, size(t, c)) {
		if err != nil {
			t.Fatal(err)
		}
		m, err := events.ParseLeaf(leaf)
		if err != nil {
			t.Fatal(err)
		}
		opener, err := told.of(&m)
		if err == nil {
			err = w.Append(leaf, opener)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(audit.Footer{Checkpoint: string(checkpoint)}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "export.ndjson")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func size(t *testing.T, c *client.Client) uint64 {
	t.Helper()
	n, err := ledgerSize(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// happen makes a history of two workspaces, and gives a key of the first. It returns when a signed head covers it.
func happen(t *testing.T, c *client.Client) client.Issued {
	t.Helper()
	var keys []client.Issued
	for _, workspace := range []string{"acme", "beta"} {
		k, err := c.CreateKey(t.Context(), client.CreateKey{
			Name: "ci of " + workspace, WorkspaceID: workspace, AgentID: "bot7", AgentName: "Böt", Scopes: []string{"deploy"},
			Metadata: []byte(`{"team":"blü"}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	first := keys[0]
	scopes := []string{"deploy", "read"}
	if _, err := c.UpdateKey(t.Context(), first.ID, client.UpdateKey{Name: new("renamed"), Scopes: &scopes}); err != nil {
		t.Fatal(err)
	}
	rotated, err := c.RotateKey(t.Context(), first.ID, client.RotateKey{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RegisterAgent(t.Context(), client.RegisterAgent{Name: "helper", WorkspaceID: "acme"}); err != nil {
		t.Fatal(err)
	}
	revoked, err := c.RevokeKey(t.Context(), first.ID, "leaked")
	if err != nil {
		t.Fatal(err)
	}
	for size(t, c) < revoked.Sequence {
		pause()
	}
	return rotated
}

// command runs the program and gives its exit code and what it wrote.
func command(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, notes bytes.Buffer
	code = run(t.Context(), args, env, &out, &notes)
	return code, out.String(), notes.String()
}

// TestReplayOfAFile: a file, without a server, tells what the server tells, byte for byte, in every form and selection.
func TestReplayOfAFile(t *testing.T) {
	p := start(t, t.TempDir())
	k := happen(t, p.client(t))
	file := exportFile(t, p.client(t), 1)
	selections := [][]string{
		{}, {"--workspace", "acme"}, {"--workspace", "beta", "--agent", "bot7"}, {"--org", "nobody"}, {"--key", k.ID}, {"--from", "5", "--to-seq", "8"},
	}
	commands := [][]string{
		{"audit", "export", "--format", "ocsf"}, {"audit", "replay"}, {"audit", "replay", "-o", "json"}, {"audit", "replay", "-o", "ndjson"},
		{"audit", "replay", "-o", "csv"},
	}
	ask := func(source ...string) (outputs []string) {
		for _, c := range commands {
			for _, s := range selections {
				args := slices.Concat(c, s, source)
				if c[1] == "export" {
					if slices.Contains(s, "--key") {
						args = slices.Concat(c, source) // it has no such flag
					}
					args = strings.Split(strings.ReplaceAll(strings.Join(args, " "), "--to-seq", "--to"), " ")
				}
				code, out, notes := command(t, nil, args...)
				if code != exitOK || notes != "" {
					t.Fatalf("%v: exit code %d\n%s", args, code, notes)
				}
				outputs = append(outputs, out)
			}
		}
		return outputs
	}
	told := ask("--server", p.url, "--token", rootToken)
	p.stop(t) // what it appends from now on is in neither
	for i, got := range ask("--file", file) {
		want := told[i]
		if got != want {
			t.Errorf("%v %v: the file tells\n%s\nthe server\n%s", commands[i/len(selections)], selections[i%len(selections)], got, want)
		}
		for _, secret := range []string{k.Token.Reveal(), rootToken} {
			if strings.Contains(got, secret) {
				t.Errorf("a token is told:\n%s", got)
			}
		}
	}
	if !strings.Contains(told[len(selections)], "renamed") {
		t.Errorf("it does not tell the new name:\n%s", told[len(selections)])
	}
}

// TestReplayOfABrokenFile: what is wrong is told, with what could be told before it, and the exit code tells that the
// export is not as it must be.
func TestReplayOfABrokenFile(t *testing.T) {
	p := start(t, t.TempDir())
	happen(t, p.client(t))
	text, err := os.ReadFile(exportFile(t, p.client(t), 1))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	join := func(parts ...[][]byte) []byte {
		var all []byte
		for _, part := range parts {
			all = append(all, bytes.Join(part, nil)...)
		}
		return all
	}
	half := len(lines) / 2
	for name, c := range map[string]struct {
		text []byte
		want string
		code int
		args []string
	}{
		"empty":       {nil, "not an export of a ledger", exitDamaged, nil},
		"interrupted": {join(lines[:half]), "interrupted", exitDamaged, nil},
		"not JSON":    {join(lines[:half], [][]byte{[]byte("{\n")}, lines[half:]), "line", exitDamaged, nil},
		"a bit":       {bytes.Replace(text, []byte(`"leaf":"AQ`), []byte(`"leaf":"Ag`), 1), "line 2", exitDamaged, nil},
		"reordered":   {join(lines[:3], lines[4:5], lines[3:4], lines[5:]), "event 3 follows event 4", exitDamaged, nil},
		"twice":       {join(lines[:5], lines[4:]), "event 4 follows event 4", exitDamaged, nil},
		"another key": {text, "has no event of the key", exitFailed, []string{"--key", "01978d2c-8f00-7a00-8000-000000000001"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "broken.ndjson")
			if err := os.WriteFile(file, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, notes := command(t, nil, append([]string{"audit", "replay", "--file", file}, c.args...)...)
			if code != c.code || !strings.Contains(notes, file) || !strings.Contains(notes, c.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.want, notes)
			}
			if name == "interrupted" && !strings.Contains(out, "root") {
				t.Errorf("what could be told is not there:\n%s", out)
			}
		})
	}
}

// TestReplayOfAPart: of a file that does not begin with the first event the old values that are not in it are not made up.
func TestReplayOfAPart(t *testing.T) {
	p := start(t, t.TempDir())
	c := p.client(t)
	k := happen(t, c)
	file := exportFile(t, c, k.Sequence)
	code, out, notes := command(t, nil, "audit", "replay", "--file", file, "--key", k.ID)
	if code != exitOK || !strings.Contains(notes, "whose creation is not among the events") {
		t.Errorf("exit code %d:\n%s", code, notes)
	}
	if !strings.Contains(out, "none → "+k.Hint) {
		t.Errorf("it tells\n%s", out)
	}
}
