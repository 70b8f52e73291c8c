//go:build race

package ledgertest

// Raced tells that the race detector runs, which makes everything some ten times slower: tests whose subject is a size and not a
// race have a smaller one with it. CI runs them once more without it.
const Raced = true
