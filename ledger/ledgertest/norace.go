//go:build !race

package ledgertest

// Raced tells that the race detector runs.
const Raced = false
