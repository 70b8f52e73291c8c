//go:build load

package main

// How large the ledgers of TestMany… are.
const (
	manyEvents = 100_000
	manyAgents = 100_000
)
