package projections

import (
	"sync"
	"sync/atomic"
	"time"
)

// heard tells as of when the views are complete: the last moment at which the log was heard, and of which they show
// everything that it was known to hold then. So views that fall behind grow old, however well the log is heard.
type heard struct {
	at atomic.Int64 // nanoseconds since 1970, 0: never

	mu    sync.Mutex
	next  moment // the first one of which the views do not show everything yet
	later moment // the last one after it
}

// moment is when the log was heard, and the last sequence that it was known to hold then.
type moment struct {
	at     int64 // nanoseconds since 1970, 0: none
	target uint64
}

// hear notes that the log was heard at a moment, with known as its last sequence.
func (h *heard) hear(now time.Time, known, position uint64) {
	h.mu.Lock()
	if heard := (moment{now.UnixNano(), known}); h.next.at == 0 {
		h.next = heard
	} else {
		h.later = heard
	}
	h.mu.Unlock()
	h.reach(position)
}

// reach notes that the views have come to a position.
func (h *heard) reach(position uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.next.at != 0 && position >= h.next.target {
		h.at.Store(max(h.at.Load(), h.next.at))
		h.next, h.later = h.later, moment{}
	}
}

// Heard is the last moment at which the log was heard and of which the views show everything; zero when there was none.
func (v *Views) Heard() time.Time {
	if at := v.heard.at.Load(); at != 0 {
		return time.Unix(0, at).UTC()
	}
	return time.Time{}
}
