//go:build !race

package handlers_test

// raced tells that the race detector runs.
const raced = false
