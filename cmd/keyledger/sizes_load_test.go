//go:build load

package main

import "time"

// How large the ledgers of TestMany… are.
const (
	manyEvents = 100_000
	manyAgents = 100_000
)

const (
	// memoryTime is how long TestMemoryUnderLoad takes.
	memoryTime = 10 * time.Minute
	// memoryConns is how many connections there are in it.
	memoryConns = 256
	// memorySlack is what the process may take more of than keys explain, in MiB: garbage, and caches that are still not full.
	memorySlack = 64
)
