package events

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Bounds of what a body can hold. maxDepth is of containers within a field that is skipped.
const (
	maxMicros = 253402300799999999 // 9999-12-31T23:59:59.999999Z
	maxDepth  = 16
)

// decoder reads the fields of a body. Its strings are parts of one copy of the body. The first error stays, and after
// it everything read is zero.
type decoder struct {
	msg    *msgpack.Decoder
	body   string
	rest   strings.Reader // what msg has not read of body
	left   int            // fields of the current map that were not begun
	field  string         // the one being read
	origin Origin
	err    error

	message *Message // whose body it is, for the opener
	opener  Opener   // nil: what is sealed cannot be read
	sealed  uint64   // generation of the key that personal data is sealed with; 0: it is in the clear, or there is none
}

// decodeBody reads the body of an event into b.
func decodeBody(b body, m *Message, o Opener) (origin Origin, sealed uint64, err error) {
	d := newDecoder(m.Data)
	defer d.release()
	d.message, d.opener = m, o
	d.enter()
	b.decode(d)
	err = d.end()
	return d.origin, d.sealed, err
}

func newDecoder(data []byte) *decoder {
	d := &decoder{msg: msgpack.GetDecoder(), body: string(data)}
	d.rest.Reset(d.body)
	d.msg.Reset(&d.rest)
	return d
}

// release gives back what is pooled. The decoder is not used any more.
func (d *decoder) release() { msgpack.PutDecoder(d.msg) }

// end gives the first error, and is one when something is left.
func (d *decoder) end() error {
	if d.err == nil && d.rest.Len() > 0 {
		d.err = fmt.Errorf("%d bytes follow the body", d.rest.Len())
	}
	return d.err
}

// enter begins a map.
func (d *decoder) enter() {
	d.left, d.field = d.mapLen(), ""
}

// next goes to the next field of the current map and tells whether there is one. Names ascend, so none comes twice.
func (d *decoder) next() bool {
	if d.err != nil || d.left == 0 {
		return false
	}
	d.left--
	name := d.text()
	if d.err == nil && name <= d.field {
		d.keep(fmt.Errorf("field %q follows field %q", name, d.field))
	}
	d.field = name
	return d.err == nil
}

// text reads a string.
func (d *decoder) text() string {
	if c := d.peek(); !msgpcode.IsString(c) {
		d.fail("no string")
		return ""
	}
	s := d.take()
	if !utf8.ValidString(s) {
		d.fail("not UTF-8")
		return ""
	}
	return s
}

// bytes reads a binary of len(dst) bytes into dst.
func (d *decoder) bytes(dst []byte) {
	if c := d.peek(); !msgpcode.IsBin(c) {
		d.fail("no binary")
		return
	}
	s := d.take()
	if len(s) != len(dst) {
		d.fail(fmt.Sprintf("%d bytes long instead of %d", len(s), len(dst)))
		return
	}
	copy(dst, s)
}

// flag reads a boolean.
func (d *decoder) flag() bool {
	switch d.peek() {
	case msgpcode.True, msgpcode.False:
		value, err := d.msg.DecodeBool()
		d.keep(err)
		return value
	}
	d.fail("no boolean")
	return false
}

func (d *decoder) uuid() (id uuid.UUID) {
	d.bytes(id[:])
	return id
}

func (d *decoder) digest() (digest Digest) {
	d.bytes(digest[:])
	return digest
}

// uint reads an unsigned integer.
func (d *decoder) uint() uint64 {
	switch c := d.peek(); {
	case c <= msgpcode.PosFixedNumHigh, c >= msgpcode.Uint8 && c <= msgpcode.Uint64:
		n, err := d.msg.DecodeUint64()
		d.keep(err)
		return n
	}
	d.fail("no unsigned integer")
	return 0
}

// time reads microseconds since 1970; 0 is the zero time.
func (d *decoder) time() time.Time {
	switch n := d.uint(); {
	case n == 0:
		return time.Time{}
	case n > maxMicros:
		d.fail("out of range")
		return time.Time{}
	default:
		return time.UnixMicro(int64(n)).UTC()
	}
}

// seconds reads a duration in seconds.
func (d *decoder) seconds() time.Duration {
	n := d.uint()
	if n > uint64(math.MaxInt64/time.Second) {
		d.fail("out of range")
		return 0
	}
	return time.Duration(n) * time.Second
}

// skip passes over a value of any kind but an extension.
func (d *decoder) skip() { d.skipDeep(maxDepth) }

func (d *decoder) skipDeep(depth int) {
	values := 0
	switch c := d.peek(); {
	case depth == 0:
		d.fail("nested too deep")
	case msgpcode.IsString(c) || msgpcode.IsBin(c):
		d.take()
	case isMap(c):
		values = 2 * d.mapLen()
	case isArray(c):
		values = d.arrayLen()
	case msgpcode.IsExt(c):
		d.fail("an extension")
	default:
		d.keep(d.msg.Skip())
	}
	for ; values > 0 && d.err == nil; values-- {
		d.skipDeep(depth - 1)
	}
}

// peek gives the code of the next value.
func (d *decoder) peek() byte {
	if d.err != nil {
		return msgpcode.Nil
	}
	c, err := d.msg.PeekCode()
	d.keep(err)
	return c
}

// take reads a string or a binary without copying it.
func (d *decoder) take() string {
	n, err := d.msg.DecodeBytesLen()
	if err == nil && n > d.rest.Len() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		d.keep(err)
		return ""
	}
	start := len(d.body) - d.rest.Len()
	_, err = d.rest.Seek(int64(n), io.SeekCurrent)
	d.keep(err)
	return d.body[start : start+n]
}

func (d *decoder) mapLen() int {
	if !isMap(d.peek()) {
		d.fail("no map")
		return 0
	}
	n, err := d.msg.DecodeMapLen()
	d.keep(err)
	return n
}

func (d *decoder) arrayLen() int {
	if !isArray(d.peek()) {
		d.fail("no array")
		return 0
	}
	n, err := d.msg.DecodeArrayLen()
	d.keep(err)
	return n
}

func isMap(c byte) bool {
	return msgpcode.IsFixedMap(c) || c == msgpcode.Map16 || c == msgpcode.Map32
}

func isArray(c byte) bool {
	return msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32
}

func (d *decoder) fail(why string) {
	if d.field == "" {
		d.keep(fmt.Errorf("the body is %s", why))
		return
	}
	d.keep(fmt.Errorf("field %q is %s", d.field, why))
}

func (d *decoder) keep(err error) {
	if err == nil || d.err != nil {
		return
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	d.err = err
}
