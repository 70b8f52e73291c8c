package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
)

// The README is checked against the program: its sh blocks are run in order, and each must print what the text block
// after it shows, where "…" stands for anything.

// block is a fenced block of the README.
type block struct{ language, text string }

func readmeBlocks(t *testing.T) []block {
	t.Helper()
	var blocks []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(readme(t), -1) {
		blocks = append(blocks, block{m[1], m[2]})
	}
	return blocks
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeWalk follows the README as a new user does: it starts the server with the README's own commands, each time on
// the same data, and pastes the other ones into a shell.
func TestReadmeWalk(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	t.Setenv("KEYLEDGER_DATA", data)
	t.Setenv("KEYLEDGER_HTTP", "127.0.0.1:0")
	blocks := readmeBlocks(t)
	var starts []int
	for i, b := range blocks {
		if b.language == "sh" && strings.HasSuffix(b.text, " serve\n") {
			starts = append(starts, i)
		}
	}
	first := slices.IndexFunc(blocks, func(b block) bool { return b.language == "sh" })
	if len(starts) != 2 || starts[0] != first {
		t.Fatalf("the first sh block, which is block %d, and another one must start the server, not %d", first, starts)
	}
	t.Run("first start", func(t *testing.T) { walk(t, data, "", blocks[starts[0]:starts[1]], 5) })
	t.Run("next start", func(t *testing.T) { walk(t, data, "ROOT=$(cat data/root.token)\n", blocks[starts[1]:], 1) })
}

// walk starts a server with the first block and pastes the other sh blocks, so many at least, into a shell in which
// before was run.
func walk(t *testing.T, data, before string, blocks []block, atLeast int) {
	t.Helper()
	address, said := serveReadme(t, data, blocks[0].text)
	shows(t, blocks[1], said())

	const mark = "--- end of block"
	script := "set -eu\n" + before
	var shown []block
	for i, b := range blocks[1:] {
		if b.language == "sh" {
			script += b.text + "\necho; echo '" + mark + "'\n"
			shown = append(shown, blocks[1+i+1])
		}
	}
	shell := exec.Command("bash", "-c", strings.ReplaceAll(script, "localhost:8080", address))
	shell.Dir = filepath.Dir(data)
	shell.Env = append(os.Environ(), "KEYLEDGER_SERVER=http://"+address)
	var stderr bytes.Buffer
	shell.Stderr = &stderr
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, &stderr)
	}
	outputs := strings.Split(string(out), mark)
	if len(shown) < atLeast || len(outputs) != len(shown)+1 {
		t.Fatalf("%d outputs of %d blocks", len(outputs)-1, len(shown))
	}
	for i, b := range shown {
		shows(t, b, outputs[i])
	}
}

// serveReadme runs a command of the README at the top of the repository, with the port and the data folder of the
// environment. It returns the address and a function that gives what the server has said, as if it had the usual port.
func serveReadme(t *testing.T, data, command string) (address string, said func() string) {
	t.Helper()
	server := exec.Command("bash", "-c", command)
	server.Dir = "../.."
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run does not pass signals on: signal both
	output := filepath.Join(t.TempDir(), "output")
	file, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	server.Stdout, server.Stderr = file, file
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-server.Process.Pid, syscall.SIGINT); err != nil {
			t.Error(err)
		}
		server.Wait()
	})
	said = func() string {
		text, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer(address, "localhost:8080", data+"/", "data/", data, "./data").Replace(string(text))
	}
	ready, err := waitReady(data)
	if err != nil {
		address = "-"
		t.Fatalf("%v\n%s", err, said())
	}
	address = strings.TrimPrefix(ready, "http://")
	return address, said
}

// shows fails unless the lines of a text block are in an output, one after the other, "…" being anything.
func shows(t *testing.T, b block, output string) {
	t.Helper()
	if b.language != "text" {
		t.Fatalf("a text block must follow the sh block, not %s:\n%s", b.language, b.text)
	}
	var pattern strings.Builder
	pattern.WriteString(`(?m)\A`)
	for line := range strings.Lines(b.text) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		fmt.Fprintf(&pattern, `(?s:.*?)^%s$`, strings.Join(parts, ".*"))
	}
	if !regexp.MustCompile(pattern.String()).MatchString(output) {
		t.Errorf("the README shows\n%s\nand this was printed:\n%s", b.text, output)
	}
}

// TestReadmeTests: the packages that the README shows being tested are those that there are.
func TestReadmeTests(t *testing.T) {
	list, err := exec.Command("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}ok  \t{{.ImportPath}}\t…{{end}}", "keyledger/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "$ go test ./...\n" + string(list)
	if !slices.Contains(readmeBlocks(t), block{"console", want}) {
		t.Errorf("the README must show\n%s", want)
	}
}

// TestReadmeConfiguration: the table of the README is that of the flags.
func TestReadmeConfiguration(t *testing.T) {
	text := readme(t)
	rows := 0
	newServeCommand(nil).Flags().VisitAll(func(f *pflag.Flag) {
		rows++
		value := ""
		if f.DefValue != "" && f.DefValue != "[]" {
			value = "`" + f.DefValue + "`"
		}
		what := strings.ReplaceAll(strings.TrimSuffix(f.Usage, " ["+variable(f.Name)+"]"), "<", "&lt;")
		row := fmt.Sprintf("| `--%s` | `%s` | %s | %s |\n", f.Name, variable(f.Name), value, what)
		if !strings.Contains(text, row) {
			t.Errorf("the README must have the row\n%s", row)
		}
	})
	if got := strings.Count(text, "\n| `--"); got != rows {
		t.Errorf("the table has %d rows for %d flags", got, rows)
	}
}

// TestReadmeLinks: files that the README points to are there.
func TestReadmeLinks(t *testing.T) {
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(readme(t), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Error(err)
		}
	}
}

// TestReadmeNginx: nginx takes the README's configuration. What it does is tested with the handlers.
func TestReadmeNginx(t *testing.T) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // where Debian has it, often not on the PATH of users
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is missing: CI must install it (Debian: apt-get install nginx-light)")
		}
		t.Skip("NOT TESTED: the README's nginx configuration, because nginx is missing (Debian: apt-get install nginx-light)")
	}
	blocks := readmeBlocks(t)
	i := slices.IndexFunc(blocks, func(b block) bool { return b.language == "nginx" })
	if i < 0 {
		t.Fatal("the README has no nginx block")
	}
	folder := t.TempDir()
	config := "pid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\nserver {\nlisten unix:nginx.sock;\n" + blocks[i].text + "}\n}\n"
	if err := os.WriteFile(filepath.Join(folder, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "-t", "-p", folder, "-c", "nginx.conf").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
