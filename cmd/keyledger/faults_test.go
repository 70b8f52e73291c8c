//go:build faults

package main

import (
	"testing"
	"time"

	"keyledger/cmd/keyledger/clustertest"
)

// fault is something that happens to a cluster, and ends.
type fault struct {
	name   string
	strike func(*testing.T, *trial)
	heal   func(*testing.T, *trial)
	// apart tells that no majority is left: until it is healed nothing is acknowledged.
	apart bool
}

// faults are those of nodes and of the network between them. Each strikes what the seed chooses.
func faults() []fault {
	return []fault{
		{name: "LeaderKilled", strike: func(t *testing.T, x *trial) { x.Leader(t).Kill(t) }, heal: startAll},
		{name: "FollowerKilled", strike: func(t *testing.T, x *trial) { x.follower(t).Kill(t) }, heal: startAll},
		{name: "AllKilled", apart: true, strike: func(t *testing.T, x *trial) {
			for _, n := range x.Nodes {
				n.Kill(t)
			}
		}, heal: startAll},
		{name: "LeaderPaused", strike: func(t *testing.T, x *trial) { x.Leader(t).Pause(t) }, heal: resumeAll},
		{name: "FollowerPaused", strike: func(t *testing.T, x *trial) { x.follower(t).Pause(t) }, heal: resumeAll},
		{name: "AllPaused", apart: true, strike: func(t *testing.T, x *trial) {
			for _, n := range x.Nodes {
				n.Pause(t)
			}
		}, heal: resumeAll},
		{name: "LeaderCutOff", strike: func(t *testing.T, x *trial) { x.isolate(x.index(x.Leader(t))) }, heal: join},
		{name: "FollowerCutOff", strike: func(t *testing.T, x *trial) { x.isolate(x.index(x.follower(t))) }, heal: join},
		{name: "AllCutOff", apart: true, strike: func(_ *testing.T, x *trial) {
			for i := range x.Nodes {
				x.isolate(i)
			}
		}, heal: join},
		{name: "PairCutOff", strike: func(t *testing.T, x *trial) { // two of them only hear of each other through the third
			x.links.Part(x.index(x.Leader(t)), x.index(x.follower(t)))
		}, heal: join},
		{name: "LeaderIsNotHeard", strike: func(t *testing.T, x *trial) {
			leader := x.index(x.Leader(t))
			for _, n := range x.Others(x.Nodes[leader]) {
				x.links.Hold(leader, x.index(n))
			}
		}, heal: join},
		{name: "LeaderDoesNotHear", strike: func(t *testing.T, x *trial) {
			leader := x.index(x.Leader(t))
			for _, n := range x.Others(x.Nodes[leader]) {
				x.links.Hold(x.index(n), leader)
			}
		}, heal: join},
		{name: "FollowerIsNotHeard", strike: func(t *testing.T, x *trial) {
			follower := x.follower(t)
			for _, n := range x.Others(follower) {
				x.links.Hold(x.index(follower), x.index(n))
			}
		}, heal: join},
	}
}

// follower is one of the nodes that do not lead.
func (x *trial) follower(t *testing.T) *clustertest.Node {
	t.Helper()
	return x.Others(x.Leader(t))[x.rand.IntN(len(x.Nodes)-1)]
}

// lasts lets a fault last for a time between two bounds that the seed chooses.
func (x *trial) lasts(t *testing.T, least, most time.Duration) {
	t.Helper()
	d := least + time.Duration(x.rand.Int64N(int64(most-least)+1))
	t.Logf("for %v", d.Round(time.Millisecond))
	<-time.After(d)
}

func join(_ *testing.T, x *trial) { x.links.Heal() }

func startAll(t *testing.T, x *trial) {
	t.Helper()
	for _, n := range x.Nodes {
		if !n.Running() {
			n.Start(t)
		}
	}
}

func resumeAll(t *testing.T, x *trial) {
	t.Helper()
	for _, n := range x.Nodes {
		n.Resume(t)
	}
}

// TestFaults lets each fault strike a cluster under traffic. A cluster that has still a majority goes on meanwhile.
func TestFaults(t *testing.T) {
	x := newTrial(t, clustertest.Options{})
	x.each(t, faults())
	for _, n := range x.Nodes {
		x.replayed(t, n)
	}
}

// each lets faults strike one after the other, each with a history of its own.
func (x *trial) each(t *testing.T, all []fault) {
	t.Helper()
	for _, f := range all {
		if !t.Run(f.name, func(t *testing.T) {
			x.begin(t)
			x.progress(t, 10)
			f.strike(t, x)
			if !f.apart {
				x.progress(t, 10)
			}
			x.lasts(t, time.Second, 2*staleness)
			f.heal(t, x)
			x.progress(t, 10)
			x.end(t)
		}) {
			t.FailNow() // the next one would begin with what this one left
		}
	}
}

// row lets so many of some faults that the seed chooses strike, each before the cluster has got over the one before.
func (x *trial) row(t *testing.T, all []fault, strikes int) {
	t.Helper()
	x.begin(t)
	x.progress(t, 10)
	for range strikes {
		f := all[x.rand.IntN(len(all))]
		t.Log(f.name)
		f.strike(t, x)
		x.lasts(t, 0, 2*staleness)
		f.heal(t, x)
		x.lasts(t, 0, staleness)
	}
	x.progress(t, 10)
	x.end(t)
}

// TestFaultsInARow lets faults that the seed chooses strike in a row, each before the cluster has got over the one before.
func TestFaultsInARow(t *testing.T) {
	x := newTrial(t, clustertest.Options{})
	x.row(t, faults(), 12)
	x.replayed(t, x.follower(t))
}
