package events

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// encoder writes the fields of a body. A field that is absent is left out. The first error stays.
type encoder struct {
	msg    *msgpack.Encoder
	out    []byte // what msg has written
	fields int    // of the map being written
	origin Origin
	err    error

	message *Message // whose body it is, for the sealer
	sealer  Sealer   // nil: personal data stays in the clear
	sealed  uint64   // generation of the key that it used
}

// encodeBody gives the body of an event, and the generation of the key that its personal data is sealed with.
func encodeBody(m *Message, p Payload, o Origin, s Sealer) (body []byte, sealed uint64, err error) {
	e := newEncoder(512)
	defer e.release()
	e.origin, e.message, e.sealer = o.clean(), m, s
	e.object(func() { p.encode(e) })
	return e.out, e.sealed, e.err
}

// newEncoder gives an encoder with room for size bytes.
func newEncoder(size int) *encoder {
	e := &encoder{msg: msgpack.GetEncoder(), out: make([]byte, 0, size)}
	e.msg.Reset(e)
	return e
}

// release gives back what is pooled. The encoder is not used any more.
func (e *encoder) release() { msgpack.PutEncoder(e.msg) }

// Write and WriteByte take what msg writes.

func (e *encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

func (e *encoder) WriteByte(b byte) error {
	e.out = append(e.out, b)
	return nil
}

// object writes a map of the fields that write writes and gives their number. It is known only then, so it is set
// afterwards, in a header of the 16-bit form.
func (e *encoder) object(write func()) (fields int) {
	outer := e.fields
	e.fields = 0
	e.keep(e.msg.EncodeMapLen(math.MaxUint16))
	start := len(e.out)
	write()
	fields, e.fields = e.fields, outer
	binary.BigEndian.PutUint16(e.out[start-2:], uint16(fields))
	return fields
}

// field begins a field of the current map.
func (e *encoder) field(name string) {
	e.fields++
	e.keep(e.msg.EncodeString(name))
}

// text writes a string, absent when empty.
func (e *encoder) text(name, value string) {
	if value != "" {
		e.textOrEmpty(name, value)
	}
}

// textChange writes a string, absent when nil.
func (e *encoder) textChange(name string, value *string) {
	if value != nil {
		e.textOrEmpty(name, *value)
	}
}

func (e *encoder) textOrEmpty(name, value string) {
	if !utf8.ValidString(value) {
		e.fail(name, "not UTF-8")
	}
	e.field(name)
	e.keep(e.msg.EncodeString(value))
}

// number writes an unsigned integer, absent when 0.
func (e *encoder) number(name string, value uint64) {
	if value != 0 {
		e.field(name)
		e.keep(e.msg.EncodeUint(value))
	}
}

// flag writes true, absent when false.
func (e *encoder) flag(name string, value bool) {
	if value {
		e.field(name)
		e.keep(e.msg.EncodeBool(true))
	}
}

// flagChange writes true or false, absent when nil.
func (e *encoder) flagChange(name string, value *bool) {
	if value != nil {
		e.field(name)
		e.keep(e.msg.EncodeBool(*value))
	}
}

// bytes writes a binary of a fixed length.
func (e *encoder) bytes(name string, value []byte) {
	e.field(name)
	e.keep(e.msg.EncodeBytes(value))
}

// time writes microseconds since 1970, absent when zero.
func (e *encoder) time(name string, value time.Time) {
	if !value.IsZero() {
		e.timeOrNever(name, value)
	}
}

// timeChange writes microseconds since 1970, absent when nil, 0 when zero.
func (e *encoder) timeChange(name string, value *time.Time) {
	if value != nil {
		e.timeOrNever(name, *value)
	}
}

// seconds writes a duration as whole seconds, absent when zero.
func (e *encoder) seconds(name string, value time.Duration) {
	if value == 0 {
		return
	}
	if value < 0 || value%time.Second != 0 {
		e.fail(name, "no number of whole seconds")
	}
	e.field(name)
	e.keep(e.msg.EncodeInt(int64(value / time.Second)))
}

func (e *encoder) timeOrNever(name string, value time.Time) {
	var micros int64
	if !value.IsZero() {
		micros = value.UnixMicro()
		if micros < 1 || micros > maxMicros {
			e.fail(name, "out of range")
		}
	}
	e.field(name)
	e.keep(e.msg.EncodeInt(micros))
}

func (e *encoder) fail(name, why string) {
	e.keep(fmt.Errorf("field %q is %s", name, why))
}

func (e *encoder) keep(err error) {
	if e.err == nil {
		e.err = err
	}
}
