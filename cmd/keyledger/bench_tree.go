package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// newTreelessCommand gives a server that keeps no tree over the ledger and signs no heads, with which bench compares.
func newTreelessCommand(env environment) *cobra.Command {
	cmd := serveCommand(env, &config{treeless: true})
	cmd.Use, cmd.Short, cmd.Hidden = "treeless", "Serve without the tree, for bench to compare with", true
	return cmd
}

// measureTree creates keys on two servers with ledgers of their own, one of which keeps no tree. What is compared is how
// many creates a second of the server's processor time makes: it is what limits them, and what else the machine does leaves it
// alone.
func measureTree(ctx context.Context, b *bench) (f figure, err error) {
	var measure [2]func() (sample, error)
	for i, command := range [][]string{{"serve"}, {"bench", "treeless"}} {
		dir := filepath.Join(b.dir, "tree-"+strconv.Itoa(i))
		c, _, err := startChild(ctx, dir, []string{"KEYLEDGER_ROOT_TOKEN=" + b.token}, append(command, "--http", "127.0.0.1:0", "--data", dir)...)
		if err != nil {
			return f, err
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		measure[i] = func() (sample, error) { return b.createsOfProcessor(ctx, c) }
		if _, err := measure[i](); err != nil { // a new process is slower
			return f, err
		}
	}
	return b.inTurn(measure[0], measure[1])
}

// createsOfProcessor is how many keys a server creates in a second of its processor time, at 64 connections.
func (b *bench) createsOfProcessor(ctx context.Context, c *child) (sample, error) {
	before, err := processorTime(c.cmd.Process.Pid)
	if err != nil {
		return sample{}, err
	}
	l := load{addr: c.addr, conns: 64, period: b.options.period, status: http.StatusCreated, requests: always(b.createRequest())}
	s, err := l.run(ctx)
	if err != nil {
		return s, err
	}
	after, err := processorTime(c.cmd.Process.Pid)
	s.rate = float64(s.count) / (after - before)
	return s, err
}

// ticks is how many a second of proc_pid_stat(5) has, on all architectures that Go has Linux for.
const ticks = 100

// processorTime is how many seconds of processor time a process has used.
func processorTime(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // from the third one on
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticks, errors.Join(err1, err2)
}

// measureInclusion asks for proofs that random events are in the tree, over one connection. The value is the 99th percentile.
func measureInclusion(ctx context.Context, b *bench) (figure, error) {
	server, err := b.server(ctx)
	if err != nil {
		return figure{}, err
	}
	part := strings.Repeat("0", 10)
	proof := newTemplate(http.MethodGet, "/v1/ledger/proof/inclusion?sequence="+part, b.token, "", part)
	l := load{addr: server.addr, conns: 1, period: b.options.period, status: http.StatusOK}
	l.requests = func(int) func([]byte) ([]byte, bool) {
		return func(buf []byte) ([]byte, bool) {
			return proof.fill(buf, fmt.Sprintf("%010d", 1+rand.IntN(b.options.keys))), true
		}
	}
	return b.slowest(ctx, &l)
}
