package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The memory of a node is one large, long-lived heap: the index of tokens and the broker's index of subjects. Letting
// it double between collections, as Go does by default, would cost as much again for little speed.
const gcPercent = 40

// What counts as idle, and what is worth a collection, in bytes allocated.
const (
	idleInterval   = 10 * time.Second
	idleAllocation = 16 << 20
	worthReleasing = 64 << 20
)

// tuneMemory sets the pace of the garbage collector, unless the user did with GOGC or GOMEMLIMIT.
func tuneMemory(env environment) {
	if env["GOGC"] == "" && env["GOMEMLIMIT"] == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// releaseMemory returns memory to the system at once and then, until ctx ends, whenever the process has become idle
// after some work.
func releaseMemory(ctx context.Context) {
	debug.FreeOSMemory()
	tick := time.NewTicker(idleInterval)
	defer tick.Stop()
	released := allocated()
	for last := released; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := allocated()
		if now-last < idleAllocation && now-released > worthReleasing {
			debug.FreeOSMemory()
			released = now
		}
		last = now
	}
}

// allocated is how many bytes the process has ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
