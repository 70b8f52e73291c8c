package events

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// personal is the personal data of a body: its one field "p", a map, which is sealed. So it can be erased by destroying
// a key, without touching the history. The origin of the event belongs to it.
type personal struct {
	agentName   string
	metadata    json.RawMessage
	metadataSet bool // metadata is there even when empty
	name        string
	nameSet     bool // name is there even when empty
	reason      string
}

// personal writes the field "p", absent when there is nothing in it.
func (e *encoder) personal(p personal) {
	start, fields := len(e.out), e.fields
	e.field("p")
	value := len(e.out)
	if e.personalMap(&p) == 0 {
		e.out, e.fields = e.out[:start], fields
	} else if e.sealer != nil {
		e.seal(value, &p)
	}
}

// personalMap writes the map and gives the number of its fields.
func (e *encoder) personalMap(p *personal) int {
	return e.object(func() {
		e.text("agent", p.agentName)
		e.text("ip", e.origin.IP)
		if p.metadataSet || len(p.metadata) > 0 {
			e.metadata("meta", p.metadata)
		}
		if p.nameSet || p.name != "" {
			e.textOrEmpty("name", p.name)
		}
		e.text("reason", p.reason)
		e.text("ua", e.origin.UserAgent)
	})
}

// metadata writes a JSON object, or nothing, as a string.
func (e *encoder) metadata(name string, value json.RawMessage) {
	if len(value) > 0 && !isObject(value) {
		e.fail(name, "no JSON object on one line")
	}
	e.field(name)
	e.keep(e.msg.EncodeString(string(value)))
}

// personal reads the field "p": a map, or a binary when it is sealed.
func (d *decoder) personal() personal {
	if msgpcode.IsBin(d.peek()) {
		return d.sealedPersonal()
	}
	p := d.clearPersonal()
	if d.err == nil && d.opener != nil && d.opener.Erased(d.message) {
		return d.stand((&encoder{origin: d.origin}).presence(&p), ErasedText)
	}
	return p
}

// clearPersonal reads the map.
func (d *decoder) clearPersonal() (p personal) {
	left, field := d.left, d.field
	d.enter()
	for d.next() {
		switch d.field {
		case "agent":
			p.agentName = d.text()
		case "ip":
			d.origin.IP = d.text()
		case "meta":
			p.metadata, p.metadataSet = d.metadata(), true
		case "name":
			p.name, p.nameSet = d.text(), true
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
func (d *decoder) metadata() json.RawMessage {
	text := d.text()
	if text == "" {
		return nil
	}
	value := json.RawMessage(text)
	if !isObject(value) {
		d.fail("no JSON object on one line")
	}
	return value
}

// isObject tells that value is a JSON object on one line, as NDJSON and server-sent events need it.
func isObject(value json.RawMessage) bool {
	return value[0] == '{' && !bytes.ContainsAny(value, "\r\n") && jsontext.Value(value).IsValid()
}
