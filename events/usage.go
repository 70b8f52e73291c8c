package events

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// UsageSubject is the subject of the USAGE stream.
const UsageSubject = "usage.batch"

// MaxUses is how many uses a batch has at most. It keeps every batch below 1 MiB, the default limit of a NATS message.
const MaxUses = 2048

// usageVersion is the version of the layout of a batch.
const usageVersion = 1

// useLen is how many values are written for a use, minUse how many bytes they have at least.
const (
	useLen = 5
	minUse = 1 + 18 + 1 + 1 + 1 + 1
)

// Use is what was seen of one key since the last flush.
type Use struct {
	KeyID uuid.UUID
	Last  time.Time // UTC, microseconds
	Count uint64
	Origin
}

// EncodeUsage gives the message body of a batch of at most MaxUses uses (of distinct keys).
func EncodeUsage(uses []Use) ([]byte, error) {
	if len(uses) > MaxUses {
		return nil, fmt.Errorf("events: encode usage: %d uses, more than %d", len(uses), MaxUses)
	}
	e := newEncoder(8 + 96*len(uses))
	defer e.release()
	e.keep(e.msg.EncodeArrayLen(1 + len(uses)))
	e.keep(e.msg.EncodeInt(usageVersion))
	for i := range uses {
		e.use(&uses[i])
	}
	if e.err != nil {
		return nil, fmt.Errorf("events: encode usage: %w", e.err)
	}
	return e.out, nil
}

func (e *encoder) use(u *Use) {
	micros := u.Last.UnixMicro()
	if u.KeyID == uuid.Nil || u.Count == 0 || micros < 1 || micros > maxMicros {
		e.keep(fmt.Errorf("use of key %s: id, count or time is out of range", u.KeyID))
	}
	o := u.Origin.clean()
	e.keep(e.msg.EncodeArrayLen(useLen))
	e.keep(e.msg.EncodeBytes(u.KeyID[:]))
	e.keep(e.msg.EncodeInt(micros))
	e.keep(e.msg.EncodeUint(u.Count))
	e.keep(e.msg.EncodeString(o.IP))
	e.keep(e.msg.EncodeString(o.UserAgent))
}

// DecodeUsage is its inverse; it calls each for every use. It calls it for none when data is not a batch. The strings of
// the uses share one copy of data: who keeps one clones it.
func DecodeUsage(data []byte, each func(Use)) error {
	uses, err := decodeUsage(data)
	if err != nil {
		return fmt.Errorf("events: decode usage: %w", err)
	}
	for _, u := range uses {
		each(u)
	}
	return nil
}

func decodeUsage(data []byte) ([]Use, error) {
	d := newDecoder(data)
	defer d.release()
	n := d.arrayLen()
	if n < 1 || n > 1+MaxUses {
		d.fail(fmt.Sprintf("an array of %d", n))
	}
	if v := d.uint(); v != usageVersion {
		d.fail(fmt.Sprintf("of version %d", v))
	}
	if d.err != nil {
		return nil, d.err
	}
	uses := make([]Use, 0, min(n-1, d.rest.Len()/minUse))
	for range n - 1 {
		u := d.use()
		if d.err != nil {
			return nil, d.err
		}
		uses = append(uses, u)
	}
	return uses, d.end()
}

func (d *decoder) use() (u Use) {
	n := d.arrayLen()
	if n < useLen {
		d.fail(fmt.Sprintf("with a use of %d values", n))
	}
	u.KeyID = d.uuid()
	u.Last = d.time()
	u.Count = d.uint()
	u.IP = d.text()
	u.UserAgent = d.text()
	for ; n > useLen && d.err == nil; n-- {
		d.skip()
	}
	if u.KeyID == uuid.Nil || u.Count == 0 || u.Last.IsZero() {
		d.fail("with a use out of range")
	}
	return u
}
