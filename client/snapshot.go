package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// A snapshot file is a line that names its form, a line of JSON, the records, and the SHA-256 of all that.
const (
	snapshotForm  = "keyledger verifier 1\n"
	snapshotEvery = time.Minute
	flagHasBefore = 1 << 31 // in a file: the previous token's digest and end follow
)

// snapshotHead is the line of JSON. Owners and scopes are numbered by their place.
type snapshotHead struct {
	Owner  Owner     `json:"owner"` // whose keys these are
	Last   uint64    `json:"last"`
	Event  uuid.UUID `json:"event"`
	Keys   int       `json:"keys"`
	Owners []Owner   `json:"owners"`
	Scopes []string  `json:"scopes"`
}

var errSnapshot = errors.New("client: the snapshot is damaged")

// saveAll saves now and then until ctx ends.
func (v *Verifier) saveAll(ctx context.Context) {
	tick := time.NewTicker(snapshotEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := v.save(); err != nil {
				v.tell(err)
			}
		}
	}
}

// save writes the snapshot, unless there is nothing new since the last one.
func (v *Verifier) save() error {
	data, at, err := v.snapshot()
	if err == nil && data != nil {
		err = writeWhole(v.options.SnapshotFile, data)
	}
	if err != nil {
		return fmt.Errorf("client: write the snapshot: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.saved = at
	return nil
}

// snapshot gives what is to be saved, nil when there is nothing new or nothing to be trusted. Events wait meanwhile: that
// takes a tenth of a second for a million keys.
func (v *Verifier) snapshot() (data []byte, at place, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failure == nil && !v.heard.IsZero() && v.at != v.saved {
		data, err = v.replica.Load().encode(*v.owner, v.at)
		return data, v.at, err
	}
	return nil, v.saved, nil
}

// writeWhole replaces a file as a whole or not at all.
func writeWhole(name string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// restore loads the snapshot, if there is one of this owner, and makes its place that of the reader. The first session
// then looks whether the ledger has the event that was the last one.
func (v *Verifier) restore(owner Owner, at *place) {
	v.mu.Lock()
	first := v.owner == nil
	v.owner = &owner
	v.mu.Unlock()
	if !first || v.options.SnapshotFile == "" {
		return
	}
	data, err := os.ReadFile(v.options.SnapshotFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var t *replica
	var saved place
	if err == nil {
		t, saved, err = decodeReplica(data, owner)
	}
	if err != nil {
		v.tell(fmt.Errorf("%w: it is not used", err))
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.replica.Store(t)
	v.at, v.saved, v.restored = saved, saved, true
	*at = saved
}

// forget gives up a replica that comes from a snapshot and is not that of this ledger.
func (v *Verifier) forget() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.restored {
		return false
	}
	v.replica.Store(newReplica(0))
	v.at, v.restored = place{next: 1}, false
	return true
}

// encode gives the snapshot of a replica at a place.
func (t *replica) encode(owner Owner, at place) ([]byte, error) {
	head := snapshotHead{Owner: owner, Last: at.last, Event: at.id, Keys: t.keys()}
	if t.owners.numbers != nil {
		head.Owners, head.Scopes = *t.owners.values.Load(), *t.scopes.values.Load()
	}
	line, err := json.Marshal(&head)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(snapshotForm)+len(line)+1+128*head.Keys+sha256.Size)
	b = append(append(append(b, snapshotForm...), line...), '\n')
	for r, previous := range t.all() {
		b = appendRecord(b, r, previous)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

func appendRecord(b []byte, r, previous *record) []byte {
	flags := r.flags
	if previous != nil {
		flags |= flagHasBefore
	}
	order := binary.LittleEndian
	b = append(append(b, r.id[:]...), r.digest[:]...)
	b = order.AppendUint32(b, flags)
	b = order.AppendUint32(b, r.owner)
	b = order.AppendUint32(b, r.scopes)
	b = order.AppendUint64(b, uint64(r.expires))
	b = order.AppendUint64(b, uint64(r.notBefore))
	if previous != nil {
		b = order.AppendUint64(append(b, previous.digest[:]...), uint64(previous.expires))
	}
	return b
}

// decodeReplica is the inverse of encode, for the same owner.
func decodeReplica(data []byte, owner Owner) (*replica, place, error) {
	body := data[:max(0, len(data)-sha256.Size)]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], data[len(body):]) {
		return nil, place{}, errSnapshot
	}
	rest, ok := bytes.CutPrefix(body, []byte(snapshotForm))
	line, rest, found := bytes.Cut(rest, []byte("\n"))
	var head snapshotHead
	if !ok || !found || json.Unmarshal(line, &head) != nil {
		return nil, place{}, errors.New("client: the snapshot is of another version")
	}
	if head.Owner != owner {
		return nil, place{}, errors.New("client: the snapshot is of another owner")
	}
	t := newReplica(max(0, min(head.Keys, len(rest)/minRecord)))
	for len(rest) > 0 {
		if rest, ok = t.load(rest, &head); !ok {
			return nil, place{}, errSnapshot
		}
	}
	if t.keys() != head.Keys {
		return nil, place{}, errSnapshot
	}
	return t, place{next: head.Last + 1, last: head.Last, id: head.Event}, nil
}

// Sizes of what appendRecord appends.
const (
	minRecord  = 16 + 32 + 3*4 + 2*8
	beforeSize = 32 + 8
)

// load takes a key from the records of a file.
func (t *replica) load(b []byte, head *snapshotHead) (rest []byte, ok bool) {
	if len(b) < minRecord {
		return nil, false
	}
	order := binary.LittleEndian
	flags, owner, scopes := order.Uint32(b[48:]), order.Uint32(b[52:]), order.Uint32(b[56:])
	if int(owner) >= len(head.Owners) || int(scopes) >= len(head.Scopes) {
		return nil, false
	}
	r := &record{
		id: uuid.UUID(b[:16]), flags: flags &^ flagHasBefore,
		owner: t.owners.number(head.Owners[owner]), scopes: t.scopes.number(head.Scopes[scopes]),
		expires: int64(order.Uint64(b[60:])), notBefore: int64(order.Uint64(b[68:])),
	}
	copy(r.digest[:], b[16:48])
	b = b[minRecord:]
	var previous *record
	if flags&flagHasBefore != 0 {
		if len(b) < beforeSize {
			return nil, false
		}
		previous = &record{id: r.id, flags: flagPrevious, expires: int64(order.Uint64(b[32:]))}
		copy(previous.digest[:], b[:32])
		b = b[beforeSize:]
	}
	t.put(r, previous)
	return b, true
}
