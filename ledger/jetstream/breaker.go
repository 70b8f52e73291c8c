package jetstream

import (
	"sync/atomic"
	"time"
)

// breakTime is how long appends fail at once after one could not be settled.
const breakTime = 2 * time.Second

// breaker spares callers a long wait while the stream does not answer.
type breaker struct{ until atomic.Pointer[time.Time] } // nil: it was never open

func (b *breaker) trip() {
	until := time.Now().Add(breakTime)
	b.until.Store(&until)
}

func (b *breaker) open() bool {
	until := b.until.Load()
	return until != nil && time.Now().Before(*until) // by the monotonic clock, whatever the wall clock is set to
}
