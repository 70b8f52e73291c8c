package events

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// personal is the personal data of a body: its one field "p". It is apart from the rest so that it can be sealed, and
// erased by destroying a key, without touching the history. The origin of the event belongs to it.
type personal struct {
	agentName string
	metadata  *json.RawMessage // nil: absent; a nil message: emptied
	name      *string          // nil: absent
	reason    string
}

// personal writes the field "p", absent when there is nothing in it.
func (e *encoder) personal(p personal) {
	if p == (personal{}) && e.origin == (Origin{}) {
		return
	}
	e.field("p")
	e.object(func() {
		e.text("agent", p.agentName)
		e.text("ip", e.origin.IP)
		e.metadata("meta", p.metadata)
		e.textChange("name", p.name)
		e.text("reason", p.reason)
		e.text("ua", e.origin.UserAgent)
	})
}

// metadata writes a JSON object as a string, absent when nil, empty when the message is.
func (e *encoder) metadata(name string, value *json.RawMessage) {
	if value == nil {
		return
	}
	if len(*value) > 0 && !isObject(*value) {
		e.fail(name, "no JSON object")
	}
	e.field(name)
	e.keep(e.msg.EncodeString(string(*value)))
}

// personal reads the field "p".
func (d *decoder) personal() (p personal) {
	left, field := d.left, d.field
	d.enter()
	for d.next() {
		switch d.field {
		case "agent":
			p.agentName = d.text()
		case "ip":
			d.origin.IP = d.text()
		case "meta":
			p.metadata = d.metadata()
		case "name":
			p.name = new(d.text())
		case "reason":
			p.reason = d.text()
		case "ua":
			d.origin.UserAgent = d.text()
		default:
			d.skip()
		}
	}
	d.left, d.field = left, field
	return p
}

// metadata reads a JSON object, or nothing, from a string.
func (d *decoder) metadata() *json.RawMessage {
	value := json.RawMessage(d.text())
	if len(value) == 0 {
		return new(json.RawMessage)
	}
	if !isObject(value) {
		d.fail("no JSON object")
	}
	return &value
}

func isObject(value []byte) bool {
	return value[0] == '{' && jsontext.Value(value).IsValid()
}

// orNil is nil for what is absent when empty.

func textOrNil(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

func jsonOrNil(m *json.RawMessage) *json.RawMessage {
	if len(*m) == 0 {
		return nil
	}
	return m
}
