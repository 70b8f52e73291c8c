package jetstream_test

import (
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger/jetstream"
)

// TestPace: a peer yields when its disk was slow twice in a row, again after pauses that grow, and anew once it was fast.
func TestPace(t *testing.T) {
	const slow, fast = 2 * time.Second, 2 * time.Millisecond
	var p jetstream.Pace
	for i, probe := range []struct {
		at     int64 // seconds
		took   time.Duration
		yields bool
	}{
		{0, slow, false}, {1, fast, false}, {2, slow, false}, {3, slow, true}, // once is chance
		{4, slow, false}, {12, slow, false}, {13, slow, true}, // 10 s after that
		{32, slow, false}, {33, slow, true}, // 20 s
		{34, fast, false}, {35, slow, false}, {72, slow, false}, {73, slow, true}, // 40 s, however fast it was for a moment
		{74, slow, false}, {83, slow, true}, // since it was fast, the pauses begin anew
	} {
		if yields := p.Yields(time.Unix(probe.at, 0), probe.took); yields != probe.yields {
			t.Errorf("probe %d, after %d s: %v", i, probe.at, yields)
		}
	}
	now := time.Unix(1000, 0)
	next := func() time.Time {
		for !p.Yields(now, slow) {
			now = now.Add(time.Second)
		}
		return now
	}
	for range 10 {
		next()
	}
	last := next()
	if pause := next().Sub(last); pause != 5*time.Minute {
		t.Errorf("the pauses grow to %v", pause)
	}
}

// TestYield: a peer whose disk is slow leads no stream any more.
func TestYield(t *testing.T) {
	peers, nc := embedded(t)
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	leader := func(name string) int {
		for i, p := range peers {
			if p.Leads(name) {
				return i
			}
		}
		return -1
	}
	names := []string{"A", "B"}
	for _, name := range names {
		until(t, "the peers to have a stream", func() bool {
			_, err := js.CreateOrUpdateStream(t.Context(), natsjs.StreamConfig{Name: name, Subjects: []string{name}, Replicas: 3})
			return err == nil && leader(name) >= 0
		})
	}
	for _, name := range names {
		slow := leader(name)
		peers[slow].Yield()
		until(t, "another leader", func() bool { l := leader(name); return l >= 0 && l != slow })
		until(t, "what is published to be stored", func() bool { _, err := js.Publish(t.Context(), name, nil); return err == nil })
	}
}
