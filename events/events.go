package events

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Type names what happened. A type is never renamed and never reused.
type Type string

// The types of the ledger. Adding one is a line here, a payload below and a golden file.
const (
	KeyCreated      Type = "key.created"
	KeyUpdated      Type = "key.updated"
	KeyRotated      Type = "key.rotated"
	KeyDisabled     Type = "key.disabled"
	KeyEnabled      Type = "key.enabled"
	KeyRevoked      Type = "key.revoked"
	AgentRegistered Type = "agent.registered"
	ClaimTaken      Type = "claim.taken"
	ClaimReleased   Type = "claim.released"
)

// Header is the part of an event that any NATS tool can read: it travels as message headers.
type Header struct {
	Type      Type
	Version   int       // of the body's layout, from 1
	ID        uuid.UUID // unique per event; also the Nats-Msg-Id
	Time      time.Time // UTC, microseconds: when the command was decided
	Actor     string    // key id of the principal who asked, or "system"
	RequestID string    // of the request that asked, empty when there was none
}

// Event is one decoded fact of the ledger.
type Event struct {
	Header
	Sequence uint64 // in the stream, from 1; 0 before it is stored
	Subject  string
	Origin   Origin
	Payload  Payload
}

// Message is an event as it is stored and carried: header, subject and encoded body.
type Message struct {
	Header
	Sequence uint64 // in the stream, from 1; 0 before it is stored
	Subject  string
	Data     []byte
}

// Payload is the body of one event type.
type Payload interface {
	Type() Type
}

// Origin is where a request came from. It is personal data.
type Origin struct {
	IP        string
	UserAgent string
}

// Owner is whom a key belongs to. Every part is optional (empty) and fixed at creation.
type Owner struct {
	Workspace string
	Org       string
	AgentID   string
	AgentName string // personal data
	Peer      string
	Session   string
}

// Digest is the SHA-256 of a token.
type Digest [32]byte

// Created is the body of key.created.
type Created struct {
	KeyID       uuid.UUID
	Owner       Owner
	Name        string          // personal data
	Scopes      string          // space-delimited, RFC 6749 section 3.3
	Environment string          // "live" or "test"
	KeyType     string          // "internal", "external", "github" or "slack"
	Metadata    json.RawMessage // personal data; a compact JSON object, nil when empty
	NotBefore   time.Time       // zero: none
	ExpiresAt   time.Time       // zero: never
	Digest      Digest
	Hint        string // a few visible characters of the token
}

// Updated is the body of key.updated: nil means unchanged.
type Updated struct {
	KeyID     uuid.UUID
	Name      *string // personal data
	Scopes    *string
	Metadata  *json.RawMessage // personal data; a nil message empties it
	ExpiresAt *time.Time       // zero time: never
}

// Rotated is the body of key.rotated: the old digest stays valid until PreviousExpiresAt.
type Rotated struct {
	KeyID             uuid.UUID
	Digest            Digest
	Hint              string
	PreviousExpiresAt time.Time  // not after the event's time: no grace
	ExpiresAt         *time.Time // nil: unchanged; zero time: never
}

// Disabled is the body of key.disabled.
type Disabled struct{ KeyID uuid.UUID }

// Enabled is the body of key.enabled.
type Enabled struct{ KeyID uuid.UUID }

// Revoked is the body of key.revoked. It is final.
type Revoked struct {
	KeyID  uuid.UUID
	Reason string // personal data
}

// Agent is the body of agent.registered.
type Agent struct {
	ID        string
	Name      string // personal data
	Workspace string
	Org       string
}

// Claim is the body of claim.taken and names something that must be unique beyond one key.
type Claim struct {
	Kind   string // "token", "agent", "root", …
	Hash   string // lower-case hex of SHA-256 over what is claimed
	Holder string // id of the key or agent that holds it
}

// Release is the body of claim.released.
type Release struct {
	Kind string
	Hash string
}

func (*Created) Type() Type  { return KeyCreated }
func (*Updated) Type() Type  { return KeyUpdated }
func (*Rotated) Type() Type  { return KeyRotated }
func (*Disabled) Type() Type { return KeyDisabled }
func (*Enabled) Type() Type  { return KeyEnabled }
func (*Revoked) Type() Type  { return KeyRevoked }
func (*Agent) Type() Type    { return AgentRegistered }
func (*Claim) Type() Type    { return ClaimTaken }
func (*Release) Type() Type  { return ClaimReleased }
