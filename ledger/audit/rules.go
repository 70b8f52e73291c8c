package audit

import (
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"reflect"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// skew is how far the clocks of the nodes may be apart before it is worth a warning.
const skew = 5 * time.Minute

// rules hold a history, event by event, against what the ledger can have stored: each event must be one that the ledger
// decides on the key, webhook, agent or claim as it was before it. It remembers some 150 bytes of a key and 100 of a claim or an
// agent, in files when they are many, and nothing of the events.
type rules struct {
	partial bool // the history does not begin with the first event
	now     time.Time
	found   func(Finding)

	seed     maphash.Seed
	files    *files
	keys     remembered[keyState]
	digests  remembered[uint64]    // the sequence of the event that a digest came with, by its first half: two of 2^64 have the same
	named    remembered[namedKey]  // those that have their name to themselves
	orphans  remembered[bool]      // those whose name was erased with their workspace
	hooks    remembered[hookState] // webhooks
	agents   remembered[bool]      // by their subjects
	agentIDs remembered[bool]
	claims   remembered[claim] // that are held
	holders  remembered[int]   // how many claims of names they hold
	open     []claimName       // of the last events: they come before the event that they are stored with
	last     time.Time         // of the event before
}

type hookState struct {
	Subject uint64
	Hook    ledger.Webhook
	Deleted bool
}

// claimName is the kind of a claim and its hash.
type claimName struct{ kind, hash string }

func (c claimName) handle() handle { return handleOf(c.kind, c.hash) }

type claim struct {
	Kind, Hash string
	Holder     string
	Sequence   uint64
}

// Kinds of claims, see ledger.
const (
	claimOfName  = "name"
	claimOfAgent = "agent"
	claimOfRoot  = "root"
)

func newRules(partial bool, now time.Time, in *files, found func(Finding)) *rules {
	return &rules{
		partial:  partial,
		now:      now,
		found:    found,
		seed:     maphash.MakeSeed(),
		files:    in,
		keys:     remember[keyState]('k', in),
		digests:  remember[uint64]('d', in),
		named:    remember[namedKey]('n', in),
		orphans:  remember[bool]('o', in),
		hooks:    remember[hookState]('w', in),
		agents:   remember[bool]('a', in),
		agentIDs: remember[bool]('i', in),
		claims:   remember[claim]('c', in),
		holders:  remember[int]('h', in),
	}
}

// add holds the next event against those before it.
func (r *rules) add(e *events.Event) {
	r.checkTime(e)
	if e.Type != events.ClaimTaken && e.Type != events.ClaimReleased {
		r.open = r.open[:0]
	}
	switch p := e.Payload.(type) {
	case *events.Agent:
		r.agent(e, p)
	case *events.Webhook:
		r.webhook(e, p.ID)
	case *events.WebhookUpdate:
		r.webhook(e, p.ID)
	case *events.WebhookDelete:
		r.webhook(e, p.ID)
	case *events.Claim:
		r.take(e, p)
	case *events.Release:
		r.release(e, p)
	case *events.Erasure:
		r.erasure(e, p)
	default:
		r.ofKey(e)
	}
}

// ofKey holds an event of a key against what the key was.
func (r *rules) ofKey(e *events.Event) {
	s, err := events.ParseSubject(e.Subject)
	if err != nil || s.Key == uuid.Nil {
		r.wrong(e, "", "its subject %s is not that of a key", e.Subject)
		return
	}
	r.key(e, s.Key)
}

func (r *rules) wrong(e *events.Event, subject, format string, arguments ...any) {
	r.found(Finding{Severity: Error, Sequence: e.Sequence, Subject: subject, Text: fmt.Sprintf(format, arguments...)})
}

// checkTime warns of clocks that went wrong.
func (r *rules) checkTime(e *events.Event) {
	warn := func(format string, arguments ...any) {
		r.found(Finding{Severity: Warning, Sequence: e.Sequence, Text: fmt.Sprintf(format, arguments...)})
	}
	if back := r.last.Sub(e.Time); back > skew {
		warn("its time is %v before that of the event before it", back.Round(time.Second))
	}
	if ahead := e.Time.Sub(r.now); ahead > skew && !r.last.After(r.now.Add(skew)) {
		warn("its time is %v ahead of this clock", ahead.Round(time.Second))
	}
	r.last = e.Time
}

// subjectHash stands for a subject: what is equal by it is equal but for a chance of 2^-64.
func (r *rules) subjectHash(subject string) uint64 { return maphash.String(r.seed, subject) }

// key holds an event of a key against what the key was.
func (r *rules) key(e *events.Event, id uuid.UUID) {
	state, known := r.keys.get(handle(id))
	name := id.String()
	created, isCreation := e.Payload.(*events.Created)
	switch {
	case !known && !isCreation && !r.partial:
		r.wrong(e, name, "%s of a key that was not created before", e.Type)
		return
	case known && isCreation:
		r.wrong(e, name, "the key is created again")
		return
	case !known:
		state.Subject = r.subjectHash(e.Subject)
		if !isCreation {
			state.Created, state.Flags = toMicros(e.Time), unknown
		}
	case state.Subject != r.subjectHash(e.Subject):
		r.wrong(e, name, "the key has another owner than before: %s", e.Subject)
		return
	}
	k := state.key(id)
	if why := forbidden(&k, e, state.Flags&unknown != 0); why != "" {
		r.wrong(e, name, "%s", why)
	}
	if isCreation {
		k = ledger.Key{}
		r.digest(e, name, created.Digest)
	} else if p, ok := e.Payload.(*events.Rotated); ok {
		r.digest(e, name, p.Digest)
	}
	next := ledger.Evolve(k, e)
	state.remember(&next)
	r.keys.put(handle(id), state)
	r.name(e, id, &next, isCreation && created.UniqueName)
}

// digest holds that no two secrets that were ever in the ledger are the same.
func (r *rules) digest(e *events.Event, name string, d events.Digest) {
	half := handle(d[:16])
	if before, ok := r.digests.get(half); ok {
		r.wrong(e, name, "its digest is that of event %d", before)
		return
	}
	r.digests.put(half, e.Sequence)
}

// name keeps the names of keys that must have theirs to themselves.
func (r *rules) name(e *events.Event, id uuid.UUID, next *ledger.Key, begins bool) {
	if begins {
		k := namedKey{Owner: next.Owner, Type: next.Type}
		k.rename(next.Name)
		r.named.put(handle(id), k)
		return
	}
	k, ok := r.named.get(handle(id))
	if !ok {
		return
	}
	if p, ok := e.Payload.(*events.Updated); ok && p.Name != nil {
		k.rename(*p.Name)
		r.named.put(handle(id), k)
	}
	if !next.RevokedAt.IsZero() || !next.ErasedAt.IsZero() {
		r.named.delete(handle(id))
	}
}

// forbidden tells why the ledger would not have decided on e for a key, empty when it would. What the key was before the
// first event that was read is not known.
func forbidden(k *ledger.Key, e *events.Event, unknown bool) string {
	if _, ok := e.Payload.(*events.Erasure); ok {
		if ledger.DecideErase(k) == nil {
			return "owner.erased of a key that is erased"
		}
		return ""
	}
	if !k.RevokedAt.IsZero() {
		return fmt.Sprintf("%s of a key that is revoked", e.Type)
	}
	switch p := e.Payload.(type) {
	case *events.Updated:
		if _, err := ledger.DecideUpdate(k, &ledger.Update{ExpiresAt: p.ExpiresAt}, e.Time); err != nil {
			return err.Error()
		}
	case *events.Rotated:
		return forbiddenRotation(k, p, e.Time)
	}
	if unknown {
		return ""
	}
	switch p := e.Payload.(type) {
	case *events.Disabled:
		if out, err := ledger.DecideDisable(k); err != nil || out == nil {
			return "key.disabled of a key that is disabled"
		}
	case *events.Enabled:
		if out, err := ledger.DecideEnable(k); err != nil || out == nil {
			return "key.enabled of a key that is not disabled"
		}
	case *events.Expiring:
		if !reflect.DeepEqual(ledger.DecideExpiry(k, p.Horizon, e.Time), events.Payload(p)) {
			return "key.expiring of an expiry that is another one, is announced already, or is not near yet"
		}
	case *events.Expired:
		if !reflect.DeepEqual(ledger.DecideExpiry(k, 0, e.Time), events.Payload(p)) {
			return "key.expired of an expiry that is another one, is announced already, or has not come yet"
		}
	case *events.FirstUsed:
		if ledger.DecideFirstUse(k, p.At) == nil {
			return "key.first_used of a key of which one was announced before"
		}
	}
	return ""
}

// forbiddenRotation tells why a rotation cannot have been decided: the secret before it lives for a bounded time, and never
// longer than the key.
func forbiddenRotation(k *ledger.Key, p *events.Rotated, now time.Time) string {
	if _, err := ledger.DecideRotate(k, &ledger.Rotate{ExpiresAt: p.ExpiresAt}, ledger.Secret{}, now); err != nil {
		return err.Error()
	}
	expires := k.ExpiresAt
	if p.ExpiresAt != nil {
		expires = *p.ExpiresAt
	}
	switch {
	case p.PreviousExpiresAt.After(now.Add(ledger.MaxGrace)):
		return fmt.Sprintf("the secret before the rotation lives longer than %v", ledger.MaxGrace)
	case !expires.IsZero() && p.PreviousExpiresAt.After(expires):
		return "the secret before the rotation lives longer than the key"
	}
	return ""
}

// digestOf is the digest whose hash a claim of kind token has.
func digestOf(hash string) (d events.Digest, ok bool) {
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != len(d) {
		return d, false
	}
	return events.Digest(b), true
}
