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

// The environments of a key.
const (
	Live = "live"
	Test = "test"
)

// The types of a key.
const (
	TypeInternal = "internal"
	TypeExternal = "external"
	TypeGitHub   = "github"
	TypeSlack    = "slack"
)

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

	UniqueName bool // no two such keys of one owner and type that are not revoked have the same name
	Confined   bool // it acts inside its owner: see VerifyRequest

	Digest         Digest
	PreviousDigest Digest // valid until PreviousExpiresAt; zero when there is none

	CreatedAt         time.Time
	CreatedBy         string
	UpdatedAt         time.Time // of the last change
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
	Revision  uint64    // sequence of the last event that changed the key, no notice: what callers see and state

	ExpirySetAt time.Time // when ExpiresAt became what it is
	Announced   time.Time // the last mark of ExpiresAt that was announced: see Expiry
	FirstUsed   bool      // a first use was announced

	ErasedAt time.Time // its personal data was destroyed, and it gets none any more

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

// Status tells what the key is at now. Revoked goes before disabled, expired and scheduled. A key is expired from the
// moment of its expiry on, and scheduled until just before its not-before.
func (k *Key) Status(now time.Time) Status {
	switch {
	case !k.RevokedAt.IsZero():
		return Revoked
	case !k.DisabledAt.IsZero():
		return Disabled
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return Expired
	case now.Before(k.NotBefore):
		return Scheduled
	}
	return Active
}

// IsRoot tells whether the key may do everything for everyone: scope "ledger:*", no owner, no expiry, not disabled, not
// revoked. The ledger keeps at least one.
func (k *Key) IsRoot() bool {
	return k.Scopes.holds(ScopeAll) && isUnbound(&k.Owner) &&
		k.ExpiresAt.IsZero() && k.DisabledAt.IsZero() && k.RevokedAt.IsZero()
}
