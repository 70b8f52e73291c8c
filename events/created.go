package events

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

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
	UniqueName  bool   // no other key of its owner and type that is unique by name and not revoked has its name
	Confined    bool   // the key acts inside its owner: see ledger.Key
}

// Type is KeyCreated.
func (*Created) Type() Type { return KeyCreated }

func (c *Created) encode(e *encoder) {
	e.text("agent", c.Owner.AgentID)
	e.flag("confined", c.Confined)
	e.bytes("digest", c.Digest[:])
	e.text("env", c.Environment)
	e.time("exp", c.ExpiresAt)
	e.text("hint", c.Hint)
	e.bytes("key", c.KeyID[:])
	e.time("nbf", c.NotBefore)
	e.text("org", c.Owner.Org)
	e.personal(personal{agentName: c.Owner.AgentName, metadata: c.Metadata, name: c.Name})
	e.text("peer", c.Owner.Peer)
	e.text("scopes", c.Scopes)
	e.text("session", c.Owner.Session)
	e.text("type", c.KeyType)
	e.flag("unique", c.UniqueName)
	e.text("ws", c.Owner.Workspace)
}

func (c *Created) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "agent":
			c.Owner.AgentID = d.text()
		case "confined":
			c.Confined = d.flag()
		case "digest":
			c.Digest = d.digest()
		case "env":
			c.Environment = d.text()
		case "exp":
			c.ExpiresAt = d.time()
		case "hint":
			c.Hint = d.text()
		case "key":
			c.KeyID = d.uuid()
		case "nbf":
			c.NotBefore = d.time()
		case "org":
			c.Owner.Org = d.text()
		case "p":
			p := d.personal()
			c.Owner.AgentName, c.Metadata, c.Name = p.agentName, p.metadata, p.name
		case "peer":
			c.Owner.Peer = d.text()
		case "scopes":
			c.Scopes = d.text()
		case "session":
			c.Owner.Session = d.text()
		case "type":
			c.KeyType = d.text()
		case "unique":
			c.UniqueName = d.flag()
		case "ws":
			c.Owner.Workspace = d.text()
		default:
			d.skip()
		}
	}
}

func (c *Created) missing() string {
	switch {
	case c.Digest == Digest{}:
		return "digest"
	case c.Environment == "":
		return "env"
	case c.KeyID == uuid.Nil:
		return "key"
	case c.KeyType == "":
		return "type"
	}
	return ""
}

func (c *Created) fits(s Subject) bool {
	return s == Subject{Workspace: c.Owner.Workspace, Org: c.Owner.Org, Agent: c.Owner.AgentID, Key: c.KeyID}
}

func (c *Created) id() string { return c.KeyID.String() }

func (c *Created) appendJSON(o *jsonObject) {
	o.text("key_id", c.KeyID.String())
	o.textOrNull("name", c.Name)
	o.textOrNull("hint", c.Hint)
	o.textOrNull("workspace_id", c.Owner.Workspace)
	o.textOrNull("org_id", c.Owner.Org)
	o.textOrNull("agent_id", c.Owner.AgentID)
	o.textOrNull("agent_name", c.Owner.AgentName)
	o.textOrNull("peer_id", c.Owner.Peer)
	o.textOrNull("session_id", c.Owner.Session)
	o.scopes("scopes", c.Scopes)
	o.text("environment", c.Environment)
	o.text("type", c.KeyType)
	o.metadata("metadata", c.Metadata)
	o.timeOrNull("not_before", c.NotBefore)
	o.timeOrNull("expires_at", c.ExpiresAt)
	o.flag("unique_name", c.UniqueName)
	o.flag("confined", c.Confined)
}
