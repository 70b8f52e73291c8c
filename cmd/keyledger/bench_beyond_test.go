package main

import (
	"fmt"
	"math"
	"testing"
)

// TestJump: the values are those of other implementations of jump consistent hash.
func TestJump(t *testing.T) {
	for _, test := range []struct {
		key     uint64
		buckets int
		want    int
	}{{1, 1, 0}, {42, 57, 43}, {0xDEAD10CC, 1, 0}, {0xDEAD10CC, 666, 361}, {256, 1024, 520}} {
		if got := jump(test.key, test.buckets); got != test.want {
			t.Errorf("%d of %d is %d, want %d", test.key, test.buckets, got, test.want)
		}
	}
}

// TestPartitionAdded: one partition more gets its share, and nothing moves between the others.
func TestPartitionAdded(t *testing.T) {
	const workspaces, before = 20_000, 9
	moved := 0
	for i := range workspaces {
		name := fmt.Sprint(i)
		from, to := partitionOf(name, before), partitionOf(name, before+1)
		switch {
		case from == to:
		case to == before:
			moved++
		default:
			t.Fatalf("%s moves from %d to %d", name, from, to)
		}
	}
	if want := workspaces / (before + 1); moved < want*9/10 || moved > want*11/10 {
		t.Errorf("%d workspaces move, about %d should", moved, want)
	}
}

// TestExtrapolate: a line is found again, and what it gives for more keys is on it; the largest workspace bounds the skew
// from below.
func TestExtrapolate(t *testing.T) {
	var measured []*partition
	for _, keys := range []int{1_000_000, 500_000, 500_000, 250_000} {
		n := float64(keys) / 1e6
		measured = append(measured, &partition{Keys: keys, Memory: 80 + 400*n, Start: 0.5 + 3*n, Disk: 20 + 700*n})
	}
	b := extrapolate(measured)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6*want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("memory, fixed", b.Memory.Fixed, 80)
	near("memory, per million", b.Memory.Million, 400)
	near("start, fixed", b.Start.Fixed, 0.5)
	near("disk, per million", b.Disk.Million, 700)
	for _, e := range b.Extended {
		near(fmt.Sprint(e.Keys, " keys over ", e.Partitions), e.Memory, 80+400*e.Keys/1e6/float64(e.Partitions))
		if least := float64(e.Partitions) / 12.1; e.Skew < max(1, least) {
			t.Errorf("%d partitions: the largest is %v of the mean, which has no room for the largest workspace", e.Partitions, e.Skew)
		}
	}
	if one := skewOf(1); math.Abs(one-1) > 1e-9 {
		t.Errorf("one partition is %v of the mean", one)
	}
}
