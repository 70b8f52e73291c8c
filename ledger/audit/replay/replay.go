package replay

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// DefaultMemory is how many bytes of states are kept in memory when Options do not tell.
const DefaultMemory = 64 << 20

// ErrOrder is the error of events whose sequences do not ascend.
var ErrOrder = errors.New("the events are not in order")

// Options of a Replay.
type Options struct {
	Memory int    // bytes of states that are kept in memory, about; 0 is DefaultMemory
	Temp   string // folder in which the temporary one is made when that does not suffice; empty: that of the system

	// Name, unless it is nil, gives the name of a key that no event has told of, empty when it is not known. It is asked
	// for actors.
	Name func(key string) string
}

// Replay folds events, one after the other.
type Replay struct {
	options Options
	states  *states
	last    uint64 // sequence of the last event
	record  Record
	packed  []byte
	unknown uint64
}

// New gives a Replay that has seen no event. It must be closed.
func New(o Options) *Replay {
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	return &Replay{options: o, states: newStates(o.Temp, o.Memory)}
}

// Close removes what was kept.
func (r *Replay) Close() error { return r.states.close() }

// Unknown is how many events there were of keys and webhooks whose creation was not among the events: what was before them
// is not known, and told as absent.
func (r *Replay) Unknown() uint64 { return r.unknown }

