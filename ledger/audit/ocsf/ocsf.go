// Package ocsf tells the history of the ledger in the form of the Open Cybersecurity Schema Framework, for SIEMs: OCSF
// 1.7.0, class Entity Management (3004), one JSON object a line.
//
//	activity_id               what happened: 1 Create, 3 Update, 4 Delete, 8 Enable, 9 Disable, 11 Deactivate (a key has
//	                          expired), 99 for notices; a revocation is a Delete, a rotation an Update
//	severity_id               2 (Low) for keys that expire, else 1 (Informational)
//	time                      milliseconds since 1970; metadata.original_time is the event's own, to the microsecond
//	actor.user                uid and name of the key that acted; type_id 99 API Key, or 3 System
//	src_endpoint.ip           where the request came from
//	http_request              user_agent, and uid: the request id
//	comment                   why a key was revoked, or a webhook disabled
//	entity                    the key, agent or webhook, as it was before; a created one as it was made
//	entity_result             as it is after a change
//	metadata.event_code       type of the event in the ledger
//	metadata.uid              id of the event, also in metadata.original_event_uid
//	metadata.sequence         its place in the ledger
//	metadata.source           names the ledger, as the source of its events
//	metadata.tenant_uid       workspace
//	unmapped                  what a notice tells: expires_at and horizon_seconds, used_at, secret_rotated
package ocsf

import (
	"bufio"
	"encoding/json"
	"strconv"
	"strings"

	"keyledger/events"
	"keyledger/ledger/audit/replay"
)

// Version is the version of OCSF.
const Version = "1.7.0"

const (
	categoryUID  = 3
	categoryName = "Identity & Access Management"
	classUID     = 3004
	className    = "Entity Management"
)

// Writer writes records. It is a replay.Writer.
type Writer struct {
	encoder *json.Encoder
	product product
	source  func() string
}

var _ replay.Writer = (*Writer)(nil)

// NewWriter gives a Writer to b, which the caller flushes. version is that of keyledger, source gives the source of the
// events when there has been one.
func NewWriter(b *bufio.Writer, version string, source func() string) *Writer {
	w := &Writer{encoder: json.NewEncoder(b), source: source}
	w.encoder.SetEscapeHTML(false)
	w.product = product{Name: "keyledger", VendorName: "keyledger", Version: version}
	return w
}

// Write writes a line.
func (w *Writer) Write(r *replay.Record) error { return w.encoder.Encode(w.entry(r)) }

// Close writes nothing: there is nothing after the last line.
func (w *Writer) Close() error { return nil }

// entry is an event of the class Entity Management.
type entry struct {
	ActivityID   int             `json:"activity_id"`
	ActivityName string          `json:"activity_name"`
	CategoryUID  int             `json:"category_uid"`
	CategoryName string          `json:"category_name"`
	ClassUID     int             `json:"class_uid"`
	ClassName    string          `json:"class_name"`
	TypeUID      int             `json:"type_uid"`
	TypeName     string          `json:"type_name"`
	Time         int64           `json:"time"`
	SeverityID   int             `json:"severity_id"`
	Severity     string          `json:"severity"`
	StatusID     int             `json:"status_id"`
	Status       string          `json:"status"`
	Message      string          `json:"message"`
	Metadata     metadata        `json:"metadata"`
	Actor        actor           `json:"actor"`
	SrcEndpoint  *endpoint       `json:"src_endpoint,omitempty"`
	HTTPRequest  *httpRequest    `json:"http_request,omitempty"`
	Comment      string          `json:"comment,omitempty"`
	Entity       managedEntity   `json:"entity"`
	EntityResult *managedEntity  `json:"entity_result,omitempty"`
	Unmapped     json.RawMessage `json:"unmapped,omitempty"`
}

type metadata struct {
	Version          string  `json:"version"`
	Product          product `json:"product"`
	UID              string  `json:"uid"`
	OriginalEventUID string  `json:"original_event_uid"`
	OriginalTime     string  `json:"original_time"`
	EventCode        string  `json:"event_code"`
	Sequence         uint64  `json:"sequence"`
	Source           string  `json:"source,omitempty"`
	TenantUID        string  `json:"tenant_uid,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version,omitempty"`
}

type actor struct {
	User user `json:"user"`
}

type user struct {
	UID         string       `json:"uid"`
	Name        string       `json:"name,omitempty"`
	TypeID      int          `json:"type_id"`
	Type        string       `json:"type"`
	Credentials []credential `json:"programmatic_credentials,omitempty"`
}

type credential struct {
	UID  string `json:"uid"`
	Type string `json:"type"`
}

type endpoint struct {
	IP string `json:"ip"`
}

