package projections

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Flush writes what is committed to disk, as Run does from time to time.
func (v *Views) Flush() error { return v.db.Flush() }

// Settle moves everything to the lowest level of Pebble, where it is after a while.
func (v *Views) Settle(ctx context.Context) error {
	return errors.Join(v.db.Flush(), v.db.Compact(ctx, []byte{0}, []byte{0xff}, false))
}

// SetVersion stores that the entries of a view have another version.
func (v *Views) SetVersion(name string, version uint64) error {
	return v.db.Set([]byte(versionKey+name), binary.AppendUvarint(nil, version), pebble.NoSync)
}

// MaxExamined is how many entries one page looks at.
const MaxExamined = maxExamined

// Report reports progress as something does that began a while ago.
func (v *Views) Report(ago time.Duration) {
	p := v.progress("testing", 10)
	p.began = p.began.Add(-ago)
	p.at(5)
	p.end()
}
