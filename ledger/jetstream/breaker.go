package jetstream

import (
	"sync/atomic"
	"time"
)

// breakTime is how long appends fail at once after one could not be settled.
const breakTime = 2 * time.Second

// breaker spares callers a long wait while the stream does not answer.
type breaker struct{ until atomic.Int64 } // Unix nanoseconds

func (b *breaker) trip()      { b.until.Store(time.Now().Add(breakTime).UnixNano()) }
func (b *breaker) open() bool { return time.Now().UnixNano() < b.until.Load() }
