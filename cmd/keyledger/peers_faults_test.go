//go:build faults

package main

import (
	"testing"

	"keyledger/cmd/keyledger/clustertest"
)

// TestFollowerAlone: a follower that is cut off together with its leader refuses as the leader does, though its own server
// still sends it heartbeats.
func TestFollowerAlone(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{})
	aloneWithoutMajority(t, c, c.Others(c.Leader(t))[0])
}

// TestLeaderKilledAgainAndAgain kills whichever node leads, five times, under traffic.
func TestLeaderKilledAgainAndAgain(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{})
	for range 5 {
		leaderKilled(t, c)
	}
}
