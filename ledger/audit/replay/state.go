package replay

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"keyledger/events"
	"keyledger/ledger"
)

// keyChanges adds what differs between two states of a key.
func keyChanges(c changes, before, after *ledger.Key) changes {
	c.text("name", "name", before.Name, after.Name)
	c.text("hint", "token", before.Hint, after.Hint)
	c.text("workspace_id", "workspace", before.Owner.Workspace, after.Owner.Workspace)
	c.text("org_id", "org", before.Owner.Org, after.Owner.Org)
	c.text("agent_id", "agent", before.Owner.AgentID, after.Owner.AgentID)
	c.text("agent_name", "agent name", before.Owner.AgentName, after.Owner.AgentName)
	c.text("peer_id", "peer", before.Owner.Peer, after.Owner.Peer)
	c.text("session_id", "session", before.Owner.Session, after.Owner.Session)
	c.list("scopes", "scopes", string(before.Scopes), string(after.Scopes))
	c.text("environment", "environment", before.Environment, after.Environment)
	c.text("type", "type", before.Type, after.Type)
	c.object("metadata", "metadata", before.Metadata, after.Metadata)
	c.flag("unique_name", "unique name", before.UniqueName, after.UniqueName)
	c.flag("confined", "confined", before.Confined, after.Confined)
	c.time("not_before", "valid from", before.NotBefore, after.NotBefore)
	c.time("expires_at", "expires", before.ExpiresAt, after.ExpiresAt)
	c.time("previous_expires_at", "old token ends", before.PreviousExpiresAt, after.PreviousExpiresAt)
	c.flag("disabled", "disabled", !before.DisabledAt.IsZero(), !after.DisabledAt.IsZero())
	c.flag("revoked", "revoked", !before.RevokedAt.IsZero(), !after.RevokedAt.IsZero())
	c.text("revoke_reason", "reason", before.RevokeReason, after.RevokeReason)
	c.time("erased_at", "erased", before.ErasedAt, after.ErasedAt)
	return c
}

// webhookChanges adds what differs between two states of a webhook. Of its URL only the target is told, for the rest may
// hold a secret of its receiver.
func webhookChanges(c changes, before, after *ledger.Webhook) changes {
	c.text("name", "name", before.Name, after.Name)
	c.text("workspace_id", "workspace", before.Workspace, after.Workspace)
	c.text("org_id", "org", before.Org, after.Org)
	c.text("agent_id", "agent", before.Agent, after.Agent)
	c.text("target", "target", before.URL, after.URL)
	c.list("types", "types", before.Types, after.Types)
	c.time("previous_secret_until", "old secret ends", before.PreviousUntil, after.PreviousUntil)
	c.flag("disabled", "disabled", !before.DisabledAt.IsZero(), !after.DisabledAt.IsZero())
	c.text("reason", "reason", before.DisabledReason, after.DisabledReason)
	return c
}

// agentChanges adds what the registration of an agent tells.
func agentChanges(c changes, a *events.Agent) changes {
	c.text("name", "name", "", a.Name)
	c.text("workspace_id", "workspace", "", a.Workspace)
	c.text("org_id", "org", "", a.Org)
	return c
}

// codec writes a state into b, or reads it back from text: one list of fields for both, so that they cannot differ.
type codec struct {
	reads bool
	b     []byte // what is written
	text  string // what is left to read; what is read are parts of it
}

// packKey appends k to dst. The name comes first: see packedName.
func packKey(dst []byte, k *ledger.Key) []byte {
	c := codec{b: dst}
	c.key(k)
	return c.b
}

func unpackKey(packed string, k *ledger.Key) {
	c := codec{reads: true, text: packed}
	c.key(k)
}

// packedName is the name in a packed state.
func packedName(packed string) (name string) {
	c := codec{reads: true, text: packed}
	c.string(&name)
	return name
}

func (c *codec) key(k *ledger.Key) {
	for _, s := range [...]*string{
		&k.Name, &k.Hint, &k.Owner.Workspace, &k.Owner.Org, &k.Owner.AgentID, &k.Owner.AgentName, &k.Owner.Peer,
		&k.Owner.Session, (*string)(&k.Scopes), &k.Environment, &k.Type, &k.RevokeReason,
	} {
		c.string(s)
	}
	metadata := string(k.Metadata)
	if c.string(&metadata); c.reads && metadata != "" {
		k.Metadata = json.RawMessage(metadata)
	}
	c.flag(&k.UniqueName)
	c.flag(&k.Confined)
	for _, t := range [...]*time.Time{
		&k.CreatedAt, &k.NotBefore, &k.ExpiresAt, &k.PreviousExpiresAt, &k.DisabledAt, &k.RevokedAt, &k.ErasedAt,
	} {
		c.time(t)
	}
}

func packWebhook(dst []byte, w *ledger.Webhook) []byte {
	c := codec{b: dst}
	c.webhook(w)
	return c.b
}

func unpackWebhook(packed string, w *ledger.Webhook) {
	c := codec{reads: true, text: packed}
	c.webhook(w)
}

func (c *codec) webhook(w *ledger.Webhook) {
	for _, s := range [...]*string{&w.Name, &w.Workspace, &w.Org, &w.Agent, &w.URL, &w.Types, &w.DisabledReason} {
		c.string(s)
	}
	for _, t := range [...]*time.Time{&w.CreatedAt, &w.PreviousUntil, &w.DisabledAt} {
		c.time(t)
	}
}

func (c *codec) string(s *string) {
	if !c.reads {
		c.b = append(binary.AppendUvarint(c.b, uint64(len(*s))), *s...)
		return
	}
	n := int(c.number())
	*s, c.text = c.text[:n], c.text[n:]
}

// time is in microseconds since 1970, and 0 when it is zero.
func (c *codec) time(t *time.Time) {
	switch {
	case c.reads:
		if micros := c.number(); micros != 0 {
			*t = time.UnixMicro(int64(micros)).UTC()
		}
	case t.IsZero():
		c.b = append(c.b, 0)
	default:
		c.b = binary.AppendUvarint(c.b, uint64(t.UnixMicro()))
	}
}

func (c *codec) flag(f *bool) {
	switch {
	case c.reads:
		*f = c.number() != 0
	case *f:
		c.b = append(c.b, 1)
	default:
		c.b = append(c.b, 0)
	}
}

// number reads a number. A state is only read from what was packed in this process.
func (c *codec) number() uint64 {
	var n uint64
	for shift := 0; ; shift += 7 {
		b := c.text[0]
		c.text = c.text[1:]
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return n
		}
	}
}
