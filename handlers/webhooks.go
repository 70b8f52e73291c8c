package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// createWebhook is POST /v1/webhooks. The answer has the secret that signs, which is shown there and after a rotation only.
func (a *api) createWebhook(x *Exchange) error {
	var in struct {
		WorkspaceID  string   `json:"workspace_id"`
		OrgID        string   `json:"org_id"`
		AgentID      string   `json:"agent_id"`
		URL          string   `json:"url"`
		Types        []string `json:"types"`
		Name         string   `json:"name"`
		FromSequence int64    `json:"from_sequence"`
	}
	if err := x.Decode(&in); err != nil {
		return err
	}
	if in.FromSequence < 0 {
		return invalid("from_sequence", "it must be a sequence: a whole number from 1")
	}
	w, err := a.service.CreateWebhook(x.Context(), x.Call(), &ledger.CreateWebhook{
		Workspace: in.WorkspaceID,
		Org:       in.OrgID,
		Agent:     in.AgentID,
		URL:       in.URL,
		Types:     in.Types,
		Name:      in.Name,
		From:      uint64(in.FromSequence),
	})
	if err != nil {
		return err
	}
	x.Status = http.StatusCreated
	x.Header()["Location"] = []string{"/v1/webhooks/" + w.ID.String()}
	a.answerWebhook(x, &w, a.hooks.Secret(&w).Reveal())
	return nil
}

// listWebhooks is GET /v1/webhooks.
func (a *api) listWebhooks(x *Exchange) error {
	p := x.Query
	limit, err := p.limit()
	if err != nil {
		return err
	}
	l, err := a.openList(x)
	if err != nil {
		return err
	}
	q := ledger.WebhookQuery{Workspace: p["workspace_id"], Org: p["org_id"], Agent: p["agent_id"], Limit: limit}
	copy(q.After[:], l.place)
	whose := ledger.Owner{Workspace: q.Workspace, Org: q.Org, AgentID: q.Agent}
	return l.answer(ledger.ScopeWebhooks, whose, func(service *ledger.Service) error { return l.webhooks(service, &q) })
}

// webhooks makes the body of a page of webhooks.
func (l *listing) webhooks(service *ledger.Service, q *ledger.WebhookQuery) error {
	page, err := service.Webhooks(l.x.Context(), &l.x.Principal, q)
	if err != nil {
		return err
	}
	b := append(l.x.Body, `{"data":[`...)
	for i := range page.Webhooks {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendWebhook(b, &page.Webhooks[i]), '}')
	}
	var next []byte
	if page.Next != uuid.Nil {
		next = page.Next[:]
	}
	l.end(b, next)
	return nil
}

// getWebhook is GET /v1/webhooks/{id}. It tells of the last delivery too.
func (a *api) getWebhook(x *Exchange) error {
	w, err := a.webhook(x)
	if err != nil {
		return err
	}
	d, ok, err := a.queue.Latest(x.Context(), w.ID)
	if err != nil {
		return unqueued(err)
	}
	x.setTag(w.Sequence)
	b := append(appendWebhook(x.Body, &w), `,"last_delivery":`...)
	if ok {
		b = appendDelivery(b, &d)
	} else {
		b = append(b, `null`...)
	}
	x.Body = append(b, '}', '\n')
	return nil
}

// updateWebhook is PATCH /v1/webhooks/{id}.
func (a *api) updateWebhook(x *Exchange) error {
	var in struct {
		URL   change[string]   `json:"url"`
		Types change[[]string] `json:"types"`
		Name  change[string]   `json:"name"`
	}
	id, err := x.webhookID()
	if err != nil {
		return err
	}
	if err := x.Decode(&in); err != nil {
		return err
	}
	w, err := a.service.UpdateWebhook(x.Context(), x.Call(), id, &ledger.UpdateWebhook{
		URL: in.URL.pointer(), Types: in.Types.pointer(), Name: in.Name.pointer(),
	})
	return a.changedWebhook(x, &w, err)
}

// deleteWebhook is DELETE /v1/webhooks/{id}.
func (a *api) deleteWebhook(x *Exchange) error {
	id, err := x.webhookID()
	if err != nil {
		return err
	}
	if err := x.DecodeOptional(&struct{}{}); err != nil {
		return err
	}
	x.Status = http.StatusNoContent
	return a.service.DeleteWebhook(x.Context(), x.Call(), id)
}

// defaultOverlap is how long the secret before a rotation signs too.
const defaultOverlap = int64(24 * 60 * 60)

