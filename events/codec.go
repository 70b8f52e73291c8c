package events

import (
	"errors"
	"fmt"
	"time"
)

// Encode gives the message of an event. The event's Type and Version are set from its payload. Times are cut to
// microseconds. It refuses an event that Decode would refuse: one with an incomplete header, without a required field,
// on a subject that is not that of what it is about, or with text that is not UTF-8.
func Encode(e *Event) (Message, error) {
	if e.Payload == nil {
		return Message{}, errors.New("events: encode: no payload")
	}
	e.Type, e.Version = e.Payload.Type(), e.Payload.version()
	m := Message{Header: e.Header, Sequence: e.Sequence, Subject: e.Subject}
	m.Time = e.Time.UTC().Truncate(time.Microsecond)
	if err := m.Header.check(); err != nil {
		return Message{}, fmt.Errorf("events: encode %s: %w", e.Type, err)
	}
	if err := check(e.Payload, e.Subject); err != nil {
		return Message{}, fmt.Errorf("events: encode %s: %w", e.Type, err)
	}
	data, err := encodeBody(e.Payload, e.Origin)
	if err != nil {
		return Message{}, fmt.Errorf("events: encode %s: %w", e.Type, err)
	}
	if len(data) > MaxBody {
		return Message{}, fmt.Errorf("events: encode %s: %w", e.Type, errTooLong)
	}
	m.Data = data
	return m, nil
}

// Decode gives the event of a message. It refuses a type or a version newer than this program knows with an
// *UnknownError, and a body that is not exactly an encoded payload, or that is on another subject than its own, with a
// *DecodeError. The payload has the newest layout, whatever Version the message has. Nothing in the event aliases
// m.Data; its strings share one copy of it.
func Decode(m *Message) (Event, error) {
	return decode(m, newBody)
}

func decode(m *Message, newBody func(layout) body) (Event, error) {
	b := newBody(layout{m.Type, m.Version})
	if b == nil && m.Version > 0 {
		return Event{}, &UnknownError{Sequence: m.Sequence, Type: m.Type, Version: m.Version}
	}
	invalid := func(err error) (Event, error) {
		return Event{}, &DecodeError{Sequence: m.Sequence, Type: m.Type, Err: err}
	}
	if b == nil {
		return invalid(fmt.Errorf("version %d", m.Version))
	}
	origin, err := decodeBody(b, m.Data)
	if err != nil {
		return invalid(err)
	}
	p, err := upcast(b)
	if err != nil {
		return invalid(err)
	}
	if err := check(p, m.Subject); err != nil {
		return invalid(err)
	}
	return Event{Header: m.Header, Sequence: m.Sequence, Subject: m.Subject, Origin: origin, Payload: p}, nil
}

var errTooLong = fmt.Errorf("the body has more than %d bytes", MaxBody)

// upcast brings a body to the layout that is written today.
func upcast(b body) (Payload, error) {
	for {
		switch v := b.(type) {
		case Payload:
			return v, nil
		case superseded:
			b = v.upcast()
		default:
			return nil, fmt.Errorf("a %T leads to no payload", b)
		}
	}
}

// check holds p against what every stored event keeps: its required fields, and the subject it is on.
func check(p Payload, subject string) error {
	if field := p.missing(); field != "" {
		return fmt.Errorf("field %q is missing", field)
	}
	s, err := ParseSubject(subject)
	if err != nil {
		return err
	}
	if !p.fits(s) {
		return fmt.Errorf("subject %q is not that of %s", subject, p.id())
	}
	return nil
}
