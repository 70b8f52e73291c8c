package events

import (
	"errors"
	"fmt"
	"time"
)

// Encode gives the message of an event, with its personal data sealed; without a Sealer it stays in the clear, as it was in
// the first versions. The event's Type, Version and Sealed are set. Times are cut to microseconds. It refuses an event that Decode would refuse: one with an incomplete header, without a required field,
// on a subject that is not that of what it is about, or with text that is not UTF-8.
func Encode(e *Event, s Sealer) (Message, error) {
	if e.Payload == nil {
		return Message{}, errors.New("events: encode: no payload")
	}
	e.Type, e.Version = e.Payload.Type(), sealedVersion
	if s == nil {
		e.Version = clearVersion
	}
	m := Message{Header: e.Header, Sequence: e.Sequence, Subject: e.Subject}
	m.Time = e.Time.UTC().Truncate(time.Microsecond)
	if err := m.Header.check(); err != nil {
		return Message{}, fmt.Errorf("events: encode %s: %w", e.Type, err)
	}
	if err := check(e.Payload, e.Subject); err != nil {
		return Message{}, fmt.Errorf("events: encode %s: %w", e.Type, err)
	}
	data, sealed, err := encodeBody(&m, e.Payload, e.Origin, s)
	if err != nil {
		return Message{}, fmt.Errorf("events: encode %s: %w", e.Type, err)
	}
	if len(data) > MaxBody {
		return Message{}, fmt.Errorf("events: encode %s: %w", e.Type, errTooLong)
	}
	m.Data, e.Sealed = data, sealed
	return m, nil
}

// Decode gives the event of a message. It refuses a type or a version newer than this program knows with an
// *UnknownError, and a body that is not exactly an encoded payload, or that is on another subject than its own, with a
// *DecodeError. The payload has the newest layout, whatever Version the message has. Nothing in the event aliases
// m.Data; its strings share one copy of it.
//
// Personal data is opened by o. Of what was erased, "erased" is in the place of each text; of what is sealed when o is
// nil, "sealed". When o cannot tell now, that is an error of another type.
func Decode(m *Message, o Opener) (Event, error) {
	return decode(m, o, newBody)
}

func decode(m *Message, o Opener, newBody func(layout) body) (Event, error) {
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
	origin, sealed, err := decodeBody(b, m, o)
	if err != nil {
		var open *openError
		if errors.As(err, &open) {
			return Event{}, fmt.Errorf("events: message %d: open its personal data: %w", m.Sequence, open.err)
		}
		return invalid(err)
	}
	p, err := upcast(b)
	if err != nil {
		return invalid(err)
	}
	if err := check(p, m.Subject); err != nil {
		return invalid(err)
	}
	return Event{Header: m.Header, Sequence: m.Sequence, Subject: m.Subject, Sealed: sealed, Origin: origin, Payload: p}, nil
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
