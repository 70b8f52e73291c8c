//go:build faults

package main

import (
	"slices"
	"testing"
	"time"

	"keyledger/client"
	"keyledger/cmd/keyledger/clustertest"
)

// clocked is a trial of nodes whose wall clocks can be set.
type clocked struct {
	*trial
	clocks *clustertest.Clocks
}

func newClocked(t *testing.T) *clocked {
	t.Helper()
	clocks := clustertest.NewClocks(t, 3)
	x := newTrial(t, clustertest.Options{Clocks: clocks})
	x.jumps = true
	return &clocked{x, clocks}
}

// set sets the clocks of all nodes.
func (x *clocked) set(t *testing.T, ahead ...time.Duration) {
	t.Helper()
	for node, d := range ahead {
		x.clocks.Set(t, node, d)
	}
}

// right sets all clocks right. A node whose clock has jumped ahead takes its views for old until it hears of the ledger again.
func (x *clocked) right(t *testing.T, _ *trial) {
	t.Helper()
	x.set(t, 0, 0, 0)
	x.heard(t)
}

// faults are those of clocks: they are set an hour ahead or back, and right again.
func (x *clocked) faults() []fault {
	leader := func(d time.Duration) func(*testing.T, *trial) {
		return func(t *testing.T, _ *trial) { x.clocks.Set(t, x.index(x.Leader(t)), d) }
	}
	follower := func(d time.Duration) func(*testing.T, *trial) {
		return func(t *testing.T, _ *trial) { x.clocks.Set(t, x.index(x.follower(t)), d) }
	}
	all := func(d time.Duration) func(*testing.T, *trial) {
		return func(t *testing.T, _ *trial) { x.set(t, d, d, d) }
	}
	// Where the leader, or a follower, is cut off as its clock is set, it must notice.
	cutOff := func(node func(*testing.T) *clustertest.Node, d time.Duration) func(*testing.T, *trial) {
		return func(t *testing.T, _ *trial) {
			n := x.index(node(t))
			x.isolate(n)
			x.clocks.Set(t, n, d)
		}
	}
	joined := func(t *testing.T, _ *trial) {
		<-time.After(staleness) // longer than what is cut off may answer
		x.links.Heal()
		x.right(t, nil)
	}
	lead := func(t *testing.T) *clustertest.Node { return x.Leader(t) }
	return []fault{
		{name: "LeaderAhead", strike: leader(time.Hour), heal: x.right},
		{name: "LeaderBack", strike: leader(-time.Hour), heal: x.right},
		{name: "FollowerAhead", strike: follower(time.Hour), heal: x.right},
		{name: "FollowerBack", strike: follower(-time.Hour), heal: x.right},
		{name: "AllAhead", strike: all(time.Hour), heal: x.right},
		{name: "AllBack", strike: all(-time.Hour), heal: x.right},
		{name: "Apart", strike: x.apart, heal: x.right},
		{name: "Drifting", strike: x.drift, heal: x.right},
		{name: "LeaderCutOffAndAhead", strike: cutOff(lead, time.Hour), heal: joined},
		{name: "LeaderCutOffAndBack", strike: cutOff(lead, -time.Hour), heal: joined},
		{name: "FollowerCutOffAndAhead", strike: cutOff(x.follower, time.Hour), heal: joined},
		{name: "FollowerCutOffAndBack", strike: cutOff(x.follower, -time.Hour), heal: joined},
		{name: "AllCutOffAndBack", apart: true, strike: func(t *testing.T, _ *trial) {
			x.set(t, -time.Hour, -time.Hour, -time.Hour)
			for node := range x.Nodes {
				x.isolate(node)
			}
		}, heal: joined},
		{name: "KilledAndAhead", strike: func(t *testing.T, _ *trial) {
			n := x.follower(t)
			n.Kill(t)
			x.clocks.Set(t, x.index(n), time.Hour)
			n.Start(t)
		}, heal: x.right},
		{name: "KilledAndBack", strike: func(t *testing.T, _ *trial) {
			n := x.Leader(t)
			n.Kill(t)
			x.clocks.Set(t, x.index(n), -time.Hour)
			n.Start(t)
		}, heal: x.right},
	}
}