type httpRequest struct {
	UID       string `json:"uid,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

type managedEntity struct {
	UID    string          `json:"uid"`
	Name   string          `json:"name,omitempty"`
	TypeID int             `json:"type_id"`
	Type   string          `json:"type"`
	Data   json.RawMessage `json:"data"`
}

const (
	apiKey = "API Key"
	other  = 99
)

func (w *Writer) entry(r *replay.Record) *entry {
	e := r.Event
	activity, name := activityOf(e.Payload)
	severity, severityName := 1, "Informational"
	switch e.Payload.(type) {
	case *events.Expiring, *events.Expired:
		severity, severityName = 2, "Low"
	}
	out := &entry{
		ActivityID: activity, ActivityName: name,
		CategoryUID: categoryUID, CategoryName: categoryName,
		ClassUID: classUID, ClassName: className,
		TypeUID: classUID*100 + activity, TypeName: className + ": " + name,
		Time: e.Time.UnixMilli(), SeverityID: severity, Severity: severityName, StatusID: 1, Status: "Success",
		Metadata: metadata{
			Version: Version, Product: w.product, UID: e.ID.String(), OriginalEventUID: e.ID.String(),
			OriginalTime: replay.FormatTime(e.Time), EventCode: string(e.Type), Sequence: e.Sequence, Source: w.source(),
			TenantUID: r.Owner.Workspace,
		},
		Actor:   actor{actorOf(r)},
		Comment: comment(e.Payload),
	}
	if e.Origin.IP != "" {
		out.SrcEndpoint = &endpoint{e.Origin.IP}
	}
	if e.Origin.UserAgent != "" || e.RequestID != "" {
		out.HTTPRequest = &httpRequest{UID: e.RequestID, UserAgent: e.Origin.UserAgent}
	}
	if facts := r.Facts(); len(facts) > 0 {
		out.Unmapped = replay.AppendValues(nil, facts)
	}
	out.entities(r)
	out.Message = message(out.Entity.Type, r)
	return out
}

// entities sets what the event is about, before and, when it changed something that is still there, after it.
func (x *entry) entities(r *replay.Record) {
	label := apiKey
	switch {
	case strings.HasPrefix(string(r.Event.Type), "agent."):
		label = "Agent"
	case strings.HasPrefix(string(r.Event.Type), "webhook."):
		label = "Webhook"
	case r.Event.Type == events.OwnerErased && r.Name == "" && r.Subject == r.Owner.Workspace:
		label = "Workspace"
	}
	entity := func(values []replay.Value) managedEntity {
		m := managedEntity{UID: r.Subject, TypeID: other, Type: label, Data: replay.AppendValues(nil, values)}
		for _, v := range values {
			if v.Name == "name" {
				m.Name = v.Text
			}
		}
		return m
	}
	before, after := r.Before(), r.After()
	if len(before) == 0 {
		x.Entity = entity(after)
		return
	}
	x.Entity = entity(before)
	if len(r.Changes()) > 0 && len(after) > 0 {
		x.EntityResult = new(entity(after))
	}
}

// activityOf is the activity_id of the class Entity Management, and its caption.
func activityOf(p events.Payload) (int, string) {
	switch p := p.(type) {
	case *events.Created, *events.Agent, *events.Webhook:
		return 1, "Create"
	case *events.Revoked, *events.WebhookDelete:
		return 4, "Delete"
	case *events.Enabled:
		return 8, "Enable"
	case *events.Disabled:
		return 9, "Disable"
	case *events.Expired:
		return 11, "Deactivate"
	case *events.Expiring:
		return other, "Expiring"
	case *events.FirstUsed:
		return other, "First Use"
	case *events.Erasure:
		return other, "Erase"
	case *events.WebhookUpdate:
		switch {
		case p.Disabled == nil:
		case *p.Disabled:
			return 9, "Disable"
		default:
			return 8, "Enable"
		}
	}
	return 3, "Update"
}

func actorOf(r *replay.Record) user {
	u := user{UID: r.Event.Actor, Name: r.ActorName, TypeID: other, Type: apiKey}
	if u.UID == "system" {
		u.Name, u.TypeID, u.Type = "system", 3, "System"
		return u
	}
	u.Credentials = []credential{{u.UID, apiKey}}
	return u
}

func comment(p events.Payload) string {
	switch p := p.(type) {
	case *events.Revoked:
		return p.Reason
	case *events.WebhookUpdate:
		return p.Reason
	}
	return ""
}

// message is one line for people, such as: API Key "ci" first used.
func message(label string, r *replay.Record) string {
	if r.Name != "" {
		label += " " + strconv.Quote(r.Name)
	}
	_, verb, _ := strings.Cut(string(r.Event.Type), ".")
	return label + " " + strings.ReplaceAll(verb, "_", " ")
}
