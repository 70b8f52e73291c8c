package ledger

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Owner is whom a key belongs to: see events.Owner.
type Owner = events.Owner

// Digest is the SHA-256 of a token.
type Digest = events.Digest

// Key is what the events of one key add up to. A zero time means that it is absent.
type Key struct {
	ID          uuid.UUID
	Owner       Owner
	Name        string
	Hint        string
	Scopes      Scopes
	Environment string
	Type        string
	Metadata    json.RawMessage // compact JSON object; nil when empty

	Digest         Digest
	PreviousDigest Digest // valid until PreviousExpiresAt; zero when there is none

	CreatedAt         time.Time
	CreatedBy         string
	UpdatedAt         time.Time
	NotBefore         time.Time
	ExpiresAt         time.Time
	RotatedAt         time.Time
	PreviousExpiresAt time.Time
	DisabledAt        time.Time
	RevokedAt         time.Time
	RevokedBy         string
	RevokeReason      string

	Sequence  uint64    // of the key's last event: the guard of its next one
	LastEvent uuid.UUID // id of that event

	// Use is filled by the views; it is no part of the aggregate.
	Use Use
}

// Use is when and how often a key was used.
type Use struct {
	LastAt time.Time
	Count  uint64
}

// Status is what a key is at a moment.
type Status string

const (
	Active    Status = "active"
	Scheduled Status = "scheduled" // its not-before lies ahead
	Disabled  Status = "disabled"
	Expired   Status = "expired"
	Revoked   Status = "revoked"
)

// Status tells what the key is at now. Revoked goes before disabled, expired and scheduled.
func (k *Key) Status(now time.Time) Status { panic("not implemented") }

// Evolve is the key after e. It is total: an event that happened cannot be refused.
func Evolve(k Key, e *events.Event) Key { panic("not implemented") }

// Agent is a registered agent.
type Agent struct {
	ID        string
	Name      string
	Workspace string
	Org       string
	CreatedAt time.Time
	CreatedBy string
	Sequence  uint64
}
