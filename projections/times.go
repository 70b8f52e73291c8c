package projections

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// timesEvery is how many events there are from one entry of the view of times to the next.
const timesEvery = 8

// times is the latest time that any event bears, which only grows.
type times struct {
	latest int64 // microseconds since 1970, with the events of the current batch
	stored int64 // what Pebble has of it
}

// timeView leads from times to places in the ledger: for every eighth event, the latest time that it or one before it bears
// leads to its sequence. Under the prefix alone is the latest time of all.
func (v *Views) timeView() view {
	t := &v.times
	return view{name: "times", version: 1, prefixes: string(timePrefix), apply: t.add, finish: t.finish}
}

func (t *times) add(b *pebble.Batch, c *change) error {
	t.latest = max(t.latest, c.event.Time.UnixMicro())
	if c.event.Sequence%timesEvery != 0 {
		return nil
	}
	return b.Set(timeKey(t.latest), binary.AppendUvarint(nil, c.event.Sequence), nil)
}

// finish ends a commit.
func (t *times) finish(b *pebble.Batch) error {
	if t.latest == t.stored {
		return nil
	}
	t.stored = t.latest
	return b.Set([]byte{timePrefix}, binary.AppendUvarint(nil, uint64(t.latest)), nil)
}

// timeKey is the key of an entry, in the order of times.
func timeKey(micros int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{timePrefix}, uint64(max(0, micros)))
}

// loadTimes reads the latest time.
func (v *Views) loadTimes() error {
	_, err := v.get([]byte{timePrefix}, func(value []byte) error {
		latest, n := binary.Uvarint(value)
		if n <= 0 {
			return errDamaged
		}
		v.times = times{latest: int64(latest), stored: int64(latest)}
		return nil
	})
	return err
}

// Before implements ledger.State. What it returns is a multiple of timesEvery.
func (v *Views) Before(ctx context.Context, at time.Time) (sequence uint64, err error) {
	it, err := v.iterate(ctx, []byte{timePrefix})
	if err != nil {
		return 0, err
	}
	defer closeIterator(it, &err)
	if !it.SeekLT(timeKey(at.UnixMicro()+1)) || len(it.Key()) == 1 {
		return 0, nil // the time is before the first entry
	}
	sequence, n := binary.Uvarint(it.Value())
	if n <= 0 {
		return 0, errDamaged
	}
	return sequence, nil
}
