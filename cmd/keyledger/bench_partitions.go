package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// partition is a ledger of its own, with its stream, its views and its process, and what it takes.
type partition struct {
	Of      int     `json:"of"` // so many
	Keys    int     `json:"keys"`
	Memory  float64 `json:"memory_mib"` // resident, idle
	Start   float64 `json:"start_s"`    // clean restart until /readyz
	Disk    float64 `json:"disk_mib"`
	process *child
}

// measurePartitions spreads the keys over one, two and four ledgers, each served by a process of its own, and puts lines
// through what each takes. The value is the memory of a ledger without keys: what a further one costs.
func measurePartitions(ctx context.Context, b *bench) (figure, error) {
	if err := b.stopServer(); err != nil {
		return figure{}, err
	}
	var all []*partition
	counts := [...]int{1, 2, 4}
	for i, count := range counts {
		b.step(i, len(counts))
		list, err := b.spread(ctx, count)
		if err != nil {
			return figure{}, err
		}
		all = append(all, list...)
	}
	b.beyond = extrapolate(all)
	return figure{Unit: "MiB", Values: []float64{b.beyond.Memory.Fixed}}, nil
}

// spread makes so many ledgers, runs them at the same time, and measures each.
func (b *bench) spread(ctx context.Context, count int) (list []*partition, err error) {
	dir := filepath.Join(b.dir, "partitions")
	defer func() {
		for _, p := range list {
			err = errors.Join(err, p.process.stop())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	for i := range count {
		p, err := b.startPartition(ctx, filepath.Join(dir, fmt.Sprint(i)), b.options.keys/count)
		if err != nil {
			return list, err
		}
		p.Of = count
		list = append(list, p)
	}
	var group errgroup.Group
	for _, p := range list {
		group.Go(func() (err error) {
			p.Memory, err = settledMemory(ctx, p.process.cmd.Process.Pid, 6*b.options.period)
			return err
		})
	}
	return list, group.Wait()
}

// startPartition makes a ledger of so many keys and starts its server, with the views built.
func (b *bench) startPartition(ctx context.Context, dir string, keys int) (p *partition, err error) {
	p = &partition{Keys: keys}
	serve := func() error {
		process, took, err := startChild(ctx, dir, []string{"KEYLEDGER_ROOT_TOKEN=" + b.token}, "serve", "--http", "127.0.0.1:0", "--data", dir)
		p.process, p.Start = process, took.Seconds()
		return err
	}
	stop := func() error { return p.process.stop() }
	seed := func() error {
		_, err := seedLedger(ctx, dir, keys, func(int) {})
		return err
	}
	// The first start makes the ledger and its secret, the second one the views; the third is the one that counts.
	for _, step := range []func() error{serve, stop, seed, serve, stop, serve} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if p.Disk, err = sizeOf(dir); err != nil {
		return nil, errors.Join(err, stop())
	}
	return p, nil
}

// sizeOf is how many MiB the files in a folder have.
func sizeOf(dir string) (float64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return nil // the views remove files while they are counted
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return float64(total) / (1 << 20), err
}
