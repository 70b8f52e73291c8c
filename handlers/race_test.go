//go:build race

package handlers_test

// raced tells that the race detector runs, which makes everything some ten times slower.
const raced = true
