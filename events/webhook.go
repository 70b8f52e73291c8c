package events

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Webhook is the body of webhook.created: an endpoint is told what happens within an owner.
type Webhook struct {
	ID        uuid.UUID
	Workspace string // empty parts of the owner: all
	Org       string
	Agent     string
	URL       string
	Types     string // space-delimited types; empty: all
	Name      string // personal data
	From      uint64 // sequence of the first event it gets; 0: the one after this
}

// Type is WebhookCreated.
func (*Webhook) Type() Type { return WebhookCreated }

func (w *Webhook) encode(e *encoder) {
	e.text("agent", w.Agent)
	e.number("from", w.From)
	e.bytes("hook", w.ID[:])
	e.text("org", w.Org)
	e.personal(personal{name: w.Name})
	e.text("types", w.Types)
	e.text("url", w.URL)
	e.text("ws", w.Workspace)
}

func (w *Webhook) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "agent":
			w.Agent = d.text()
		case "from":
			w.From = d.uint()
		case "hook":
			w.ID = d.uuid()
		case "org":
			w.Org = d.text()
		case "p":
			w.Name = d.personal().name
		case "types":
			w.Types = d.text()
		case "url":
			w.URL = d.text()
		case "ws":
			w.Workspace = d.text()
		default:
			d.skip()
		}
	}
}

func (w *Webhook) missing() string {
	if w.URL == "" {
		return "url"
	}
	return missingWebhook(&w.ID)
}

func (w *Webhook) fits(s Subject) bool {
	return s == Subject{Workspace: w.Workspace, Org: w.Org, Agent: w.Agent, Webhook: w.ID}
}

func (w *Webhook) id() string { return w.ID.String() }

func (w *Webhook) appendJSON(o *jsonObject) {
	o.text("webhook_id", w.ID.String())
	o.textOrNull("name", w.Name)
	o.textOrNull("workspace_id", w.Workspace)
	o.textOrNull("org_id", w.Org)
	o.textOrNull("agent_id", w.Agent)
	o.text("target", Target(w.URL))
	o.scopes("types", w.Types)
}

// WebhookUpdate is the body of webhook.updated: nil means unchanged.
type WebhookUpdate struct {
	ID    uuid.UUID
	URL   *string
	Types *string
	Name  *string // personal data

	// Disabled tells that it is told nothing from now on, or again. Reason goes with a Disabled that is true.
	Disabled *bool
	Reason   string // personal data

	// SecretVersion, when not 0, counts the secrets of its signatures: this one is new. The one before signs too until
	// PreviousUntil.
	SecretVersion uint64
	PreviousUntil time.Time
}

// Type is WebhookUpdated.
func (*WebhookUpdate) Type() Type { return WebhookUpdated }

func (u *WebhookUpdate) encode(e *encoder) {
	e.flagChange("disabled", u.Disabled)
	e.bytes("hook", u.ID[:])
	p := personal{reason: u.Reason}
	if u.Name != nil {
		p.name, p.nameSet = *u.Name, true
	}
	e.personal(p)
	e.time("prev_until", u.PreviousUntil)
	e.number("secret", u.SecretVersion)
	e.textChange("types", u.Types)
	e.textChange("url", u.URL)
}

func (u *WebhookUpdate) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "disabled":
			u.Disabled = new(d.flag())
		case "hook":
			u.ID = d.uuid()
		case "p":
			p := d.personal()
			if u.Reason = p.reason; p.nameSet {
				u.Name = &p.name
			}
		case "prev_until":
			u.PreviousUntil = d.time()
		case "secret":
			u.SecretVersion = d.uint()
		case "types":
			u.Types = new(d.text())
		case "url":
			u.URL = new(d.text())
		default:
			d.skip()
		}
	}
}

func (u *WebhookUpdate) missing() string { return missingWebhook(&u.ID) }

func (u *WebhookUpdate) fits(s Subject) bool { return s.Webhook == u.ID }

func (u *WebhookUpdate) id() string { return u.ID.String() }

func (u *WebhookUpdate) appendJSON(o *jsonObject) {
	o.text("webhook_id", u.ID.String())
	if u.Name != nil {
		o.textOrNull("name", *u.Name)
	}
	if u.URL != nil {
		o.text("target", Target(*u.URL))
	}
	if u.Types != nil {
		o.scopes("types", *u.Types)
	}
	if u.Disabled != nil {
		o.name("disabled")
		o.dst = strconv.AppendBool(o.dst, *u.Disabled)
		o.textOrNull("reason", u.Reason)
	}
	if u.SecretVersion != 0 {
		o.flag("secret_rotated", true)
		o.timeOrNull("previous_secret_until", u.PreviousUntil)
	}
}

// WebhookDelete is the body of webhook.deleted.
type WebhookDelete struct{ ID uuid.UUID }

// Type is WebhookDeleted.
func (*WebhookDelete) Type() Type { return WebhookDeleted }

func (w *WebhookDelete) encode(e *encoder) {
	e.bytes("hook", w.ID[:])
	e.personal(personal{})
}

func (w *WebhookDelete) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "hook":
			w.ID = d.uuid()
		case "p":
			d.personal()
		default:
			d.skip()
		}
	}
}

func (w *WebhookDelete) missing() string          { return missingWebhook(&w.ID) }
func (w *WebhookDelete) fits(s Subject) bool      { return s.Webhook == w.ID }
func (w *WebhookDelete) id() string               { return w.ID.String() }
func (w *WebhookDelete) appendJSON(o *jsonObject) { o.text("webhook_id", w.ID.String()) }

func missingWebhook(id *uuid.UUID) string {
	if *id == uuid.Nil {
		return "hook"
	}
	return ""
}

// Target is what the exchange form tells of a URL, scheme and host: many a receiver puts a secret of its own into the
// rest.
func Target(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(u.Scheme+"://"+u.Host, "?")
}
