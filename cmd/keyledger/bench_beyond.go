package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// beyond is what a ledger would take that is spread over partitions by workspace: not measured, but extended from
// what was measured by straight lines.
type beyond struct {
	Measured []*partition `json:"measured"`
	Memory   line         `json:"memory_mib"`
	Start    line         `json:"start_s"`
	Disk     line         `json:"disk_mib"`
	Extended []extended   `json:"extrapolated"`
}

// line is what a partition takes: a fixed part, and a part for each million keys.
type line struct {
	Fixed   float64 `json:"fixed"`
	Million float64 `json:"per_million_keys"`
}

func (l line) at(keys float64) float64 { return l.Fixed + l.Million*keys/1e6 }

// extended is one way to spread keys over partitions, each on a node of its own.
type extended struct {
	Keys       float64 `json:"keys"`
	Partitions int     `json:"partitions"`
	Skew       float64 `json:"largest_over_mean"` // keys of the largest partition ÷ those of the mean one
	Memory     float64 `json:"memory_mib"`        // of a node with the mean number of keys
	Largest    float64 `json:"memory_largest_mib"`
	Start      float64 `json:"start_largest_s"`
	Disk       float64 `json:"disk_mib"`
}

// extrapolate extends what was measured.
func extrapolate(measured []*partition) *beyond {
	through := func(value func(*partition) float64) line { return fit(measured, value) }
	b := &beyond{
		Measured: measured,
		Memory:   through(func(p *partition) float64 { return p.Memory }),
		Start:    through(func(p *partition) float64 { return p.Start }),
		Disk:     through(func(p *partition) float64 { return p.Disk }),
	}
	for _, s := range []struct {
		keys       float64
		partitions []int
	}{
		{10e6, []int{1, 4, 16}},
		{100e6, []int{16, 64, 256}},
		{1e9, []int{64, 256, 1024}},
	} {
		for _, n := range s.partitions {
			mean, skew := s.keys/float64(n), skewOf(n)
			b.Extended = append(b.Extended, extended{
				Keys: s.keys, Partitions: n, Skew: skew,
				Memory: b.Memory.at(mean), Largest: b.Memory.at(mean * skew),
				Start: b.Start.at(mean * skew), Disk: b.Disk.at(mean),
			})
		}
	}
	return b
}

// fit puts the line of least squares through a value by the number of keys.
func fit(measured []*partition, value func(*partition) float64) line {
	n := float64(len(measured))
	var x, y, xx, xy float64
	for _, p := range measured {
		k, v := float64(p.Keys)/1e6, value(p)
		x, y, xx, xy = x+k, y+v, xx+k*k, xy+k*v
	}
	slope := (n*xy - x*y) / (n*xx - x*x)
	return line{Fixed: (y - slope*x) / n, Million: slope}
}

// skewWorkspaces is how many workspaces the simulation has. The sizes are those of Zipf's law: the n-th has 1/n of the
// keys of the first, which so has a twelfth of all.
const skewWorkspaces = 100_000

// skewOf simulates the share of the largest of n partitions, relative to the mean.
func skewOf(n int) float64 {
	sizes := make([]float64, n)
	total := 0.0
	for i := range skewWorkspaces {
		size := 1 / float64(i+1)
		sizes[partitionOf(fmt.Sprintf("workspace-%d", i), n)] += size
		total += size
	}
	most := 0.0
	for _, size := range sizes {
		most = max(most, size)
	}
	return most / total * float64(n)
}

// partitionOf is where a workspace belongs: jump consistent hash (Lamping and Veach, 2014) of its SHA-256. One partition
// more moves only what it gets.
func partitionOf(workspace string, partitions int) int {
	sum := sha256.Sum256([]byte(workspace))
	return jump(binary.BigEndian.Uint64(sum[:]), partitions)
}

func jump(key uint64, buckets int) int {
	at, next := -1, 0
	for next < buckets {
		at = next
		key = key*2862933555777941757 + 1
		next = int(float64(at+1) * (float64(1<<31) / float64(key>>33+1)))
	}
	return at
}

// linesNeed is how many keys are needed for lines that say more of the keys than of what else the machine did.
const linesNeed = 200_000

// writeTable prints what was measured and what follows.
func (b *beyond) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "\npartitions, measured: each a ledger with a stream, views and a process of its own\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "OF\tKEYS\tMEMORY\tSTART\tDISK")
	for _, p := range b.Measured {
		fmt.Fprintf(table, "%d\t%d\t%.0f MiB\t%.2f s\t%.0f MiB\n", p.Of, p.Keys, p.Memory, p.Start, p.Disk)
	}
	fmt.Fprintf(table, "fixed\t\t%.0f MiB\t%.2f s\t%.0f MiB\n", b.Memory.Fixed, b.Start.Fixed, b.Disk.Fixed)
	fmt.Fprintf(table, "per million keys\t\t%.0f MiB\t%.2f s\t%.0f MiB\n", b.Memory.Million, b.Start.Million, b.Disk.Million)
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\npartitions, EXTRAPOLATED by these lines, not measured: each on a node of its own, sizes of workspaces by Zipf's law\n")
	if b.Measured[0].Keys < linesNeed {
		fmt.Fprintf(w, "(from fewer than %d keys: what follows shows the form, not the size)\n", linesNeed)
	}
	fmt.Fprintln(w)
	table = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEYS\tPARTITIONS\tKEYS OF EACH\tMEMORY\tDISK\tLARGEST ÷ MEAN\tITS MEMORY\tITS START")
	for _, e := range b.Extended {
		fmt.Fprintf(table, "%.0fM\t%d\t%.2fM\t%s\t%s\t%.2f\t%s\t%.0f s\n", e.Keys/1e6, e.Partitions, e.Keys/1e6/float64(e.Partitions),
			gibibytes(e.Memory), gibibytes(e.Disk), e.Skew, gibibytes(e.Largest), e.Start)
	}
	return table.Flush()
}

// gibibytes shows MiB.
func gibibytes(mib float64) string {
	if math.Abs(mib) < 1024 {
		return fmt.Sprintf("%.0f MiB", mib)
	}
	return fmt.Sprintf("%.1f GiB", mib/1024)
}