// apart sets the clock of one node ahead and of another one back.
func (x *clocked) apart(t *testing.T, _ *trial) {
	d := []time.Duration{time.Hour, 0, -time.Hour}
	x.rand.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
	x.set(t, d...)
}

// drift lets one clock run fast, and another one backwards, by up to a minute each.
func (x *clocked) drift(t *testing.T, _ *trial) {
	order := x.rand.Perm(len(x.Nodes))
	for d := time.Duration(0); d <= time.Minute; d += time.Second {
		x.clocks.Set(t, order[0], d)
		x.clocks.Set(t, order[1], -d)
		<-time.After(50 * time.Millisecond)
	}
}

// TestClocks lets the wall clocks of nodes jump while a cluster is under traffic.
func TestClocks(t *testing.T) {
	x := newClocked(t)
	x.each(t, x.faults())
	for _, n := range x.Nodes {
		x.replayed(t, n)
	}
}

// TestClocksInARow lets clocks jump among the faults of nodes and of the network.
func TestClocksInARow(t *testing.T) {
	x := newClocked(t)
	x.row(t, slices.Concat(x.faults(), faults(), x.faults()), 12)
	x.replayed(t, x.follower(t))
}

// TestClocksOfKeys: what has a time is judged by the clock of the node that is asked. What has ended for good has ended at
// all of them, whatever their clocks say, and a repeat finds what was done.
func TestClocksOfKeys(t *testing.T) {
	x := newClocked(t)
	ahead, behind := onNode(t, x.Nodes[0]), onNode(t, x.Nodes[1])
	x.set(t, time.Hour, -time.Hour)
	x.heard(t)
	create := func(name string, expires time.Time) client.Issued {
		t.Helper()
		once := client.IdempotencyKey(name)
		k, err := ahead.CreateKey(t.Context(), client.CreateKey{Name: name, ExpiresAt: expires}, once)
		if err != nil {
			t.Fatal(err)
		}
		again, err := behind.CreateKey(t.Context(), client.CreateKey{Name: name, ExpiresAt: expires}, once)
		if err != nil || again.ID != k.ID || again.Token.Reveal() != k.Token.Reveal() {
			t.Fatalf("a repeat at another node: %+v, want %+v: %v", again, k, err)
		}
		return k
	}
	decides := func(c *client.Client, token client.Token, least uint64, want client.Decision) {
		t.Helper()
		v, err := c.Verify(t.Context(), client.Verify{Token: token}, client.MinSequence(least))
		if err != nil || v.Code != want {
			t.Fatalf("%s, want %s: %v", v.Code, want, err)
		}
	}
	expiring := create("expiring", time.Now().Add(90*time.Minute))
	decides(ahead, expiring.Token, expiring.Sequence, client.Valid)
	x.set(t, 2*time.Hour)
	x.heard(t)
	decides(ahead, expiring.Token, expiring.Sequence, client.KeyExpired)
	decides(behind, expiring.Token, expiring.Sequence, client.Valid)
	for _, grace := range []time.Duration{0, 30 * time.Minute} {
		key := create("rotated-after-"+grace.String(), time.Time{})
		rotated, err := ahead.RotateKey(t.Context(), key.ID, client.RotateKey{Grace: grace})
		if err != nil {
			t.Fatal(err)
		}
		decides(behind, rotated.Token, rotated.Sequence, client.Valid)
		want := client.Valid
		if grace == 0 {
			want = client.KeyExpired
		}
		decides(ahead, key.Token, rotated.Sequence, want)
		decides(behind, key.Token, rotated.Sequence, want)
	}
	revoked := create("revoked", time.Time{})
	k, err := behind.RevokeKey(t.Context(), revoked.ID, "leaked")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{0, time.Hour, -time.Hour, -365 * 24 * time.Hour} {
		x.set(t, d, d, d)
		x.heard(t)
		for _, n := range x.Nodes {
			decides(onNode(t, n), revoked.Token, k.Sequence, client.KeyRevoked)
		}
	}
}

// heard waits until all nodes have heard of the ledger since their clocks were set.
func (x *clocked) heard(t *testing.T) {
	t.Helper()
	for _, n := range x.Nodes {
		clustertest.Until(t, n.Name+" to hear of the ledger", func() bool {
			_, err := onNode(t, n).Verify(t.Context(), client.Verify{Token: client.NewToken(clustertest.RootToken)})
			return err == nil
		})
	}
}
