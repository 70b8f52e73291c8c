package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/mux"
	"github.com/spf13/cobra"
)

// addrFile is the file in a server's data folder that holds the address it is bound to.
const addrFile = "http.addr"

// child is a server that runs as a process of its own, so that it shares no heap with the load generator.
type child struct {
	cmd    *exec.Cmd
	dir    string // its data folder
	output string // the file that holds what it printed
	addr   string
	ended  chan struct{} // closed when the process is gone
	err    error         // of the process, once ended
}

// startChild runs this program with args, which make it listen on a free loopback port and write its address to
// dir. It returns when /readyz answers 200 there, with the time that took from the start of the process.
func startChild(ctx context.Context, dir string, env []string, args ...string) (*child, time.Duration, error) {
	began := time.Now()
	c, err := launchChild(ctx, dir, env, args...)
	if err != nil {
		return nil, 0, err
	}
	if err := c.awaitReady(ctx); err != nil {
		c.kill()
		return nil, 0, err
	}
	return c, time.Since(began), nil
}

// launchChild is startChild without waiting.
func launchChild(ctx context.Context, dir string, env []string, args ...string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(dir, addrFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // a killed server leaves it behind
	}
	c := &child{dir: dir, output: dir + ".log", ended: make(chan struct{})}
	output, err := os.OpenFile(c.output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	c.cmd = exec.CommandContext(ctx, program, args...)
	c.cmd.Env = append(withoutSettings(os.Environ()), env...)
	c.cmd.Stdout, c.cmd.Stderr = output, output
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// withoutSettings leaves out the variables that would change what is measured.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, assignment := range environ {
		if !strings.HasPrefix(assignment, envPrefix) {
			kept = append(kept, assignment)
		}
	}
	return kept
}

// awaitReady asks every few milliseconds until the answer is 200.
func (c *child) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%v is not ready: %w\n%s", c.cmd.Args[1:], ctx.Err(), c.lastLines())
		case <-c.ended:
			return fmt.Errorf("%v ended: %w\n%s", c.cmd.Args[1:], c.err, c.lastLines())
		case <-tick.C:
			if c.ready(ctx) {
				return nil
			}
		}
	}
}

func (c *child) ready(ctx context.Context) bool {
	addr, err := os.ReadFile(filepath.Join(c.dir, addrFile))
	if err != nil {
		return false
	}
	c.addr = strings.TrimSpace(string(addr))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// lastLines are the last lines of what it printed.
func (c *child) lastLines() string {
	printed, err := os.ReadFile(c.output)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(printed), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// stop ends the process as an operator would.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		c.kill()
		return fmt.Errorf("%v did not stop within a minute\n%s", c.cmd.Args[1:], c.lastLines())
	}
	if c.err != nil {
		return fmt.Errorf("%v: %w\n%s", c.cmd.Args[1:], c.err, c.lastLines())
	}
	return nil
}

// kill ends the process as a crash would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	<-c.ended
}

// newNoopCommand gives the baseline of the requests: a handler that does nothing, behind the router that the real
// ones are behind.
func newNoopCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "noop",
		Short:  "Serve the no-op handler that bench compares with",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE:   func(cmd *cobra.Command, _ []string) error { return serveNoop(cmd.Context(), dir) },
	}
	cmd.Flags().StringVar(&dir, "data", "", "folder for the address file")
	return cmd
}

func serveNoop(ctx context.Context, dir string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, addrFile), []byte(listener.Addr().String()), 0o600); err != nil {
		return err
	}
	answer := []byte(`{"ok":true}`)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(answer)
	}
	router := mux.NewRouter()
	router.HandleFunc("/readyz", handler).Methods(http.MethodGet)
	router.HandleFunc("/v1/keys", handler).Methods(http.MethodPost)
	router.HandleFunc("/v1/keys/verify", handler).Methods(http.MethodPost)
	router.HandleFunc("/v1/keys/{id}/revoke", handler).Methods(http.MethodPost)
	router.HandleFunc("/v1/orgs/{id}/keys", handler).Methods(http.MethodGet)
	server := &http.Server{Handler: router, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
