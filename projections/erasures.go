package projections

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// erasures are all erasures, in memory: there are few. They are read by any goroutine and changed by who changes Pebble.
type erasures struct {
	mu         sync.RWMutex
	all        []ledger.Erasure          // in order
	workspaces map[string]ledger.Erasure // by subject: the last one of each
	any        atomic.Bool
	compact    chan struct{} // has one when old values are to be removed from the files
}

func (x *erasures) add(e ledger.Erasure) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, e)
	if !e.Key {
		if x.workspaces == nil {
			x.workspaces = map[string]ledger.Erasure{}
		}
		x.workspaces[e.Subject] = e
	}
	x.any.Store(true)
}

// of is the last erasure of a workspace, zero when there was none.
func (x *erasures) of(workspace string) (e ledger.Erasure) {
	if workspace == "" || !x.any.Load() {
		return e
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.workspaces[events.WorkspaceSubject(workspace)]
}

// after are up to limit erasures after a sequence.
func (x *erasures) after(sequence uint64, limit int) []ledger.Erasure {
	x.mu.RLock()
	defer x.mu.RUnlock()
	from := sort.Search(len(x.all), func(i int) bool { return x.all[i].Sequence > sequence })
	return slices.Clone(x.all[from:min(len(x.all), from+limit)])
}

// erasureView holds every erasure by its sequence.
func (v *Views) erasureView() view {
	return view{name: "erasures", version: 1, prefixes: string(erasurePrefix), apply: v.applyErasure}
}

func (v *Views) applyErasure(b *pebble.Batch, c *change) error {
	if c.created() { // its uses may have been there before
		if x := v.erasures.of(c.after.Owner.Workspace); x.Sequence != 0 {
			return v.eraseUse(b, c.after.ID, x.Covers)
		}
		return nil
	}
	x, ok := ledger.NewErasure(c.event)
	if !ok {
		return nil
	}
	v.erasures.add(x)
	v.learn(&x)
	if x.Key && c.key {
		if err := v.eraseUse(b, c.after.ID, func(*ledger.LastUse) bool { return true }); err != nil {
			return err
		}
	}
	return b.Set(binary.BigEndian.AppendUint64([]byte{erasurePrefix}, x.Sequence), packErasure(&x), nil)
}

// learn tells who opens personal data, and who removes it from the files, of an erasure.
func (v *Views) learn(x *ledger.Erasure) {
	if v.options.Personal != nil {
		v.options.Personal.Learn(x)
	}
	select {
	case v.erasures.compact <- struct{}{}:
	default:
	}
}

func packErasure(x *ledger.Erasure) []byte {
	b := append([]byte{0}, x.Event[:]...)
	if x.Key {
		b[0] = 1
	}
	b = binary.AppendUvarint(b, x.Generation)
	b = binary.AppendUvarint(b, uint64(x.At.UnixMicro()))
	return appendTexts(b, x.Subject, x.Workspace)
}

func unpackErasure(key, value []byte) (x ledger.Erasure, err error) {
	if len(key) != 9 {
		return x, errDamaged
	}
	r := unpacker{src: value}
	kind := r.take(1)
	x.Sequence = binary.BigEndian.Uint64(key[1:])
	copy(x.Event[:], r.take(16))
	x.Generation = r.uvarint()
	x.At = time.UnixMicro(int64(r.uvarint())).UTC()
	x.Subject, x.Workspace = string(r.take(r.uvarint())), string(r.take(r.uvarint()))
	if r.bad {
		return x, errDamaged
	}
	x.Key = kind[0] == 1
	return x, nil
}

// loadErasures reads the erasures.
func (v *Views) loadErasures() error {
	return v.scan(string(erasurePrefix), func(key, value []byte) error {
		x, err := unpackErasure(key, value)
		if err != nil {
			return err
		}
		v.erasures.add(x)
		v.learn(&x)
		return nil
	})
}

// Erasure returns the last erasure on the subject of a workspace, zero when there was none.
func (v *Views) Erasure(_ context.Context, subject string) (ledger.Erasure, error) {
	v.erasures.mu.RLock()
	defer v.erasures.mu.RUnlock()
	return v.erasures.workspaces[subject], nil
}

// Erasures returns up to limit erasures after a sequence, in order.
func (v *Views) Erasures(_ context.Context, after uint64, limit int) ([]ledger.Erasure, error) {
	return v.erasures.after(after, limit), nil
}

// lost tells whether the personal data of an event of a workspace is lost: see ledger.Erasure.
func (v *Views) lost(workspace string, e *events.Event) bool {
	x := v.erasures.of(workspace)
	return x.Lost(e)
}

// opener opens personal data, nil when it stays sealed.
func (v *Views) opener() events.Opener {
	if v.options.Personal == nil {
		return nil
	}
	return v.options.Personal
}

// decode decodes a message. While the keys of personal data cannot be had, it waits.
func (v *Views) decode(ctx context.Context, m *events.Message) (events.Event, error) {
	for {
		e, err := events.Decode(m, v.opener())
		if !errors.Is(err, ledger.ErrUnavailable) {
			return e, err
		}
		v.options.Logger.Warn("the keys of personal data cannot be had: waiting", "error", err)
		select {
		case <-ctx.Done():
			return e, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// scrubUse takes where a key was used from out of its last use, when it is erased.
func (v *Views) scrubUse(id uuid.UUID, u *ledger.LastUse) error {
	if !v.erasures.any.Load() {
		return nil
	}
	var k ledger.Key
	if err := v.current(id, &k); err != nil {
		return err
	}
	if x := v.erasures.of(k.Owner.Workspace); !k.ErasedAt.IsZero() || x.Covers(u) {
		u.Scrub()
	}
	return nil
}

// eraseUse takes it out of the one that is stored, if covers says so.
func (v *Views) eraseUse(b *pebble.Batch, id uuid.UUID, covers func(*ledger.LastUse) bool) error {
	u, err := v.use(id)
	if err != nil || u.Count == 0 || u.IP == "" && u.UserAgent == "" || !covers(&u) {
		return err
	}
	u.Scrub()
	return b.Set(useKey(id), packUse(nil, &u), nil)
}
