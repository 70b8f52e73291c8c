package jetstream

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
)

// TestMoment: what the leader says of its followers tells as of when a majority followed it.
func TestMoment(t *testing.T) {
	asked := time.Unix(1_000_000, 0)
	const s, never = time.Second, time.Duration(0)
	for _, test := range []struct {
		name     string
		replicas int
		ages     []time.Duration // of the followers
		age      time.Duration
		known    bool
	}{
		{"one server", 1, nil, 0, true},
		{"the nearer of two followers counts", 3, []time.Duration{9 * s, s}, s, true},
		{"one follower was never heard", 3, []time.Duration{never, 2 * s}, 2 * s, true},
		{"no follower was ever heard", 3, []time.Duration{never, never}, 0, false},
		{"both are long gone", 3, []time.Duration{20 * s, 30 * s}, 20 * s, true},
		{"the second of four", 5, []time.Duration{4 * s, s, 3 * s, 2 * s}, 2 * s, true},
		{"one of four is no majority", 5, []time.Duration{s, never, never, never}, 0, false},
		{"a group that lacks a server", 3, []time.Duration{never}, 0, false},
	} {
		info := &jetstream.StreamInfo{State: jetstream.StreamState{Msgs: 7, FirstSeq: 1, LastSeq: 7}}
		if len(test.ages) > 0 {
			info.Cluster = &jetstream.ClusterInfo{Leader: "n1"}
			for _, age := range test.ages {
				info.Cluster.Replicas = append(info.Cluster.Replicas, &jetstream.PeerInfo{Active: age})
			}
		}
		m, err := momentOf(info, asked, test.replicas)
		switch {
		case !test.known && !errors.Is(err, ledger.ErrUnavailable):
			t.Errorf("%s: %v, want ErrUnavailable", test.name, err)
		case test.known && (err != nil || asked.Sub(m.at) != test.age || m.last != 7):
			t.Errorf("%s: %v before, up to %d, %v", test.name, asked.Sub(m.at), m.last, err)
		}
	}
	lost := &jetstream.StreamInfo{State: jetstream.StreamState{Msgs: 6, FirstSeq: 1, LastSeq: 7}}
	if _, err := momentOf(lost, asked, 1); !errors.Is(err, ledger.ErrGap) {
		t.Errorf("a stream that lost a message: %v, want ErrGap", err)
	}
}

// TestMomentsCountTwice: what a leader says counts when the same one says something again.
func TestMomentsCountTwice(t *testing.T) {
	p := &pulse{}
	at := func(second int64, leader string) moment {
		return moment{at: time.Unix(second, 0), last: uint64(second), leader: leader}
	}
	for _, step := range []struct {
		told moment
		want int64 // second as of which the log is known; 0: none
	}{
		{at(1, "a"), 0}, {at(2, "a"), 1}, {at(3, "a"), 2},
		{at(4, "b"), 2}, {at(5, "a"), 2}, {at(6, "a"), 5},
	} {
		p.hear(step.told)
		got := p.known()
		if step.want == 0 != got.at.IsZero() || step.want != 0 && got.at.Unix() != step.want {
			t.Errorf("after %v: known %v, want second %d", step.told, got.at, step.want)
		}
	}
}

// TestPendingIsWhatTheLeaderHas: what a consumer says is pending does not count where the leader is asked. One on a server
// whose files were damaged counted messages that there are not; views that waited for these never were complete.
func TestPendingIsWhatTheLeaderHas(t *testing.T) {
	told := moment{at: time.Unix(1_000_000, 0), last: 12, leader: "n1"}
	p := &pulse{}
	p.hear(told)
	p.hear(told)
	var got ledger.Batch
	counted := &tail{log: &Log{pulse: p}, next: 11, handle: func(b ledger.Batch) error { got = b; return nil }}
	counted.stored(10, 15)
	if err := counted.deliver(); err != nil || got.Pending != 2 || !got.AsOf.Equal(told.at) {
		t.Errorf("%d are pending as of %v, %v; want 2", got.Pending, got.AsOf, err)
	}
}
