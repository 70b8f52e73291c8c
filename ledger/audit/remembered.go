package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"
	"github.com/vmihailenco/msgpack/v5"

	"keyledger/ledger/audit/scratch"
)

// handle is what something is remembered by: its UUID, or half a SHA-256.
type handle [16]byte

// handleOf is the handle of what has a name of several parts.
func handleOf(parts ...string) handle {
	var all []byte
	for _, part := range parts {
		all = append(append(all, part...), 0)
	}
	sum := sha256.Sum256(all)
	return handle(sum[:len(handle{})])
}

// remembered is what is known of the things of one kind. At most files.most of them are in memory, the last ones that were
// put; when there are more, they go into files. So what a verification takes of memory has a bound, and no ledger is too
// large for it.
type remembered[V any] struct {
	kind   byte // tells its entries in files from others
	files  *files
	recent map[handle]V
}

func remember[V any](kind byte, in *files) remembered[V] {
	return remembered[V]{kind: kind, files: in, recent: make(map[handle]V)}
}

func (r *remembered[V]) get(h handle) (v V, ok bool) {
	if v, ok = r.recent[h]; ok || r.files.db == nil {
		return v, ok
	}
	packed, err := r.files.db.Look(r.key(h))
	if err == nil && packed != nil {
		ok, err = true, msgpack.Unmarshal(packed, &v)
	}
	r.files.fail(err)
	return v, ok && err == nil
}

func (r *remembered[V]) put(h handle, v V) {
	r.recent[h] = v
	if len(r.recent) > r.files.most {
		r.files.fail(r.spill())
	}
}

func (r *remembered[V]) delete(h handle) {
	delete(r.recent, h)
	if r.files.db != nil {
		r.files.fail(r.files.db.Delete(r.key(h), pebble.NoSync))
	}
}

// all gives everything, in no order. Others of other kinds may be put and deleted meanwhile.
func (r *remembered[V]) all() iter.Seq2[handle, V] {
	return func(yield func(handle, V) bool) {
		if r.files.db == nil {
			for h, v := range r.recent {
				if !yield(h, v) {
					return
				}
			}
			return
		}
		r.files.fail(r.scan(yield))
	}
}

// scan gives everything from files.
func (r *remembered[V]) scan(yield func(handle, V) bool) error {
	if err := r.spill(); err != nil {
		return err
	}
	i, err := r.files.db.NewIter(&pebble.IterOptions{LowerBound: []byte{r.kind}, UpperBound: []byte{r.kind + 1}})
	if err != nil {
		return err
	}
	for more := i.First(); more; more = i.Next() {
		var v V
		if err := msgpack.Unmarshal(i.Value(), &v); err != nil {
			return errors.Join(err, i.Close())
		}
		if !yield(handle(i.Key()[1:]), v) {
			break
		}
	}
	return errors.Join(i.Error(), i.Close())
}

// spill moves what is in memory into files.
func (r *remembered[V]) spill() error {
	if err := r.files.open(); err != nil {
		return err
	}
	var packed bytes.Buffer
	var broken error
	encoder := msgpack.NewEncoder(&packed)
	err := r.files.db.SetAll(func(yield func([]byte, []byte) bool) {
		for h, v := range r.recent {
			packed.Reset()
			if broken = encoder.Encode(v); broken != nil || !yield(r.key(h), packed.Bytes()) {
				return
			}
		}
	})
	clear(r.recent)
	return errors.Join(broken, err)
}

func (r *remembered[V]) key(h handle) []byte { return append([]byte{r.kind}, h[:]...) }

// files hold what is remembered and does not fit into memory. The first thing that goes wrong is kept: from then on nothing
// that they say counts.
type files struct {
	parent string         // of their folder; empty: that of the system for temporary files
	most   int            // how many of each kind are in memory
	db     *scratch.Store // nil: everything is in memory
	err    error
}

func (f *files) fail(err error) {
	if f.err == nil && err != nil {
		f.err = fmt.Errorf("audit: what the rules remember: %w", err)
	}
}

func (f *files) open() (err error) {
	if f.db == nil {
		f.db, err = scratch.Open(f.parent)
	}
	return err
}

// close removes the files.
func (f *files) close() error {
	if f.db == nil {
		return nil
	}
	return f.db.Close()
}
