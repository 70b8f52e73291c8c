package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// cloudEventType begins the type of every event in the exchange form.
const cloudEventType = "keyledger."

// AppendCloudEvent appends e in the exchange form, a CloudEvents 1.0 JSON object (CloudEvents JSON format, section 2),
// and returns the extended buffer. source is a URI reference that names the ledger. The package comment tells what the
// members are.
func AppendCloudEvent(dst []byte, e *Event, source string) ([]byte, error) {
	if e.Payload == nil {
		return dst, errors.New("events: cloud event: no payload")
	}
	o := jsonObject{dst: append(dst, '{')}
	o.text("specversion", "1.0")
	o.text("id", e.ID.String())
	o.text("source", source)
	o.text("type", cloudEventType+string(e.Payload.Type()))
	o.text("subject", e.Payload.id())
	o.timeOrNull("time", e.Time)
	o.text("sequence", strconv.FormatUint(e.Sequence, 10))
	if e.Actor != "" {
		o.text("actor", e.Actor)
	}
	if e.RequestID != "" {
		o.text("requestid", e.RequestID)
	}
	o.text("datacontenttype", "application/json")
	o.object("data", func() {
		e.Payload.appendJSON(&o)
		o.object("origin", func() {
			o.textOrNull("ip", e.Origin.IP)
			o.textOrNull("user_agent", e.Origin.UserAgent)
		})
	})
	if o.err != nil {
		return dst, fmt.Errorf("events: cloud event of message %d: %w", e.Sequence, o.err)
	}
	return append(o.dst, '}'), nil
}

// jsonObject appends the members of a JSON object. The first error stays.
type jsonObject struct {
	dst []byte
	err error
}

func (o *jsonObject) name(name string) {
	if o.dst[len(o.dst)-1] != '{' {
		o.dst = append(o.dst, ',')
	}
	o.dst = append(append(append(o.dst, '"'), name...), `":`...)
}

func (o *jsonObject) quote(value string) {
	var err error
	if o.dst, err = jsontext.AppendQuote(o.dst, value); err != nil && o.err == nil {
		o.err = err
	}
}

func (o *jsonObject) text(name, value string) {
	o.name(name)
	o.quote(value)
}

func (o *jsonObject) null(name string) {
	o.name(name)
	o.dst = append(o.dst, "null"...)
}

func (o *jsonObject) textOrNull(name, value string) {
	if value == "" {
		o.null(name)
		return
	}
	o.text(name, value)
}

// flag appends true; false is left out.
func (o *jsonObject) flag(name string, value bool) {
	if value {
		o.name(name)
		o.dst = append(o.dst, "true"...)
	}
}

func (o *jsonObject) timeOrNull(name string, value time.Time) {
	if value.IsZero() {
		o.null(name)
		return
	}
	o.name(name)
	o.dst = append(o.dst, '"')
	o.dst = append(value.UTC().AppendFormat(o.dst, timeFormat), '"')
}

// seconds appends a duration as a number of seconds.
func (o *jsonObject) seconds(name string, value time.Duration) {
	o.name(name)
	o.dst = strconv.AppendInt(o.dst, int64(value/time.Second), 10)
}

// scopes appends space-delimited scopes as an array.
func (o *jsonObject) scopes(name, value string) {
	o.name(name)
	o.dst = append(o.dst, '[')
	for scope := range strings.FieldsSeq(value) {
		if o.dst[len(o.dst)-1] != '[' {
			o.dst = append(o.dst, ',')
		}
		o.quote(scope)
	}
	o.dst = append(o.dst, ']')
}

// metadata appends a JSON object, an empty one for nil.
func (o *jsonObject) metadata(name string, value json.RawMessage) {
	if len(value) == 0 {
		value = json.RawMessage("{}")
	}
	if !isObject(value) && o.err == nil {
		o.err = fmt.Errorf("%s is no JSON object", name)
	}
	o.name(name)
	o.dst = append(o.dst, value...)
}

func (o *jsonObject) object(name string, members func()) {
	o.name(name)
	o.dst = append(o.dst, '{')
	members()
	o.dst = append(o.dst, '}')
}
