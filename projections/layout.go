package projections

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
)

// Every Pebble key begins with a byte that tells whose it is. A byte is never used again for something else.
const (
	metaPrefix      = 'm' // positions, and versions of views
	keyPrefix       = 'k' // key id → packed key
	digestPrefix    = 'd' // digest → key id; with DiskIndex only
	allPrefix       = '*' // "", newest first → nothing
	workspacePrefix = 'w' // workspace, newest first → nothing
	orgPrefix       = 'o' // org, newest first → nothing
	agentKeyPrefix  = 'b' // agent id, newest first → nothing
	historyPrefix   = 'h' // key id, sequence → nothing
	claimPrefix     = 'c' // kind, hash → claim
	agentPrefix     = 'a' // owner, id → agent
	agentNamePrefix = 'n' // owner, hash of a name → agent id
	agentListPrefix = 'g' // list, owner, newest first → workspace, org, agent id
	rootPrefix      = 'r' // key id → nothing
	expiryPrefix    = 'e' // expiry, key id → when it was set and announced
	usePrefix       = 'u' // key id → last use
	webhookPrefix   = 'p' // webhook id → webhook
	tilePrefix      = 't' // level, number → hashes of a tile of the tree
	erasurePrefix   = 'x' // sequence → erasure
	leafRunPrefix   = 'l' // place in the last tile of leaves → number of the tile, hashes
	timePrefix      = 'i' // latest time so far → sequence
)

// Keys under metaPrefix.
const (
	positionKey      = "mposition" // → sequence of the last event in the views, number of keys
	compactedKey     = "merased"   // → sequence of the last erasure after which old values were removed from the files
	usagePositionKey = "musage"    // → sequence of the last batch in the view of uses
	versionKey       = "mversion." // and the name of a view → uvarint
)

// view is one part of the state: entries in Pebble that are derived from the events of the ledger, or from the uses.
type view struct {
	name     string
	version  uint64 // of its entries: a view that is stored with another one is built anew
	prefixes string // of its keys

	// apply adds to b what a change makes of the view. It cannot refuse a change; it fails when Pebble does. nil: the
	// view is not derived from events.
	apply func(b *pebble.Batch, c *change) error

	// finish, if it is not nil, adds to b what is left to add after the last change of a commit.
	finish func(b *pebble.Batch) error
}

// change is an event and what it makes of the key it is about.
type change struct {
	event         *events.Event
	leaf          tlog.Hash // of its message in the tree
	key           bool      // the event is about a key
	before, after ledger.Key
	scratch       []byte // for whoever applies the change
}

// created tells whether the change made the key.
func (c *change) created() bool { return c.key && c.before.Sequence == 0 }

// layout lists the views. Adding one is a file and a line here.
func (v *Views) layout() []view {
	if v.options.past {
		return []view{v.keyView(), v.allView(), v.workspaceView(), v.orgView(), v.agentKeyView(), v.webhookView()}
	}
	views := []view{
		v.keyView(),
		v.allView(),
		v.workspaceView(),
		v.orgView(),
		v.agentKeyView(),
		v.historyView(),
		v.rootView(),
		v.expiryView(),
		v.claimView(),
		v.agentView(),
		v.webhookView(),
		v.erasureView(),
		v.useView(),
		v.timeView(),
	}
	if !v.options.Treeless {
		views = append(views, v.treeView())
	}
	if v.table == nil {
		views = append(views, v.digestView())
	}
	return views
}

// migrate brings what is stored to the views of this program. If a view that is derived from events is missing or has
// another version, all of these are emptied, and Run replays the ledger from its beginning.
func (v *Views) migrate() error {
	stored, err := v.storedVersions()
	if err != nil {
		return v.openError(err)
	}
	b := v.db.NewBatch()
	defer b.Close()
	replay := false
	for _, w := range v.views {
		was, ok := stored[w.name]
		delete(stored, w.name)
		if was > w.version {
			return v.newerError(w.name, was)
		}
		if ok && was == w.version {
			continue
		}
		if w.apply != nil {
			replay = true
			continue
		}
		if err := reset(b, w, usagePositionKey); err != nil {
			return err
		}
	}
	for name, version := range stored {
		if name != digestViewName { // of an earlier run with DiskIndex
			return v.newerError(name, version)
		}
		if err := errors.Join(clearPrefix(b, digestPrefix), b.Delete([]byte(versionKey+name), nil)); err != nil {
			return err
		}
	}
	if replay {
		if err := b.Delete([]byte(compactedKey), nil); err != nil {
			return err
		}
		for _, w := range v.views {
			if w.apply == nil {
				continue
			}
			if err := reset(b, w, positionKey); err != nil {
				return err
			}
		}
	}
	return b.Commit(pebble.NoSync)
}

// reset empties a view, stores its version and forgets the position it was at.
func reset(b *pebble.Batch, w view, position string) error {
	for _, prefix := range []byte(w.prefixes) {
		if err := clearPrefix(b, prefix); err != nil {
			return err
		}
	}
	return errors.Join(
		b.Set([]byte(versionKey+w.name), binary.AppendUvarint(nil, w.version), nil),
		b.Delete([]byte(position), nil),
	)
}

func clearPrefix(b *pebble.Batch, prefix byte) error {
	return b.DeleteRange([]byte{prefix}, []byte{prefix + 1}, nil)
}

func (v *Views) storedVersions() (map[string]uint64, error) {
	stored := map[string]uint64{}
	err := v.scan(versionKey, func(key, value []byte) error {
		version, n := binary.Uvarint(value)
		if n <= 0 {
			return errDamaged
		}
		stored[string(key[len(versionKey):])] = version
		return nil
	})
	return stored, err
}

func (v *Views) newerError(name string, version uint64) error {
	return fmt.Errorf("projections: %s was written by a newer program: it has a view %q of version %d, which this one "+
		"does not know; use the newer program, or delete the folder to have the views built anew from the ledger",
		v.options.Dir, name, version)
}
