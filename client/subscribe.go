package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"keyledger/events"
)

// Now is the place after the last event there is.
const Now = math.MaxUint64

// EventFilter selects what Client.Subscribe gives. Zero fields select all.
type EventFilter struct {
	WorkspaceID string
	OrgID       string
	AgentID     string
	Types       []string // "key.revoked", or "keyledger.key.revoked"
	UntilNow    bool     // end where the ledger ends now

	// Lost, unless it is nil, is told why a connection was lost that is then made again.
	Lost func(error)
}

// lost tells of a lost connection.
func (f *EventFilter) lost(err error) {
	if f.Lost != nil {
		f.Lost(err)
	}
}

// Subscribe iterates over the events that filter selects, from ledger sequence from on (0: from the first; Now: from
// now on): those that there are, and then each as it happens. They come over NATS with WithNATS, else over HTTP as
// Server-Sent Events. It takes the scope ledger:events:read. Over NATS personal data is sealed, and each such text reads
// "sealed": who needs names, metadata, reasons or origins reads over HTTP.
//
// It goes on by itself when the connection is lost, without a gap or a repetition, for as long as it takes. It ends with
// an error, which is the last that it gives: that of ctx; an *Error when the token may not read this, or not any more
// (CodeUnauthenticated, CodeForbidden); ErrLedger when the ledger is not the one it was; an *events.UnknownError over NATS
// when there is an event that this program is too old for. A loop that takes long for one event loses nothing.
func (c *Client) Subscribe(ctx context.Context, filter EventFilter, from uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		at := place{next: max(from, 1)}
		if from == Now {
			at.next = 0
		}
		give := func(e Event) error {
			if !yield(e, nil) {
				return errStop
			}
			return nil
		}
		var err error
		if c.nats != "" {
			err = c.subscribeNATS(ctx, &filter, &at, give)
		} else {
			err = c.subscribeSSE(ctx, &filter, &at, give)
		}
		if err != nil {
			yield(Event{}, err)
		}
	}
}

func (c *Client) subscribeNATS(ctx context.Context, filter *EventFilter, at *place, give func(Event) error) error {
	r := &natsReader{
		client: c, at: at,
		owner: Owner{WorkspaceID: filter.WorkspaceID, OrgID: filter.OrgID, AgentID: filter.AgentID},
		wants: filter.wants,
		event: func(e *events.Event) error {
			shown, err := newEvent(e)
			if err != nil {
				return final(err)
			}
			return give(shown)
		},
		level: func() error {
			if filter.UntilNow {
				return errStop
			}
			return nil
		},
	}
	return resume(ctx, at, r.session, filter.lost)
}

// typePrefix begins the types of events in the exchange form.
const typePrefix = "keyledger."

func (f *EventFilter) wants(t events.Type) bool {
	return len(f.Types) == 0 || slices.ContainsFunc(f.Types, func(name string) bool {
		return strings.TrimPrefix(name, typePrefix) == string(t)
	})
}

// newEvent is an event of the stream in its exchange form.
func newEvent(e *events.Event) (shown Event, err error) {
	text, err := events.AppendCloudEvent(nil, e, "")
	if err == nil {
		err = json.Unmarshal(text, &shown)
	}
	if err != nil {
		err = fmt.Errorf("client: event %d: %w", e.Sequence, err)
	}
	return shown, err
}

// Types of events.
const (
	TypeKeyCreated      = typePrefix + string(events.KeyCreated)
	TypeKeyUpdated      = typePrefix + string(events.KeyUpdated)
	TypeKeyRotated      = typePrefix + string(events.KeyRotated)
	TypeKeyDisabled     = typePrefix + string(events.KeyDisabled)
	TypeKeyEnabled      = typePrefix + string(events.KeyEnabled)
	TypeKeyExpiring     = typePrefix + string(events.KeyExpiring)
	TypeKeyExpired      = typePrefix + string(events.KeyExpired)
	TypeKeyFirstUsed    = typePrefix + string(events.KeyFirstUsed)
	TypeKeyRevoked      = typePrefix + string(events.KeyRevoked)
	TypeAgentRegistered = typePrefix + string(events.AgentRegistered)
)

// errNoKey is the error of Event.Key for an event of something else.
var errNoKey = errors.New("client: the event is not that of a key")

// KeyChange is what an event says of a key. nil: the event does not say.
type KeyChange struct {
	KeyID             string          `json:"key_id"`
	Name              *string         `json:"name"`
	Hint              *string         `json:"hint"`
	WorkspaceID       *string         `json:"workspace_id"`
	OrgID             *string         `json:"org_id"`
	AgentID           *string         `json:"agent_id"`
	AgentName         *string         `json:"agent_name"`
	PeerID            *string         `json:"peer_id"`
	SessionID         *string         `json:"session_id"`
	Scopes            *[]string       `json:"scopes"`
	Environment       *string         `json:"environment"`
	Type              *string         `json:"type"`
	Metadata          json.RawMessage `json:"metadata"`
	NotBefore         Moment          `json:"not_before"`
	ExpiresAt         Moment          `json:"expires_at"`
	PreviousExpiresAt Moment          `json:"previous_expires_at"` // of the token before a rotation
	Reason            *string         `json:"reason"`              // of a revocation
	HorizonSeconds    *int64          `json:"horizon_seconds"`     // how long before its expiry a key is announced to expire
	UsedAt            Moment          `json:"used_at"`             // of a first use
}

// Key is what the event says of a key.
func (e *Event) Key() (KeyChange, error) {
	var k KeyChange
	if err := json.Unmarshal(e.Data, &k); err != nil {
		return k, fmt.Errorf("client: event %d: %w", e.Sequence, err)
	}
	if k.KeyID == "" {
		return k, errNoKey
	}
	return k, nil
}
