//go:build !load

package main

import "time"

// How large the ledgers of TestMany… are; with -tags load they are as large as promised.
const (
	manyEvents = 3_000
	manyAgents = 300
)

const (
	// memoryTime is how long TestMemoryUnderLoad takes.
	memoryTime = 3 * time.Second
	// memoryConns is how many connections there are in it.
	memoryConns = 64
	// memorySlack is what the process may take more of than keys explain, in MiB: after so short a time its caches fill.
	memorySlack = 128
)
