package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"keyledger/handlers/webhooks"
	"keyledger/ledger"
)

// api is the native API.
type api struct {
	service *ledger.Service
	now     func() time.Time
	cursors cursors
	source  string // of events
	verdict func(ledger.Decision)
	hooks   *webhooks.Dispatcher
	queue   ledger.Queue
}

// createRequest is the body of POST /v1/keys.
type createRequest struct {
	Name        string         `json:"name"`
	WorkspaceID string         `json:"workspace_id"`
	OrgID       string         `json:"org_id"`
	AgentID     string         `json:"agent_id"`
	AgentName   string         `json:"agent_name"`
	PeerID      string         `json:"peer_id"`
	SessionID   string         `json:"session_id"`
	Scopes      []string       `json:"scopes"`
	Environment string         `json:"environment"`
	Type        string         `json:"type"`
	Metadata    jsontext.Value `json:"metadata"`
	NotBefore   *time.Time     `json:"not_before"`
	ExpiresAt   *time.Time     `json:"expires_at"`
	Token       string         `json:"token"`
}

func (r *createRequest) command() (*ledger.Create, error) {
	notBefore, err := moment("not_before", r.NotBefore)
	if err != nil {
		return nil, err
	}
	expiresAt, err := moment("expires_at", r.ExpiresAt)
	if err != nil {
		return nil, err
	}
	return &ledger.Create{
		Name: r.Name,
		Owner: ledger.Owner{
			Workspace: r.WorkspaceID,
			Org:       r.OrgID,
			AgentID:   r.AgentID,
			AgentName: r.AgentName,
			Peer:      r.PeerID,
			Session:   r.SessionID,
		},
		Scopes:      r.Scopes,
		Environment: r.Environment,
		Type:        r.Type,
		Metadata:    metadata(r.Metadata),
		NotBefore:   notBefore,
		ExpiresAt:   expiresAt,
		Token:       ledger.NewSecret(r.Token),
	}, nil
}

// metadata is the metadata of a body: nil when it is absent or null.
func metadata(v jsontext.Value) json.RawMessage {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil
	}
	return json.RawMessage(v)
}

// createKey is POST /v1/keys.
func (a *api) createKey(x *Exchange) error {
	var in createRequest
	if err := x.Decode(&in); err != nil {
		return err
	}
	create, err := in.command()
	if err != nil {
		return err
	}
	issued, err := a.service.Create(x.Context(), x.Call(), create)
	if err != nil {
		return err
	}
	x.Header()["Location"] = []string{"/v1/keys/" + issued.Key.ID.String()}
	a.answerIssued(x, http.StatusCreated, &issued)
	return nil
}

// getKey is GET /v1/keys/{id}.
func (a *api) getKey(x *Exchange) error {
	id, err := x.KeyID()
	if err != nil {
		return err
	}
	if m, err := a.moment(x); err != nil {
		return err
	} else if m != nil {
		return a.keyAt(x, id, *m)
	}
	key, err := a.service.Key(x.Context(), &x.Principal, id)
	if err != nil {
		return err
	}
	if x.notModified(&key) {
		x.setETag(&key)
		x.Status = http.StatusNotModified
		return nil
	}
	a.answerKey(x, &key)
	return nil
}

// keyAt answers with a key as of a moment. It bears no ETag: that would be taken for one of the present.
func (a *api) keyAt(x *Exchange, id uuid.UUID, m ledger.Moment) error {
	ctx, cancel := x.limited()
	defer cancel()
	key, err := a.service.KeyAt(ctx, &x.Principal, id, m)
	if err != nil {
		return err
	}
	x.Shows(&key)
	x.Body = append(appendKey(x.Body, &key, m.Time), '\n')
	return nil
}

// updateRequest is the body of PATCH /v1/keys/{id}: what is not there stays, null empties (RFC 7396).
type updateRequest struct {
	Name      change[string]         `json:"name"`
	Scopes    change[[]string]       `json:"scopes"`
	Metadata  change[jsontext.Value] `json:"metadata"`
	ExpiresAt change[*time.Time]     `json:"expires_at"`
}

func (r *updateRequest) command() (*ledger.Update, error) {
	update := &ledger.Update{Name: r.Name.pointer(), Scopes: r.Scopes.pointer()}
	if r.Metadata.set {
		m := metadata(r.Metadata.value)
		update.Metadata = &m
	}
	var err error
	update.ExpiresAt, err = expiry(&r.ExpiresAt)
	return update, err
}

// expiry is a changed expiry as the ledger takes it: nil for unchanged, the zero time for never.
func expiry(c *change[*time.Time]) (*time.Time, error) {
	if !c.set {
		return nil, nil
	}
	t, err := moment("expires_at", c.value)
	return &t, err
}

