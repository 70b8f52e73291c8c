package events

import (
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// readJSON of each payload takes one member of the exchange form's data: the inverse of its appendJSON.

func (c *Created) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "key_id":
		c.KeyID = x.uuid(v)
	case "name":
		c.Name = x.text(v)
	case "hint":
		c.Hint = x.text(v)
	case "scopes":
		c.Scopes = x.scopes(v)
	case "environment":
		c.Environment = x.text(v)
	case "type":
		c.KeyType = x.text(v)
	case "metadata":
		c.Metadata = x.metadata(v)
	case "not_before":
		c.NotBefore = x.time(v)
	case "expires_at":
		c.ExpiresAt = x.time(v)
	case "unique_name":
		c.UniqueName = x.flag(v)
	case "confined":
		c.Confined = x.flag(v)
	default:
		c.Owner.readJSON(x, name, v)
	}
}

func (o *Owner) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "workspace_id":
		o.Workspace = x.text(v)
	case "org_id":
		o.Org = x.text(v)
	case "agent_id":
		o.AgentID = x.text(v)
	case "agent_name":
		o.AgentName = x.text(v)
	case "peer_id":
		o.Peer = x.text(v)
	case "session_id":
		o.Session = x.text(v)
	}
}

func (u *Updated) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "key_id":
		u.KeyID = x.uuid(v)
	case "name":
		u.Name = new(x.text(v))
	case "scopes":
		u.Scopes = new(x.scopes(v))
	case "metadata":
		u.Metadata = new(x.metadata(v))
	case "expires_at":
		u.ExpiresAt = new(x.time(v))
	}
}

func (r *Rotated) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "key_id":
		r.KeyID = x.uuid(v)
	case "hint":
		r.Hint = x.text(v)
	case "previous_expires_at":
		r.PreviousExpiresAt = x.time(v)
	case "expires_at":
		r.ExpiresAt = new(x.time(v))
	}
}

func (b *Disabled) readJSON(x *exchange, name string, v jsontext.Value) {
	x.id(&b.KeyID, "key_id", name, v)
}
func (b *Enabled) readJSON(x *exchange, name string, v jsontext.Value) {
	x.id(&b.KeyID, "key_id", name, v)
}

func (r *Revoked) readJSON(x *exchange, name string, v jsontext.Value) {
	if x.id(&r.KeyID, "key_id", name, v); name == "reason" {
		r.Reason = x.text(v)
	}
}

func (x *Expiring) readJSON(in *exchange, name string, v jsontext.Value) {
	switch name {
	case "key_id":
		x.KeyID = in.uuid(v)
	case "expires_at":
		x.ExpiresAt = in.time(v)
	case "horizon_seconds":
		x.Horizon = in.seconds(v)
	}
}

func (x *Expired) readJSON(in *exchange, name string, v jsontext.Value) {
	if in.id(&x.KeyID, "key_id", name, v); name == "expires_at" {
		x.ExpiresAt = in.time(v)
	}
}

func (u *FirstUsed) readJSON(in *exchange, name string, v jsontext.Value) {
	if in.id(&u.KeyID, "key_id", name, v); name == "used_at" {
		u.At = in.time(v)
	}
}

func (a *Agent) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "agent_id":
		a.ID = x.text(v)
	case "name":
		a.Name = x.text(v)
	case "workspace_id":
		a.Workspace = x.text(v)
	case "org_id":
		a.Org = x.text(v)
	}
}

func (w *Webhook) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "webhook_id":
		w.ID = x.uuid(v)
	case "name":
		w.Name = x.text(v)
	case "workspace_id":
		w.Workspace = x.text(v)
	case "org_id":
		w.Org = x.text(v)
	case "agent_id":
		w.Agent = x.text(v)
	case "target":
		w.URL = x.text(v)
	case "types":
		w.Types = x.scopes(v)
	}
}

func (u *WebhookUpdate) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "webhook_id":
		u.ID = x.uuid(v)
	case "name":
		u.Name = new(x.text(v))
	case "target":
		u.URL = new(x.text(v))
	case "types":
		u.Types = new(x.scopes(v))
	case "disabled":
		u.Disabled = new(x.flag(v))
	case "reason":
		u.Reason = x.text(v)
	case "secret_rotated":
		u.SecretVersion = 1
	case "previous_secret_until":
		u.PreviousUntil = x.time(v)
	}
}

func (w *WebhookDelete) readJSON(x *exchange, name string, v jsontext.Value) {
	x.id(&w.ID, "webhook_id", name, v)
}

func (x *Erasure) readJSON(in *exchange, name string, v jsontext.Value) {
	switch name {
	case "key_id":
		x.KeyID = in.uuid(v)
	case "workspace_id":
		x.Workspace = in.text(v)
	}
}

func (c *Claim) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "kind":
		c.Kind = x.text(v)
	case "hash":
		c.Hash = x.text(v)
	case "holder":
		c.Holder = x.text(v)
	}
}

func (r *Release) readJSON(x *exchange, name string, v jsontext.Value) {
	switch name {
	case "kind":
		r.Kind = x.text(v)
	case "hash":
		r.Hash = x.text(v)
	}
}

// id takes a member that is the id of what the payload is about, and no other.
func (x *exchange) id(id *uuid.UUID, want, name string, v jsontext.Value) {
	if name == want {
		*id = x.uuid(v)
	}
}
