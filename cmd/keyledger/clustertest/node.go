package clustertest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Node is one node of a cluster, running or not. Its addresses are the same at every start.
type Node struct {
	Name  string
	Data  string // its data folder
	URL   string // of its API
	Peers string // its address for the other nodes

	Binary string // its program at the next start

	cluster *Cluster
	routes  string
	env     []string // what its environment has beside that of the test
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	failure error         // of the process, once it has ended
	paused  bool
	log     buffer // of all its processes
}

// PeerArgs are the arguments that make it a peer of the cluster, on its data folder.
func (n *Node) PeerArgs() []string {
	if len(n.cluster.Nodes) == 1 {
		return []string{"--data", n.Data}
	}
	return []string{
		"--data", n.Data, "--cluster-name", "test", "--cluster-listen", n.Peers, "--cluster-routes", n.routes, "--node-name", n.Name,
	}
}

// Start starts it with some more arguments. It is not ready yet.
func (n *Node) Start(t testing.TB, args ...string) {
	t.Helper()
	serve := append([]string{"serve", "--http", strings.TrimPrefix(n.URL, "http://"), "--metrics-public", "--drain", "1ms"}, n.cluster.args...)
	n.Run(t, append(serve, args...)...)
}

// Run starts it with another command than serve.
func (n *Node) Run(t testing.TB, args ...string) {
	t.Helper()
	// Not with the context of the test, which ends before its cleanups: they end the process.
	n.cmd = exec.CommandContext(context.Background(), n.Binary, append(args, n.PeerArgs()...)...)
	n.cmd.Env = append(os.Environ(), "KEYLEDGER_ROOT_TOKEN="+RootToken, "KEYLEDGER_SECRET="+Secret)
	n.cmd.Env = append(n.cmd.Env, n.env...)
	n.cmd.Stderr = &n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, ended := n.cmd, make(chan struct{})
	n.ended, n.paused = ended, false
	go func() {
		n.failure = cmd.Wait()
		close(ended)
	}()
}

// AwaitReady waits until it is ready. What it says of itself until then is told when the test fails.
func (n *Node) AwaitReady(t testing.TB) {
	t.Helper()
	var status int
	var answer []byte
	defer func() {
		if status != http.StatusOK {
			t.Logf("%s answers %d to /readyz: %s", n.Name, status, answer)
		}
	}()
	Until(t, n.Name+" to be ready", func() bool {
		if !n.Running() {
			t.Fatalf("%s ended: %v\n%s", n.Name, n.failure, n.Log())
		}
		status, answer = n.get("/readyz")
		return status == http.StatusOK
	})
}

// Ready tells whether it says now that it can serve.
func (n *Node) Ready() bool { return n.Status("/readyz") == http.StatusOK }

// Status is what it answers to a GET without a token, 0 when it does not answer within two seconds.
func (n *Node) Status(path string) int {
	status, _ := n.get(path)
	return status
}

func (n *Node) get(path string) (int, []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+path, nil)
	if err != nil {
		return 0, nil
	}
	request.Close = true // its process may be another one the next time
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil
	}
	return answer.StatusCode, body
}

// metric is the value of a metric without labels, empty when it has none.
func (n *Node) metric(name string) string {
	_, body := n.get("/metrics")
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Running tells whether it has a process, which may be paused.
func (n *Node) Running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// Stop ends it as an operator does, and fails the test unless it ends well.
func (n *Node) Stop(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGTERM)
	n.Wait(t)
	if n.failure != nil {
		t.Fatalf("%s: %v\n%s", n.Name, n.failure, n.Log())
	}
}

// Wait waits until it has ended, and gives its exit code: -1 when a signal ended it.
func (n *Node) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-n.ended:
	case <-time.After(Patience):
		t.Fatalf("%s does not end\n%s", n.Name, n.Log())
	}
	return n.cmd.ProcessState.ExitCode()
}

// Kill ends it as a crash does.
func (n *Node) Kill(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGKILL)
	n.Wait(t)
}

// Pause stops its process where it is; Resume lets it go on.
func (n *Node) Pause(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGSTOP)
	n.paused = true
}

// Resume lets a paused process go on.
func (n *Node) Resume(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGCONT)
	n.paused = false
}

func (n *Node) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v\n%s", n.Name, err, n.Log())
	}
}

// kill ends the process if there is one, in whatever state it is.
func (n *Node) kill() {
	if n.Running() {
		_ = n.cmd.Process.Kill() // fails only when it has just ended
		<-n.ended
	}
}

// Log is what its processes have said.
func (n *Node) Log() string { return n.log.String() }

// buffer is a buffer that one goroutine writes while another reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
