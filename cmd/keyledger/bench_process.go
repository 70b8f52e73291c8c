package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// restartCreates is how many keys are created between two restarts, so that each finds something new to read.
const restartCreates = 2000

func measureRestart(ctx context.Context, b *bench) (figure, error) {
	f := figure{Unit: "s"}
	for round := range b.options.rounds {
		b.step(round, b.options.rounds)
		took, err := b.restartClean(ctx)
		if err != nil {
			return figure{}, err
		}
		f.Values = append(f.Values, took)
	}
	return f, nil
}

func measureRestartKill(ctx context.Context, b *bench) (figure, error) {
	f := figure{Unit: "s"}
	for round := range b.options.rounds {
		b.step(round, b.options.rounds)
		killed, err := b.restartKilled(ctx)
		if err != nil {
			return figure{}, err
		}
		clean, err := b.restartClean(ctx)
		if err != nil {
			return figure{}, err
		}
		f.Values, f.Baselines = append(f.Values, killed), append(f.Baselines, clean)
	}
	return f, nil
}

// restartClean stops the server after some creates and starts it, and tells how many seconds the start took.
func (b *bench) restartClean(ctx context.Context) (float64, error) {
	if _, err := b.createKeys(ctx, time.Minute, restartCreates); err != nil {
		return 0, err
	}
	if err := b.stopServer(); err != nil {
		return 0, err
	}
	took, err := b.startServer(ctx)
	return took.Seconds(), err
}

// restartKilled kills the server in the middle of creates and starts it.
func (b *bench) restartKilled(ctx context.Context) (float64, error) {
	l, err := b.createsLoad(ctx, 64)
	if err != nil {
		return 0, err
	}
	server := b.subject
	var created atomic.Int64
	l.period = time.Minute
	l.inspect = func(int, []byte) error {
		if created.Add(1) == restartCreates {
			go server.kill()
		}
		return nil
	}
	s, err := l.run(ctx) // ends when all connections are lost
	if err != nil {
		return 0, err
	}
	if created.Load() < restartCreates {
		return 0, fmt.Errorf("only %d of %d keys were created: %w", created.Load(), restartCreates, s.cause)
	}
	<-server.ended
	b.subject = nil
	took, err := b.startServer(ctx)
	return took.Seconds(), err
}

// measureMemory is taken when the server has answered requests, and then rested until its memory no longer changed.
func measureMemory(ctx context.Context, b *bench) (figure, error) {
	server, err := b.server(ctx)
	if err != nil {
		return figure{}, err
	}
	l := b.verifyLoad(server.addr)
	s, err := l.run(ctx)
	if err != nil {
		return figure{}, err
	}
	if s.errors > 0 {
		return figure{}, s.cause
	}
	settled, err := settledMemory(ctx, server.cmd.Process.Pid, 6*b.options.period)
	return figure{Unit: "MiB", Values: []float64{settled}}, err
}

// settledMemory watches the resident memory of a process until it has stayed within one part in a hundred for a
// window, at most ten windows, and returns it in MiB.
func settledMemory(ctx context.Context, pid int, window time.Duration) (float64, error) {
	tick := time.NewTicker(window / 10)
	defer tick.Stop()
	least, most, steady := 0.0, 0.0, 0
	for range 100 {
		now, err := residentMemory(pid)
		if err != nil {
			return 0, err
		}
		least, most = min(least, now), max(most, now)
		if steady++; most > least*1.01 {
			least, most, steady = now, now, 0
		}
		if steady == 10 {
			break
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
	return most, nil
}

// residentMemory reads VmRSS of proc_pid_status(5), in MiB.
func residentMemory(pid int) (float64, error) { return memoryOf(pid, "VmRSS:") }

// memoryOf reads a line of proc_pid_status(5), in MiB.
func memoryOf(pid int, line string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		value, ok := strings.CutPrefix(lines.Text(), line)
		if !ok {
			continue
		}
		kB, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 64)
		return kB / 1024, err
	}
	return 0, fmt.Errorf("no %s in /proc/%d/status", line, pid)
}
