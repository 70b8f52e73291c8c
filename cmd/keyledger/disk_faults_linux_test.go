//go:build faults

package main

import (
	"strings"
	"testing"
	"time"

	"keyledger/client"
	"keyledger/cmd/keyledger/clustertest"
	"keyledger/cmd/keyledger/powertest"
)

// victims chooses nodes that a fault of disks strikes.
type victims struct {
	name   string
	choose func(*testing.T, *powered) []int
	most   bool // a majority of the nodes
}

func allVictims() []victims {
	return []victims{
		{"Leader", func(t *testing.T, x *powered) []int { return []int{x.index(x.Leader(t))} }, false},
		{"Follower", func(t *testing.T, x *powered) []int { return []int{x.index(x.follower(t))} }, false},
		{"All", func(*testing.T, *powered) []int { return []int{0, 1, 2} }, true},
	}
}

// slowDisks are disks that take long for each write and each sync, by how long the seed chooses.
func (x *powered) slowDisks() (all []fault) {
	for _, v := range allVictims() {
		all = append(all, fault{name: v.name + "Slow", apart: v.most, strike: func(t *testing.T, _ *trial) {
			delay := 200*time.Millisecond + time.Duration(x.rand.Int64N(int64(1800*time.Millisecond)))
			t.Logf("each write and sync takes %v longer", delay)
			for _, node := range v.choose(t, x) {
				x.disks[node].Slow(delay)
			}
		}, heal: func(*testing.T, *trial) {
			for _, d := range x.disks {
				d.Slow(0)
			}
		}})
	}
	return all
}

// fullDisks are disks on which nothing is left at once, or a little that runs out, or less than nodes keep in reserve.
func (x *powered) fullDisks() (all []fault) {
	for _, v := range allVictims() {
		for _, left := range []struct {
			name string
			room int64
		}{{"Full", 0}, {"NearlyFull", 64 << 10}, {"BelowReserve", 100 << 20}} {
			all = append(all, fault{name: v.name + left.name, apart: v.most, strike: func(t *testing.T, _ *trial) {
				for _, node := range v.choose(t, x) {
					x.disks[node].Leave(left.room)
				}
			}, heal: x.free})
		}
	}
	return all
}

// free gives room again, and waits until all nodes, which must run still, have stored something: the server in a node whose
// disk was full is started anew, and the node is cut off meanwhile.
func (x *powered) free(t *testing.T, _ *trial) {
	t.Helper()
	for _, d := range x.disks {
		d.Free()
	}
	for _, n := range x.Nodes {
		clustertest.Until(t, n.Name+" to store something", func() bool {
			if !n.Running() {
				t.Fatalf("%s has ended", n.Name)
			}
			_, err := onNode(t, n).CreateKey(t.Context(), client.CreateKey{Name: "stored by " + n.Name})
			return err == nil
		})
	}
}

// TestSlowDisks lets disks be slow while a cluster is under traffic.
func TestSlowDisks(t *testing.T) {
	x := newPowered(t, 3, powertest.Options{})
	x.each(t, x.slowDisks())
	for _, n := range x.Nodes {
		t.Logf("%s let others lead: %d streams", n.Name, strings.Count(n.Log(), "another one is to lead"))
	}
	for _, n := range x.Nodes {
		x.replayed(t, n)
	}
}

// TestSlowDisksOfAFollower: while the disk of a follower is slow, the other nodes answer as ever, once they have left it: nats-server
// may have placed there what they read the ledger from.
func TestSlowDisksOfAFollower(t *testing.T) {
	x := newPowered(t, 3, powertest.Options{})
	for range 3 {
		slow := x.follower(t)
		x.disks[x.index(slow)].Slow(1700 * time.Millisecond)
		fast := x.Others(slow)
		const patience, pause = 8 * time.Second, 5 * time.Second
		var longest time.Duration // of what began after they had patience
		for struck := time.Now(); time.Since(struck) < 2*patience; {
			for i, n := range fast {
				began := time.Now()
				k, err := patient(t, n).CreateKey(t.Context(), client.CreateKey{Name: "on a fast node"})
				if err != nil {
					t.Fatal(err)
				}
				v, err := patient(t, fast[1-i]).Verify(t.Context(), client.Verify{Token: k.Token}, client.MinSequence(k.Sequence))
				if err != nil || !v.Valid {
					t.Fatal(v.Code, err)
				}
				if began.Sub(struck) > patience {
					longest = max(longest, time.Since(began))
				}
			}
		}
		x.disks[x.index(slow)].Slow(0)
		if t.Logf("%s was slow, others took %v at most", slow.Name, longest); longest > pause {
			t.Errorf("that is longer than %v", pause)
		}
	}
}

// TestFullDisks fills disks while a cluster is under traffic.
func TestFullDisks(t *testing.T) {
	x := newPowered(t, 3, powertest.Options{})
	x.each(t, x.fullDisks())
	for _, n := range x.Nodes {
		x.replayed(t, n)
	}
}
