package events

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// Told opens what is sealed in an event by its exchange form, as somebody who has the key has told it. Nothing shows that
// the text says what was sealed: only the key does. A text that tells other parts than the event has opens nothing: ErrNoKey.
// Of an event from before there were keys, the text may say that its personal data was erased. Whether the text is that of the
// event, it does not ask.
func Told(text []byte) Opener { return told{text} }

type told struct{ text []byte }

// Open implements Opener.
func (t told) Open(_ *Message, s *Sealed) ([]byte, error) {
	p, origin, err := t.personal()
	if err != nil {
		return nil, ErrNoKey
	}
	p.nameSet = s.Present&(hasName|emptiesName) != 0
	p.metadataSet = s.Present&(hasMetadata|emptiesMetadata) != 0
	e := newEncoder(len(p.metadata) + 256)
	defer e.release()
	e.origin = origin
	if e.personalMap(&p); e.err != nil || e.presence(&p) != s.Present {
		return nil, ErrNoKey
	}
	return e.out, nil
}

// Erased implements Opener.
func (t told) Erased(*Message) bool {
	if !bytes.Contains(t.text, []byte(`"`+ErasedText+`"`)) {
		return false
	}
	p, origin, err := t.personal()
	present := (&encoder{origin: origin}).presence(&p)
	if err != nil || present == 0 {
		return false
	}
	want, wantOrigin := present.stand(ErasedText)
	return p.agentName == want.agentName && p.name == want.name && p.reason == want.reason &&
		bytes.Equal(p.metadata, want.metadata) && origin == wantOrigin
}

// personal is the personal data that the text tells. Its members have the same names in the data of all types.
func (t told) personal() (p personal, origin Origin, err error) {
	var x exchange
	err = plainMembers(t.text, func(name []byte, v jsontext.Value) error {
		if string(name) == `"data"` {
			return plainMembers(v, func(name []byte, v jsontext.Value) error { return x.personal(&p, name, v) })
		}
		return nil
	})
	return p, x.event.Origin, err
}

// personal takes a member of the data, of which name is quoted.
func (x *exchange) personal(p *personal, name []byte, v jsontext.Value) error {
	switch string(name) {
	case `"agent_name"`:
		p.agentName = x.text(v)
	case `"metadata"`:
		p.metadata = x.metadata(v)
	case `"name"`:
		p.name = x.text(v)
	case `"reason"`:
		p.reason = x.text(v)
	case `"origin"`:
		x.origin(v)
	}
	return x.err
}

// plainMembers calls do with every member of an object, until it fails: with the name as it stands there, in quotes. It is the
// quick way through objects that are held against others in whole.
func plainMembers(object jsontext.Value, do func(name []byte, v jsontext.Value) error) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return errors.New("it is no JSON object")
	}
	var name []byte
	for d.PeekKind() == '"' {
		quoted, err := d.ReadValue()
		if err != nil {
			return err
		}
		name = append(name[:0], quoted...) // the next read may move it
		v, err := d.ReadValue()
		if err == nil {
			err = do(name, v)
		}
		if err != nil {
			return err
		}
	}
	_, err := d.ReadToken() // the end of it
	return err
}
