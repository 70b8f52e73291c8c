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

	mu     sync.Mutex
	next   int64  // becomes at when the views have come to target; 0: none is awaited
	target uint64 // the last sequence that the log was known to hold at next
}

// hear notes that the log was heard at a moment, with known as its last sequence.
func (h *heard) hear(now time.Time, known, position uint64) {
	h.mu.Lock()
	if h.next == 0 {
		h.next, h.target = now.UnixNano(), known
	}
	h.mu.Unlock()
	h.reach(position)
}

// reach notes that the views have come to a position.
func (h *heard) reach(position uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next != 0 && position >= h.target {
		h.at.Store(h.next)
		h.next = 0
	}
}

// Heard is the last moment at which the log was heard and of which the views show everything; zero when there was none.
func (v *Views) Heard() time.Time {
	if at := v.heard.at.Load(); at != 0 {
		return time.Unix(0, at).UTC()
	}
	return time.Time{}
}
