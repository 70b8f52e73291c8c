package events

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ReadSubject is the subject of the READS stream.
const ReadSubject = "reads.batch"

// MaxReads is how many reads a batch has at most. It keeps every batch below 1 MiB, the default limit of a NATS message.
const MaxReads = 500

// Lengths of what is kept of a read, in bytes. What is longer is cut.
const (
	maxReadName = 128 // actor, request id and route, each
	maxAsked    = 1024
)

// readVersion is the version of the layout of a batch.
const readVersion = 1

// readLen is how many values are written for a read, minRead how many bytes they have at least.
const (
	readLen = 9
	minRead = 1 + 1 + 6 + 18 + 1
)

// Read is one request that read from the ledger.
type Read struct {
	Time      time.Time // UTC, microseconds
	Actor     string    // key id of the principal, or its name
	Origin              // of the request
	RequestID string
	Route     string    // method and template of the path
	Asked     string    // variables of the path and parameters of the query, as a query string
	KeyID     uuid.UUID // that was read; Nil: it was no single key
	Status    int       // HTTP status of the answer
}

// clean is the read as it is kept.
func (r *Read) clean() Read {
	c := *r
	c.Origin = r.Origin.clean()
	c.Actor, c.RequestID, c.Route = cut(r.Actor, maxReadName), cut(r.RequestID, maxReadName), cut(r.Route, maxReadName)
	c.Asked = cut(r.Asked, maxAsked)
	return c
}

// EncodeReads gives the message body of a batch of at most MaxReads reads.
func EncodeReads(reads []Read) ([]byte, error) {
	if len(reads) > MaxReads {
		return nil, fmt.Errorf("events: encode reads: %d reads, more than %d", len(reads), MaxReads)
	}
	e := newEncoder(8 + 256*len(reads))
	defer e.release()
	e.keep(e.msg.EncodeArrayLen(1 + len(reads)))
	e.keep(e.msg.EncodeInt(readVersion))
	for i := range reads {
		e.read(&reads[i])
	}
	if e.err != nil {
		return nil, fmt.Errorf("events: encode reads: %w", e.err)
	}
	return e.out, nil
}

func (e *encoder) read(in *Read) {
	r := in.clean()
	micros := r.Time.UnixMicro()
	if r.Actor == "" || r.Route == "" || !isStatus(uint64(r.Status)) || micros < 1 || micros > maxMicros {
		e.keep(fmt.Errorf("read of %s by %s: actor, route, status or time is out of range", r.Route, r.Actor))
	}
	e.keep(e.msg.EncodeArrayLen(readLen))
	e.keep(e.msg.EncodeInt(micros))
	for _, text := range [...]string{r.Actor, r.IP, r.UserAgent, r.RequestID, r.Route, r.Asked} {
		e.keep(e.msg.EncodeString(text))
	}
	e.keep(e.msg.EncodeBytes(r.KeyID[:]))
	e.keep(e.msg.EncodeUint(uint64(r.Status)))
}

func isStatus(n uint64) bool { return n >= 100 && n <= 999 }

// DecodeReads is its inverse. The strings of the reads share one copy of data: who keeps one clones it.
func DecodeReads(data []byte) ([]Read, error) {
	reads, err := decodeReads(data)
	if err != nil {
		return nil, fmt.Errorf("events: decode reads: %w", err)
	}
	return reads, nil
}

func decodeReads(data []byte) ([]Read, error) {
	d := newDecoder(data)
	defer d.release()
	n := d.arrayLen()
	if n < 1 || n > 1+MaxReads {
		d.fail(fmt.Sprintf("an array of %d", n))
	}
	if v := d.uint(); v != readVersion {
		d.fail(fmt.Sprintf("of version %d", v))
	}
	if d.err != nil {
		return nil, d.err
	}
	reads := make([]Read, 0, min(n-1, d.rest.Len()/minRead))
	for range n - 1 {
		r := d.read()
		if d.err != nil {
			return nil, d.err
		}
		reads = append(reads, r)
	}
	return reads, d.end()
}

func (d *decoder) read() (r Read) {
	n := d.arrayLen()
	if n < readLen {
		d.fail(fmt.Sprintf("with a read of %d values", n))
	}
	r.Time = d.time()
	for _, text := range [...]*string{&r.Actor, &r.IP, &r.UserAgent, &r.RequestID, &r.Route, &r.Asked} {
		*text = d.text()
	}
	r.KeyID = d.uuid()
	status := d.uint()
	for ; n > readLen && d.err == nil; n-- {
		d.skip()
	}
	if r.Time.IsZero() || r.Actor == "" || r.Route == "" || !isStatus(status) {
		d.fail("with a read out of range")
	}
	r.Status = int(status)
	return r
}
