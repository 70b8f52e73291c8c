package audit

import (
	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// namedKey is a key that has its name to itself: owner, type and name.
type namedKey struct {
	ledger.Key
	hidden bool // the name cannot be read, so no hash can be held against it
}

func (k *namedKey) rename(name string) {
	k.Name, k.hidden = name, name == events.ErasedText || name == events.SealedText
}

// mayHold tells whether the claim with a hash can be that of its name.
func (k *namedKey) mayHold(hash string) bool { return k.hidden || k.NameClaim() == hash }

// erasure takes an erasure in. The claims of names stay taken when a workspace is erased: nobody knows any more of which.
func (r *rules) erasure(e *events.Event, p *events.Erasure) {
	if p.KeyID != uuid.Nil {
		r.ofKey(e)
		return
	}
	for id, k := range r.named {
		if k.Owner.Workspace == p.Workspace {
			r.orphans[id] = true
		}
	}
}

// nameHolders are the ids of those that hold the claim of a name.
func (r *rules) nameHolders() map[string]bool {
	holders := make(map[string]bool)
	for name, claim := range r.claims {
		if name.kind == claimOfName {
			holders[claim.holder] = true
		}
	}
	return holders
}