// updateKey is PATCH /v1/keys/{id}.
func (a *api) updateKey(x *Exchange) error {
	id, err := x.KeyID()
	if err != nil {
		return err
	}
	var in updateRequest
	if err := x.Decode(&in); err != nil {
		return err
	}
	update, err := in.command()
	if err != nil {
		return err
	}
	key, err := a.service.Update(x.Context(), x.Call(), id, update)
	if err != nil {
		return err
	}
	a.answerKey(x, &key)
	return nil
}

// rotateRequest is the body of POST /v1/keys/{id}/rotate.
type rotateRequest struct {
	GraceSeconds int64              `json:"grace_seconds"`
	ExpiresAt    change[*time.Time] `json:"expires_at"`
	Token        string             `json:"token"`
}

func (r *rotateRequest) command() (*ledger.Rotate, error) {
	// The ledger knows how long a grace may be; here only what a Duration cannot hold is refused.
	const most = int64(1<<63-1) / int64(time.Second)
	if r.GraceSeconds > most || r.GraceSeconds < -most {
		return nil, &ledger.Error{Code: ledger.CodeInvalid, Field: "grace_seconds", Detail: "it is out of range"}
	}
	expiresAt, err := expiry(&r.ExpiresAt)
	if err != nil {
		return nil, err
	}
	return &ledger.Rotate{
		Grace:     time.Duration(r.GraceSeconds) * time.Second,
		ExpiresAt: expiresAt,
		Token:     ledger.NewSecret(r.Token),
	}, nil
}

// rotateKey is POST /v1/keys/{id}/rotate.
func (a *api) rotateKey(x *Exchange) error {
	id, err := x.KeyID()
	if err != nil {
		return err
	}
	var in rotateRequest
	if err := x.DecodeOptional(&in); err != nil {
		return err
	}
	rotate, err := in.command()
	if err != nil {
		return err
	}
	issued, err := a.service.Rotate(x.Context(), x.Call(), id, rotate)
	if err != nil {
		return err
	}
	a.answerIssued(x, http.StatusOK, &issued)
	return nil
}

// revokeKey is POST /v1/keys/{id}/revoke.
func (a *api) revokeKey(x *Exchange) error {
	id, err := x.KeyID()
	if err != nil {
		return err
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if err := x.DecodeOptional(&in); err != nil {
		return err
	}
	key, err := a.service.Revoke(x.Context(), x.Call(), id, in.Reason)
	if err != nil {
		return err
	}
	a.answerKey(x, &key)
	return nil
}

// disableKey is POST /v1/keys/{id}/disable, enableKey its opposite.
func (a *api) disableKey(x *Exchange) error { return a.toggle(x, a.service.Disable) }
func (a *api) enableKey(x *Exchange) error  { return a.toggle(x, a.service.Enable) }

func (a *api) toggle(x *Exchange, command func(context.Context, *ledger.Call, uuid.UUID) (ledger.Key, error)) error {
	id, err := x.KeyID()
	if err != nil {
		return err
	}
	if err := x.DecodeOptional(&struct{}{}); err != nil {
		return err
	}
	key, err := command(x.Context(), x.Call(), id)
	if err != nil {
		return err
	}
	a.answerKey(x, &key)
	return nil
}

// keyUsage is GET /v1/keys/{id}/usage.
func (a *api) keyUsage(x *Exchange) error {
	id, err := x.KeyID()
	if err != nil {
		return err
	}
	use, err := a.service.LastUse(x.Context(), &x.Principal, id)
	if err != nil {
		return err
	}
	b := append(x.Body, `{"key_id":"`...)
	b = appendUUID(b, id)
	b = appendTimeMember(b, `","last_used_at":null`, use.LastAt)
	b = appendUintMember(b, `,"use_count":`, use.Count)
	b = appendStringMember(b, `,"ip":null`, use.IP)
	b = appendStringMember(b, `,"user_agent":null`, use.UserAgent)
	x.Body = append(b, '}', '\n')
	return nil
}

// answerKey answers with a key.
func (a *api) answerKey(x *Exchange, k *ledger.Key) {
	x.Shows(k)
	x.setETag(k)
	x.Body = append(appendKey(x.Body, k, a.now()), '\n')
}

// answerIssued answers with a key and its token.
func (a *api) answerIssued(x *Exchange, status int, issued *ledger.Issued) {
	x.Shows(&issued.Key)
	x.setETag(&issued.Key)
	x.Status = status
	b := appendKey(x.Body, &issued.Key, a.now())
	b = append(b[:len(b)-1], `,"token":`...) // within the object
	b = appendString(b, issued.Token.Reveal())
	x.Body = append(b, '}', '\n')
}
