package projections

import (
	"strings"
	"testing"
	"time"
)

// Views that took long to come to the end of the log are as fresh as the last time that they heard of that end.
func TestHeardAfterCatchingUp(t *testing.T) {
	var v Views
	start := time.Unix(1000, 0)
	for s := range 10 {
		v.heard.hear(start.Add(time.Duration(s)*time.Second), 100, uint64(s))
	}
	if !v.Heard().IsZero() {
		t.Fatalf("heard %v before the end is reached", v.Heard())
	}
	v.heard.reach(100)
	if want := start.Add(9 * time.Second); !v.Heard().Equal(want) {
		t.Fatalf("heard %v, not %v", v.Heard(), want)
	}
}

// A log that grows faster than the views are made leaves them old.
func TestHeardWhileFallingBehind(t *testing.T) {
	var v Views
	start := time.Unix(1000, 0)
	v.heard.hear(start, 10, 0)
	v.heard.hear(start.Add(time.Second), 20, 5)
	v.heard.hear(start.Add(2*time.Second), 30, 9)
	if v.heard.reach(10); !v.Heard().Equal(start) {
		t.Fatalf("heard %v, not %v", v.Heard(), start)
	}
	if v.heard.reach(29); !v.Heard().Equal(start) {
		t.Fatalf("heard %v, not %v", v.Heard(), start)
	}
	if v.heard.reach(30); !v.Heard().Equal(start.Add(2 * time.Second)) {
		t.Fatalf("heard %v", v.Heard())
	}
}

// How old views are does not change when the wall clock is set: what was heard keeps its reading of the monotonic clock.
func TestHeardByTheMonotonicClock(t *testing.T) {
	var v Views
	now := time.Now()
	v.heard.hear(now, 1, 1)
	if heard := v.Heard(); heard.String() != now.String() || !strings.Contains(heard.String(), " m=") {
		t.Fatalf("heard %v, not %v", heard, now)
	}
}
