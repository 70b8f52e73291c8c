//go:build !load

package main

// How large the ledgers of TestMany… are; with -tags load they are as large as promised.
const (
	manyEvents = 3_000
	manyAgents = 300
)
