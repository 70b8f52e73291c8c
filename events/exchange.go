package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// ParseCloudEvent reads an event in the exchange form: what AppendCloudEvent writes, in any order, with any members
// besides. Nothing in the event aliases text. What the exchange form leaves out is zero: the Subject, digests, the generation of an
// erasure, the From of a webhook, and of its URL all but scheme and host; the SecretVersion of an update tells only whether there is one.
// A type that this program does not know is an *UnknownError.
func ParseCloudEvent(text []byte) (Event, error) {
	var x exchange
	if err := x.read(text); err != nil {
		return Event{}, fmt.Errorf("events: cloud event: %w", err)
	}
	p, err := x.payload()
	var unknown *UnknownError
	switch {
	case errors.As(err, &unknown):
		return Event{}, err
	case err != nil:
		return Event{}, fmt.Errorf("events: cloud event %d: %w", x.event.Sequence, err)
	}
	x.event.Version, x.event.Payload = sealedVersion, p
	return x.event, nil
}

// exchange is what was read of an event in the exchange form. The first error stays.
type exchange struct {
	event   Event
	subject string
	data    jsontext.Value
	err     error
}

// read takes the attributes.
func (x *exchange) read(text []byte) error {
	err := members(text, func(name string, v jsontext.Value) {
		switch name {
		case "id":
			x.event.ID = x.uuid(v)
		case "type":
			x.event.Type = Type(strings.TrimPrefix(x.text(v), cloudEventType))
		case "subject":
			x.subject = x.text(v)
		case "time":
			x.event.Time = x.time(v)
		case "sequence":
			x.event.Sequence = x.sequence(v)
		case "actor":
			x.event.Actor = x.text(v)
		case "requestid":
			x.event.RequestID = x.text(v)
		case "data":
			x.data = v.Clone()
		}
		if x.err != nil {
			x.err = fmt.Errorf("attribute %q: %w", name, x.err)
		}
	}, &x.err)
	switch e := &x.event; {
	case err != nil:
		return err
	case e.ID == uuid.Nil || e.Type == "" || e.Time.IsZero() || x.data == nil:
		return errors.New("it lacks one of id, type, time and data")
	}
	return nil
}

// payload reads the data.
func (x *exchange) payload() (Payload, error) {
	b := newBody(layout{x.event.Type, 1})
	if b == nil {
		return nil, &UnknownError{Sequence: x.event.Sequence, Type: x.event.Type, Version: 1}
	}
	p, err := upcast(b)
	if err != nil {
		return nil, err
	}
	err = members(x.data, func(name string, v jsontext.Value) {
		if name == "origin" {
			x.origin(v)
		} else {
			p.readJSON(x, name, v)
		}
		if x.err != nil {
			x.err = fmt.Errorf("data.%s: %w", name, x.err)
		}
	}, &x.err)
	if err == nil && p.id() != x.subject {
		err = fmt.Errorf("its data is of %q, not of its subject", p.id())
	}
	return p, err
}

func (x *exchange) origin(v jsontext.Value) {
	err := members(v, func(name string, v jsontext.Value) {
		switch name {
		case "ip":
			x.event.Origin.IP = x.text(v)
		case "user_agent":
			x.event.Origin.UserAgent = x.text(v)
		}
	}, &x.err)
	if x.err == nil {
		x.err = err
	}
}

// members calls do with every member of an object until *failed is set. The value is valid until do returns.
func members(object jsontext.Value, do func(name string, v jsontext.Value), failed *error) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(object))
	if t, err := d.ReadToken(); err != nil {
		return err
	} else if t.Kind() != '{' {
		return errors.New("it is no JSON object")
	}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := t.String()
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if do(name, v); *failed != nil {
			return *failed
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func (x *exchange) fail(want string) {
	if x.err == nil {
		x.err = errors.New("it is no " + want)
	}
}

// text is a string, empty for null.
func (x *exchange) text(v jsontext.Value) string {
	switch v.Kind() {
	case 'n':
		return ""
	case '"':
		if text, err := jsontext.AppendUnquote(nil, v); err == nil {
			return string(text)
		}
	}
	x.fail("text")
	return ""
}

func (x *exchange) uuid(v jsontext.Value) uuid.UUID {
	id, err := parseUUID(x.text(v))
	if err != nil {
		x.fail("UUID")
	}
	return id
}

func (x *exchange) sequence(v jsontext.Value) uint64 {
	n, err := strconv.ParseUint(x.text(v), 10, 64)
	if err != nil {
		x.fail("sequence")
	}
	return n
}

// time is a time, zero for null.
func (x *exchange) time(v jsontext.Value) time.Time {
	text := x.text(v)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		x.fail("time (RFC 3339)")
	}
	return t.UTC()
}

func (x *exchange) seconds(v jsontext.Value) time.Duration {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 || n > int64(math.MaxInt64/time.Second) {
		x.fail("number of seconds")
		return 0
	}
	return time.Duration(n) * time.Second
}

func (x *exchange) flag(v jsontext.Value) bool {
	if v.Kind() != 't' && v.Kind() != 'f' {
		x.fail("flag")
	}
	return v.Kind() == 't'
}

// scopes is an array of strings, space-delimited.
func (x *exchange) scopes(v jsontext.Value) string {
	var list []string
	d := jsontext.NewDecoder(bytes.NewBuffer(v))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		x.fail("array of strings")
		return ""
	}
	for d.PeekKind() == '"' {
		item, err := d.ReadValue()
		if err != nil {
			break
		}
		list = append(list, x.text(item))
	}
	if d.PeekKind() != ']' {
		x.fail("array of strings")
	}
	return strings.Join(list, " ")
}

// metadata is an object, nil for an empty one.
func (x *exchange) metadata(v jsontext.Value) json.RawMessage {
	switch {
	case v.Kind() != '{':
		x.fail("JSON object")
		return nil
	case string(v) == "{}":
		return nil
	}
	return json.RawMessage(v.Clone())
}
