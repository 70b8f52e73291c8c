//go:build race

package main

// raced tells that the race detector runs, which makes everything some ten times slower.
const raced = true
