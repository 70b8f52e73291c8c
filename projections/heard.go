package projections

import (
	"sync"
	"sync/atomic"
	"time"
)

// heard tells as of when the views are complete: the last moment at which the log was heard, and of which they show
// everything that it was known to hold then. So views that fall behind grow old, however well the log is heard. The
// moments keep the reading of the monotonic clock that time.Now gives: how old they are does not change when the wall clock
// is set.
type heard struct {
	at atomic.Pointer[time.Time] // nil: never

	mu    sync.Mutex
	next  moment // the first one of which the views do not show everything yet
	later moment // the last one after it
}

// moment is when the log was heard, and the last sequence that it was known to hold then.
type moment struct {
	at     time.Time // zero: there is none
	target uint64
}

// hear notes that the log was heard at a moment, with known as its last sequence.
func (h *heard) hear(now time.Time, known, position uint64) {
	h.mu.Lock()
	if heard := (moment{now, known}); h.next.at.IsZero() {
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
	for !h.next.at.IsZero() && position >= h.next.target {
		if at := h.next.at; at.After(h.last()) {
			h.at.Store(&at)
		}
		h.next, h.later = h.later, moment{}
	}
}

// last is the last moment at which the views were complete; zero when there was none.
func (h *heard) last() time.Time {
	if at := h.at.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Heard is the last moment at which the log was heard and of which the views show everything; zero when there was none.
func (v *Views) Heard() time.Time { return v.heard.last() }
