package events

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// Type names what happened. A type is never renamed and never reused.
type Type string

// The types of the ledger. Adding one is a line here, a payload in a file of its own, a line in newBody and a golden
// file.
const (
	KeyCreated      Type = "key.created"
	KeyUpdated      Type = "key.updated"
	KeyRotated      Type = "key.rotated"
	KeyDisabled     Type = "key.disabled"
	KeyEnabled      Type = "key.enabled"
	KeyRevoked      Type = "key.revoked"
	KeyExpiring     Type = "key.expiring"
	KeyExpired      Type = "key.expired"
	KeyFirstUsed    Type = "key.first_used"
	AgentRegistered Type = "agent.registered"
	WebhookCreated  Type = "webhook.created"
	WebhookUpdated  Type = "webhook.updated"
	WebhookDeleted  Type = "webhook.deleted"
	OwnerErased     Type = "owner.erased"
	ClaimTaken      Type = "claim.taken"
	ClaimReleased   Type = "claim.released"
)

// Header is the part of an event that any NATS tool can read: it travels as message headers.
type Header struct {
	Type      Type
	Version   int       // of the body's layout, from 1
	ID        uuid.UUID // unique per event; also the Nats-Msg-Id
	Time      time.Time // UTC, microseconds: when the command was decided
	Actor     string    // key id of the principal who asked, "system", or another name; 1 to 128 visible ASCII characters
	RequestID string    // of the request that asked, empty when there was none; at most 128 visible ASCII characters
}

// Event is one decoded fact of the ledger.
type Event struct {
	Header
	Sequence uint64 // in the stream, from 1; 0 before it is stored
	Subject  string
	Sealed   uint64 // generation of the key that its personal data is sealed with; 0: none is, or there is none
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

// Payload is the body of one event type: one of the pointers *Created, *Updated, *Rotated, *Disabled, *Enabled,
// *Revoked, *Expiring, *Expired, *FirstUsed, *Agent, *Webhook, *WebhookUpdate, *WebhookDelete, *Erasure, *Claim
// and *Release.
type Payload interface {
	body

	// Type is the type of the events that have this payload.
	Type() Type

	encode(*encoder)        // writes the fields, in ascending order of their names
	missing() string        // name of the first required field that is absent, else ""
	fits(s Subject) bool    // s is the subject of what the payload is about
	id() string             // of what the payload is about, in the exchange form
	appendJSON(*jsonObject) // writes the members of the exchange form's data

	// readJSON takes one member of the exchange form's data, and passes over one that it does not know.
	readJSON(x *exchange, name string, v jsontext.Value)
}

// Limits of an Origin, in bytes. Encode and EncodeUsage cut what is longer, for no request fails by where it came from.
const (
	maxIP        = 64
	maxUserAgent = 256
)

// Origin is where a request came from. It is personal data.
type Origin struct {
	IP        string // at most 64 bytes
	UserAgent string // at most 256 bytes
}

// clean is o within its limits, and with "?" for what is not UTF-8.
func (o Origin) clean() Origin {
	return Origin{IP: cut(o.IP, maxIP), UserAgent: cut(o.UserAgent, maxUserAgent)}
}

func cut(s string, limit int) string {
	return strings.ToValidUTF8(s[:min(len(s), limit)], "?")
}

// Owner is whom a key belongs to. Every part is optional (empty) and fixed at creation. Workspace, Org and AgentID are
// at most 128 bytes.
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
