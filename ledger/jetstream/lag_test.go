package jetstream

import (
	"testing"
	"time"
)

// TestLag: a feed is given up when its server has said for a while that it has no more, though the leader has; and the next
// one is given longer.
func TestLag(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(second float64) time.Time { return start.Add(time.Duration(second * float64(time.Second))) }
	var l lag
	for _, step := range []struct {
		name  string
		now   float64
		next  uint64 // what the tail waits for
		known moment
		over  bool
	}{
		{"it has everything", 1, 11, moment{at: at(0.5), last: 10}, false},
		{"message 20 was stored at 1.5", 2, 11, moment{at: at(1.5), last: 20}, false},
		{"it has come, message 30 was stored at 2.5", 3, 25, moment{at: at(2.5), last: 30}, false},
		{"message 30 is missing for 0.9 s", 3.4, 26, moment{at: at(3), last: 40}, false},
		{"message 30 is missing for 1.1 s", 3.6, 26, moment{at: at(3), last: 40}, true},
		{"the next one lacks it for 0.6 s", 3.6, 26, moment{at: at(3), last: 40}, false},
		{"the next one lacks it for 1.9 s", 4.9, 26, moment{at: at(4.2), last: 40}, false},
		{"the next one lacks it for 2 s", 5, 26, moment{at: at(4.2), last: 40}, true},
		{"the third one has everything", 6, 41, moment{at: at(5.5), last: 40}, false},
		{"and lacks another for 0.5 s", 8, 41, moment{at: at(7.5), last: 41}, false},
		{"and lacks it for 1 s", 8.5, 41, moment{at: at(8), last: 41}, true},
	} {
		l.seen(step.next, step.known)
		if over := l.over(at(step.now), "a"); over != step.over {
			t.Errorf("%s: over: %v, want %v", step.name, over, step.over)
		}
	}
}

// TestLagOfAll: where all servers lag, feeds are opened less and less often.
func TestLagOfAll(t *testing.T) {
	var l lag
	feeds := 0
	for second := range 600 {
		now := time.Unix(int64(1_000_000+second), 0)
		l.seen(1, moment{at: now.Add(-time.Second / 2), last: 9})
		if l.over(now, "a") {
			feeds++
		}
	}
	if feeds < 5 || feeds > 30 {
		t.Errorf("%d feeds in ten minutes, want 5 to 30", feeds)
	}
}
