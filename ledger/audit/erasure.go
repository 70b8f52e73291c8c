package audit

import (
	"errors"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// namedKey is a key that has its name to itself.
type namedKey struct {
	Owner  ledger.Owner
	Type   string
	Name   string
	Hidden bool // the name cannot be read, so no hash can be held against it
}

func (k *namedKey) rename(name string) {
	k.Name, k.Hidden = name, name == events.ErasedText || name == events.SealedText
}

// claim is the hash of the claim of its name.
func (k *namedKey) claim() string {
	key := ledger.Key{Owner: k.Owner, Type: k.Type, Name: k.Name, UniqueName: true}
	return key.NameClaim()
}

// mayHold tells whether the claim with a hash can be that of its name.
func (k *namedKey) mayHold(hash string) bool { return k.Hidden || k.claim() == hash }

// erasure takes an erasure in. The claims of names stay taken when a workspace is erased: nobody knows any more of which.
func (r *rules) erasure(e *events.Event, p *events.Erasure) {
	if p.KeyID != uuid.Nil {
		r.ofKey(e)
		return
	}
	for id, k := range r.named.all() {
		if k.Owner.Workspace == p.Workspace {
			r.orphans.put(id, true)
		}
	}
}

// keyed opens with keys, and what they do not open as it is told.
type keyed struct{ keys, told events.Opener }

// Open implements events.Opener.
func (k keyed) Open(m *events.Message, s *events.Sealed) ([]byte, error) {
	plain, err := k.keys.Open(m, s)
	if errors.Is(err, events.ErrErased) || errors.Is(err, events.ErrNoKey) {
		return k.told.Open(m, s)
	}
	return plain, err
}

// Erased implements events.Opener.
func (k keyed) Erased(m *events.Message) bool { return k.told.Erased(m) }

// opener opens the personal data of the event: with keys, unless they are nil, else by what the line says of it.
func (r *Record) opener(keys events.Opener) events.Opener {
	switch {
	case r.Line == nil:
		return keys
	case keys == nil:
		return events.Told(r.Line)
	}
	return keyed{keys, events.Told(r.Line)}
}
