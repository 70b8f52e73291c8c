package ledger

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"keyledger/events"
)

// Limits of webhooks.
const (
	MaxWebhooks   = 100  // of one owner; racing creates may exceed it a little
	MaxURL        = 2048 // bytes
	MaxTypes      = 64   // patterns of one webhook
	MaxOverlap    = 7 * 24 * time.Hour
	webhookOwners = "webhooks are for a workspace, an org and an agent, or what these have in common"
)

// Webhook is what the events of one endpoint add up to. It is told what happens within its owner, of which empty parts
// mean all.
type Webhook struct {
	ID        uuid.UUID
	Workspace string
	Org       string
	Agent     string
	URL       string
	Types     string // space-delimited patterns of event types; empty: all
	Name      string
	From      uint64 // sequence of the first event it gets

	SecretVersion uint64    // of the secret that signs, from 1
	PreviousUntil time.Time // the version before signs too until then

	CreatedAt      time.Time
	CreatedBy      string
	UpdatedAt      time.Time
	DisabledAt     time.Time // zero: it is enabled
	DisabledReason string

	Sequence  uint64
	LastEvent uuid.UUID
}

// Owner is whose events it gets.
func (w *Webhook) Owner() Owner {
	return Owner{Workspace: w.Workspace, Org: w.Org, AgentID: w.Agent}
}

// Wants tells whether it is to be told of events of a type.
func (w *Webhook) Wants(t events.Type) bool {
	if w.Types == "" {
		return true
	}
	for pattern := range strings.FieldsSeq(w.Types) {
		if start, ok := strings.CutSuffix(pattern, "*"); pattern == string(t) || ok && strings.HasPrefix(string(t), start) {
			return true
		}
	}
	return false
}

// EvolveWebhook adds an event to an endpoint, the zero Webhook at first. It is the zero Webhook again when it is deleted.
func EvolveWebhook(w Webhook, e *events.Event) Webhook {
	switch p := e.Payload.(type) {
	case *events.Webhook:
		w = Webhook{
			ID: p.ID, Workspace: p.Workspace, Org: p.Org, Agent: p.Agent,
			URL: p.URL, Types: p.Types, Name: p.Name, From: p.From,
			SecretVersion: 1, CreatedAt: e.Time, CreatedBy: e.Actor,
		}
		if w.From == 0 {
			w.From = e.Sequence + 1
		}
	case *events.WebhookUpdate:
		w.update(p, e.Time)
	case *events.WebhookDelete:
		return Webhook{}
	}
	w.UpdatedAt, w.Sequence, w.LastEvent = e.Time, e.Sequence, e.ID
	return w
}

func (w *Webhook) update(p *events.WebhookUpdate, at time.Time) {
	if p.URL != nil {
		w.URL = *p.URL
	}
	if p.Types != nil {
		w.Types = *p.Types
	}
	if p.Name != nil {
		w.Name = *p.Name
	}
	if p.SecretVersion != 0 {
		w.SecretVersion, w.PreviousUntil = p.SecretVersion, p.PreviousUntil
	}
	if p.Disabled == nil {
		return
	}
	w.DisabledAt, w.DisabledReason = time.Time{}, ""
	if *p.Disabled {
		w.DisabledAt, w.DisabledReason = at, p.Reason
	}
}

// CreateWebhook is the input of a new endpoint.
type CreateWebhook struct {
	Workspace, Org, Agent string // empty parts: all
	URL                   string
	Types                 []string // events.Type, or the beginning of some and "*"; none: all
	Name                  string
	From                  uint64 // sequence of the first event it gets; 0: the one after its creation
}

// UpdateWebhook is the input of a change of one: nil means unchanged.
type UpdateWebhook struct {
	URL   *string
	Types *[]string
	Name  *string
}

// DecideCreateWebhook decides on a new endpoint. plain allows http.
func DecideCreateWebhook(in *CreateWebhook, id uuid.UUID, plain bool) (*events.Webhook, error) {
	if err := CheckOwner(&Owner{Workspace: in.Workspace, Org: in.Org, AgentID: in.Agent}); err != nil {
		return nil, err
	}
	if err := CheckWebhookURL(in.URL, plain); err != nil {
		return nil, err
	}
	types, err := checkTypes(in.Types)
	if err != nil {
		return nil, err
	}
	return &events.Webhook{
		ID: id, Workspace: in.Workspace, Org: in.Org, Agent: in.Agent,
		URL: in.URL, Types: types, Name: in.Name, From: in.From,
	}, checkName("name", in.Name)
}

// DecideUpdateWebhook decides on a change of an endpoint. Nothing to change gives nil.
func DecideUpdateWebhook(w *Webhook, in *UpdateWebhook, plain bool) (*events.WebhookUpdate, error) {
	out := events.WebhookUpdate{ID: w.ID}
	if in.URL != nil && *in.URL != w.URL {
		if err := CheckWebhookURL(*in.URL, plain); err != nil {
			return nil, err
		}
		out.URL = in.URL
	}
	if in.Types != nil {
		types, err := checkTypes(*in.Types)
		if err != nil {
			return nil, err
		}
		if types != w.Types {
			out.Types = &types
		}
	}
	if in.Name != nil && *in.Name != w.Name {
		if err := checkName("name", *in.Name); err != nil {
			return nil, err
		}
		out.Name = in.Name
	}
	if out == (events.WebhookUpdate{ID: w.ID}) {
		return nil, nil
	}
	return &out, nil
}

// DecideRotateWebhook decides on a new secret. The one before signs too for the time of overlap.
func DecideRotateWebhook(w *Webhook, overlap time.Duration, now time.Time) (*events.WebhookUpdate, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return nil, invalid("overlap_seconds", "must be 0 to %d", MaxOverlap/time.Second)
	}
	out := &events.WebhookUpdate{ID: w.ID, SecretVersion: w.SecretVersion + 1}
	if overlap > 0 {
		out.PreviousUntil = moment(now.Add(overlap))
	}
	return out, nil
}

// CheckWebhookURL refuses what is no absolute https URL of a host, or http where plain allows it: with credentials, which
// would be shown, with a fragment, which is never sent, and longer than MaxURL bytes.
func CheckWebhookURL(raw string, plain bool) error {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return invalid("url", "must not be empty")
	case len(raw) > MaxURL:
		return invalid("url", "must be at most %d bytes", MaxURL)
	case err != nil || !isVisible(raw) || !utf8.ValidString(u.Host) || u.Opaque != "" || u.Hostname() == "" || !isVisible(u.Host):
		return invalid("url", "must be an absolute URL such as https://example.com/hook")
	case u.Scheme != "https" && (u.Scheme != "http" || !plain):
		return invalid("url", "must begin with https://")
	case u.User != nil:
		return invalid("url", "must not have a user or a password in it")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return invalid("url", "must not have a fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return invalid("url", "must have a port from 1 to 65535, or none")
		}
	}
	return nil
}

// checkTypes gives patterns of event types as a Webhook has them.
func checkTypes(list []string) (string, error) {
	if len(list) > MaxTypes {
		return "", invalid("types", "must be at most %d", MaxTypes)
	}
	for i, pattern := range list {
		start, open := strings.CutSuffix(pattern, "*")
		if !open && !events.Known(events.Type(pattern)) || open && !strings.HasSuffix(start, ".") ||
			strings.ContainsAny(start, "* ") || !isVisible(start) || len(pattern) > MaxScope {
			return "", invalid("types."+strconv.Itoa(i), "must be a type of event such as key.created, or all that begin alike such as key.*")
		}
	}
	return strings.Join(list, " "), nil
}