// Next tells of the next event. The record is valid until the next call; it is nil for an event of a claim, which is
// bookkeeping. Sequences must ascend, else it is ErrOrder.
func (r *Replay) Next(e *events.Event) (*Record, error) {
	if e.Sequence <= r.last {
		return nil, fmt.Errorf("%w: event %d follows event %d", ErrOrder, e.Sequence, r.last)
	}
	r.last = e.Sequence
	rec := &r.record
	*rec = Record{Event: e, changes: rec.changes[:0]}
	var err error
	switch p := e.Payload.(type) {
	case *events.Claim, *events.Release:
		return nil, nil
	case *events.Agent:
		rec.agent = p
		rec.Subject, rec.Name = p.ID, p.Name
		rec.Owner = events.Owner{Workspace: p.Workspace, Org: p.Org, AgentID: p.ID}
	case *events.Webhook:
		err = r.webhook(rec, p.ID)
	case *events.WebhookUpdate:
		err = r.webhook(rec, p.ID)
	case *events.WebhookDelete:
		err = r.webhook(rec, p.ID)
	default:
		var id uuid.UUID
		if id, err = keyOf(p); err == nil {
			err = r.keyOrWorkspace(rec, id)
		}
	}
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// keyOf is the key that a payload is about.
func keyOf(p events.Payload) (uuid.UUID, error) {
	switch p := p.(type) {
	case *events.Created:
		return p.KeyID, nil
	case *events.Updated:
		return p.KeyID, nil
	case *events.Rotated:
		return p.KeyID, nil
	case *events.Disabled:
		return p.KeyID, nil
	case *events.Enabled:
		return p.KeyID, nil
	case *events.Revoked:
		return p.KeyID, nil
	case *events.Expiring:
		return p.KeyID, nil
	case *events.Expired:
		return p.KeyID, nil
	case *events.FirstUsed:
		return p.KeyID, nil
	case *events.Erasure:
		return p.KeyID, nil
	}
	return uuid.Nil, fmt.Errorf("replay: an event of %T cannot be told of", p)
}

// keyOrWorkspace tells of a key, or of what was erased of a workspace: that changes what other events read, and nothing here.
func (r *Replay) keyOrWorkspace(rec *Record, id uuid.UUID) error {
	if p, ok := rec.Event.Payload.(*events.Erasure); ok && id == uuid.Nil {
		rec.Subject, rec.Owner = p.Workspace, events.Owner{Workspace: p.Workspace}
		return nil
	}
	return r.key(rec, id)
}

func (r *Replay) key(rec *Record, id uuid.UUID) error {
	rec.isKey = true
	at := stateOf('k', id)
	packed, err := r.states.get(at)
	if err != nil {
		return err
	}
	rec.keys.before.ID = id
	if packed != "" {
		unpackKey(packed, &rec.keys.before)
	}
	rec.keys.after = ledger.Evolve(rec.keys.before, rec.Event)
	after := &rec.keys.after
	after.ID = id
	if after.CreatedAt.IsZero() {
		r.unknown++
	}
	rec.Subject, rec.Name, rec.Owner = id.String(), after.Name, after.Owner
	r.packed = packKey(r.packed[:0], after)
	return r.keep(at, packed)
}

func (r *Replay) webhook(rec *Record, id uuid.UUID) error {
	rec.isWebhook = true
	at := stateOf('w', id)
	packed, err := r.states.get(at)
	if err != nil {
		return err
	}
	rec.webhooks.before.ID = id
	if packed != "" {
		unpackWebhook(packed, &rec.webhooks.before)
	}
	rec.webhooks.after = ledger.EvolveWebhook(rec.webhooks.before, rec.Event)
	after := &rec.webhooks.after
	after.URL = target(after.URL)
	rec.deleted = after.ID == uuid.Nil
	told := after
	if rec.deleted {
		told = &rec.webhooks.before
	}
	if told.CreatedAt.IsZero() {
		r.unknown++
	}
	rec.Subject, rec.Name = id.String(), told.Name
	rec.Owner = told.Owner()
	r.packed = packWebhook(r.packed[:0], after)
	return r.keep(at, packed)
}

// target is what is told of a URL.
func target(url string) string {
	if url == "" {
		return ""
	}
	return events.Target(url)
}

// keep replaces a state by what was packed.
func (r *Replay) keep(id stateID, before string) error {
	if string(r.packed) == before {
		return nil // a notice
	}
	return r.states.set(id, string(r.packed))
}

// ActorName is the name of the key that acted, as of the event; for a key that no event has told of, what Options.Name
// gives. It is empty when it is not known.
func (r *Replay) ActorName(rec *Record) (string, error) {
	id, err := uuid.Parse(rec.Event.Actor)
	if err != nil {
		return "", nil //nolint:nilerr // "system", for one, is no key
	}
	packed, err := r.states.get(stateOf('k', id))
	switch {
	case err != nil:
		return "", err
	case packed != "":
		return packedName(packed), nil
	case r.options.Name != nil:
		return r.options.Name(rec.Event.Actor), nil
	}
	return "", nil
}

// Record is what an event did.
type Record struct {
	Event     *events.Event
	Subject   string       // id of the key, agent or webhook
	Name      string       // its name after the event
	Owner     events.Owner // whose it is
	ActorName string       // of the key that acted, empty when it is not known

	isKey, isWebhook, deleted bool
	keys                      struct{ before, after ledger.Key }
	webhooks                  struct{ before, after ledger.Webhook }
	agent                     *events.Agent
	changes                   changes
}

// Created tells that there was nothing before the event.
func (r *Record) Created() bool {
	switch r.Event.Payload.(type) {
	case *events.Created:
		return r.keys.before.CreatedAt.IsZero()
	case *events.Agent, *events.Webhook:
		return true
	}
	return false
}

// Changes are what the event changed, in the order in which they are told. They are valid as long as the record.
func (r *Record) Changes() []Change {
	if len(r.changes) > 0 {
		return r.changes
	}
	switch {
	case r.isKey:
		r.changes = keyChanges(r.changes, &r.keys.before, &r.keys.after)
	case r.deleted:
		r.changes.flag("deleted", "deleted", false, true)
	case r.isWebhook:
		r.changes = webhookChanges(r.changes, &r.webhooks.before, &r.webhooks.after)
	case r.agent != nil:
		r.changes = agentChanges(r.changes, r.agent)
	}
	return r.changes
}

// Before and After are what was there before and after the event, as far as there is something.
func (r *Record) Before() []Value { return r.values(&r.keys.before, &r.webhooks.before, nil) }

// After is what there is after the event.
func (r *Record) After() []Value { return r.values(&r.keys.after, &r.webhooks.after, r.agent) }

func (r *Record) values(k *ledger.Key, w *ledger.Webhook, a *events.Agent) []Value {
	var all changes
	switch {
	case r.isKey:
		all = keyChanges(nil, new(ledger.Key), k)
	case r.isWebhook:
		all = webhookChanges(nil, new(ledger.Webhook), w)
	case a != nil:
		all = agentChanges(nil, a)
	}
	values := make([]Value, len(all))
	for i, c := range all {
		values[i] = Value{c.Field, c.New}
	}
	return values
}

// Facts are what the event tells besides changes.
func (r *Record) Facts() []Value {
	switch p := r.Event.Payload.(type) {
	case *events.Expiring:
		return []Value{
			{Field{"expires_at", "expires", timeKind}, FormatTime(p.ExpiresAt)},
			{Field{"horizon_seconds", "announced before", numberKind}, fmt.Sprint(int64(p.Horizon / time.Second))},
		}
	case *events.Expired:
		return []Value{{Field{"expires_at", "expires", timeKind}, FormatTime(p.ExpiresAt)}}
	case *events.FirstUsed:
		return []Value{{Field{"used_at", "used", timeKind}, FormatTime(p.At)}}
	case *events.WebhookUpdate:
		if p.SecretVersion != 0 {
			return []Value{{Field{"secret_rotated", "new secret", flagKind}, flagText(true)}}
		}
	}
	return nil
}
