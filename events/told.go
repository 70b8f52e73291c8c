package events

import (
	"bytes"
	"errors"
)

// Told opens what is sealed in an event by its exchange form, as somebody who has the key has told it. Nothing shows that
// the text says what was sealed: only the key does. A text of another event, or with other parts than the event has, opens
// nothing: ErrNoKey. Of an event from before there were keys, the text may say that its personal data was erased.
func Told(text []byte) Opener { return told{text} }

type told struct{ text []byte }

// Open implements Opener.
func (t told) Open(m *Message, s *Sealed) ([]byte, error) {
	plain, present, err := t.personal(m)
	if err != nil || present != s.Present {
		return nil, ErrNoKey
	}
	return plain, nil
}

// Erased implements Opener.
func (t told) Erased(m *Message) bool {
	if !bytes.Contains(t.text, []byte(`"`+ErasedText+`"`)) {
		return false
	}
	plain, present, err := t.personal(m)
	if err != nil {
		return false
	}
	p, origin := present.stand(ErasedText)
	e := newEncoder(len(plain))
	defer e.release()
	e.origin = origin
	e.personalMap(&p)
	return e.err == nil && bytes.Equal(e.out, plain)
}

// personal is the personal data that the text tells, as it is sealed.
func (t told) personal(m *Message) (plain []byte, present Presence, err error) {
	e, err := ParseCloudEvent(t.text)
	if err != nil {
		return nil, 0, err
	}
	if e.Sequence != m.Sequence || e.ID != m.ID || e.Type != m.Type {
		return nil, 0, errors.New("it is told of another event")
	}
	var c capture
	_, _, err = encodeBody(m, e.Payload, e.Origin, &c)
	return c.plain, c.present, err
}

// capture is a Sealer that takes what is to be sealed.
type capture struct {
	plain   []byte
	present Presence
}

func (c *capture) Seal(_ *Message, present Presence, plain []byte) (Sealed, error) {
	c.plain, c.present = plain, present
	return Sealed{Present: present, Generation: 1}, nil
}
