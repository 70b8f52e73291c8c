package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"keyledger/client"
)

// measureAuditVerify exports the ledger and verifies the file, in a process of its own each time.
func measureAuditVerify(ctx context.Context, b *bench) (figure, error) {
	f := figure{Unit: "s"}
	err := b.auditVerify(ctx, func(took time.Duration, _ float64) { f.Values = append(f.Values, took.Seconds()) })
	return f, err
}

// measureAuditMemory is the most memory that such a process took.
func measureAuditMemory(ctx context.Context, b *bench) (figure, error) {
	f := figure{Unit: "MiB"}
	err := b.auditVerify(ctx, func(_ time.Duration, peak float64) { f.Values = append(f.Values, peak) })
	return f, err
}

func (b *bench) auditVerify(ctx context.Context, done func(took time.Duration, peak float64)) error {
	file, err := b.export(ctx)
	if err != nil {
		return err
	}
	for round := range b.options.rounds {
		b.step(round, b.options.rounds)
		took, peak, err := verifyFile(ctx, file)
		if err != nil {
			return err
		}
		done(took, peak)
	}
	return nil
}

// export writes the ledger to a file, which a later row finds there.
func (b *bench) export(ctx context.Context) (string, error) {
	file := filepath.Join(b.dir, "ledger.ndjson")
	if b.exported {
		return file, nil
	}
	server, err := b.server(ctx)
	if err != nil {
		return "", err
	}
	c, err := client.New("http://"+server.addr, client.NewToken(b.token))
	if err != nil {
		return "", err
	}
	x := exporter{client: c, progress: &progress{stderr: io.Discard}, file: file, from: 1}
	err = x.run(ctx, io.Discard, io.Discard)
	b.exported = err == nil
	return file, err
}

// verifyFile runs audit verify on an export, and tells how long it took and the most memory that it had, in MiB.
func verifyFile(ctx context.Context, file string) (took time.Duration, peak float64, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.CommandContext(ctx, program, "audit", "verify", "--trust-key", file)
	cmd.Env = withoutSettings(os.Environ())
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("audit verify %s: %w", file, err)
			}
			return time.Since(began), peak, err
		case <-tick.C:
			if now, err := memoryOf(cmd.Process.Pid, "VmHWM:"); err == nil { // else it has just ended
				peak = max(peak, now)
			}
		}
	}
}
