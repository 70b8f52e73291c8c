package events

import (
	"time"

	"github.com/google/uuid"
)

// UsageSubject is the subject of the USAGE stream.
const UsageSubject = "usage.batch"

// Use is what was seen of one key since the last flush.
type Use struct {
	KeyID uuid.UUID
	Last  time.Time // UTC, microseconds
	Count uint64
	Origin
}

// EncodeUsage gives the message body of a batch of uses (of distinct keys).
func EncodeUsage(uses []Use) ([]byte, error) { panic("not implemented") }

// DecodeUsage is its inverse; it calls each for every use.
func DecodeUsage(data []byte, each func(Use)) error { panic("not implemented") }
