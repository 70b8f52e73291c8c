package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Usage coalesces the uses of keys in memory and flushes them about every second as one message.
type Usage struct{}

// NewUsage gives a Usage that flushes to log every interval (1 s when 0) while Run runs.
func NewUsage(log UsageLog, interval time.Duration) *Usage { panic("") }

// Touch records one use. It does not block and does not write.
func (u *Usage) Touch(key uuid.UUID, now time.Time, from events.Origin) { panic("") }

// Run flushes until ctx ends, and a last time then.
func (u *Usage) Run(ctx context.Context) error { panic("") }