// rotateWebhook is POST /v1/webhooks/{id}/rotate-secret.
func (a *api) rotateWebhook(x *Exchange) error {
	in := struct {
		OverlapSeconds int64 `json:"overlap_seconds"`
	}{defaultOverlap}
	id, err := x.webhookID()
	if err != nil {
		return err
	}
	if err := x.DecodeOptional(&in); err != nil {
		return err
	}
	const most = int64(ledger.MaxOverlap / time.Second)
	overlap := time.Duration(min(max(in.OverlapSeconds, -1), most+1)) * time.Second
	w, err := a.service.RotateWebhook(x.Context(), x.Call(), id, overlap)
	if err != nil {
		return err
	}
	a.answerWebhook(x, &w, a.hooks.Secret(&w).Reveal())
	return nil
}

// disableWebhook is POST /v1/webhooks/{id}/disable.
func (a *api) disableWebhook(x *Exchange) error {
	var in struct {
		Reason string `json:"reason"`
	}
	id, err := x.webhookID()
	if err != nil {
		return err
	}
	if err := x.DecodeOptional(&in); err != nil {
		return err
	}
	w, err := a.service.DisableWebhook(x.Context(), x.Call(), id, in.Reason)
	return a.changedWebhook(x, &w, err)
}

// enableWebhook is POST /v1/webhooks/{id}/enable.
func (a *api) enableWebhook(x *Exchange) error {
	id, err := x.webhookID()
	if err != nil {
		return err
	}
	if err := x.DecodeOptional(&struct{}{}); err != nil {
		return err
	}
	w, err := a.service.EnableWebhook(x.Context(), x.Call(), id)
	return a.changedWebhook(x, &w, err)
}

// testWebhook is POST /v1/webhooks/{id}/test: one attempt with an event of its own type, also when it is disabled.
func (a *api) testWebhook(x *Exchange) error {
	if err := x.DecodeOptional(&struct{}{}); err != nil {
		return err
	}
	w, err := a.webhook(x)
	if err != nil {
		return err
	}
	d, err := a.hooks.Test(x.Context(), &w)
	if err != nil {
		return err
	}
	b := append(x.Body, `{"delivered":`...)
	b = strconv.AppendBool(b, d.State == ledger.Delivered)
	b = append(b, `,"event_id":`...)
	b = append(appendAttempt(appendString(b, d.EventID.String()), d), '}', '\n')
	x.Body = b
	return nil
}

// webhook is the endpoint of the path.
func (a *api) webhook(x *Exchange) (ledger.Webhook, error) {
	id, err := x.webhookID()
	if err != nil {
		return ledger.Webhook{}, err
	}
	return a.service.Webhook(x.Context(), &x.Principal, id)
}

// webhookID is the path variable "id" as the id of an endpoint: CodeNotFound when none can have it.
func (x *Exchange) webhookID() (uuid.UUID, error) {
	id, err := uuid.Parse(x.Var("id"))
	if err != nil || len(x.Var("id")) != 36 {
		return uuid.UUID{}, &ledger.Error{Code: ledger.CodeNotFound, Detail: "no such webhook"}
	}
	return id, nil
}

func (a *api) changedWebhook(x *Exchange, w *ledger.Webhook, err error) error {
	if err != nil {
		return err
	}
	a.answerWebhook(x, w, "")
	return nil
}

func (a *api) answerWebhook(x *Exchange, w *ledger.Webhook, secret string) {
	x.Saw(w.Sequence)
	x.setTag(w.Sequence)
	b := appendWebhook(x.Body, w)
	if secret != "" {
		b = appendString(append(b, `,"secret":`...), secret)
	}
	x.Body = append(b, '}', '\n')
}

// appendWebhook appends an endpoint, but for the brace at its end.
func appendWebhook(b []byte, w *ledger.Webhook) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, w.ID.String())
	b = appendStringMember(b, `,"name":null`, w.Name)
	b = appendStringMember(b, `,"workspace_id":null`, w.Workspace)
	b = appendStringMember(b, `,"org_id":null`, w.Org)
	b = appendStringMember(b, `,"agent_id":null`, w.Agent)
	b = append(b, `,"url":`...)
	b = appendString(b, w.URL)
	b = append(b, `,"types":`...)
	b = appendScopes(b, ledger.Scopes(w.Types))
	if w.DisabledAt.IsZero() {
		b = append(b, `,"status":"enabled"`...)
	} else {
		b = append(b, `,"status":"disabled"`...)
	}
	b = appendTimeMember(b, `,"disabled_at":null`, w.DisabledAt)
	b = appendStringMember(b, `,"disabled_reason":null`, w.DisabledReason)
	b = appendUintMember(b, `,"from_sequence":`, w.From)
	b = appendUintMember(b, `,"secret_version":`, w.SecretVersion)
	b = appendTimeMember(b, `,"previous_secret_until":null`, w.PreviousUntil)
	b = appendTimeMember(b, `,"created_at":null`, w.CreatedAt)
	b = appendStringMember(b, `,"created_by":null`, w.CreatedBy)
	b = appendTimeMember(b, `,"updated_at":null`, w.UpdatedAt)
	return appendUintMember(b, `,"sequence":`, w.Sequence)
}
