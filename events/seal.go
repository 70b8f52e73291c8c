package events

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// What stands for personal data that cannot be read.
const (
	ErasedText = "erased" // its key was destroyed
	SealedText = "sealed" // whoever reads does not have the key
)

// Errors of an Opener, to be tested with errors.Is.
var (
	// ErrErased: the key was destroyed. The data is gone for good.
	ErrErased = errors.New("events: the personal data was erased")
	// ErrNoKey: whoever opens does not have the key, and never had: the ledger was copied without its keys.
	ErrNoKey = errors.New("events: the key of the personal data is not here")
	// ErrForged: it is not what was sealed. The ledger is damaged.
	ErrForged = errors.New("events: the personal data is not what was sealed")
)

// Sealed is the personal data of an event as it is stored.
type Sealed struct {
	Present    Presence
	Generation uint64 // of the key, from 1
	Box        []byte
}

// Presence tells, without telling any of it, which personal data an event has: so that it still reads as what it is
// when the data was erased.
type Presence byte

const (
	hasAgent Presence = 1 << iota
	hasIP
	hasMetadata
	emptiesMetadata // says that there is none any more
	hasName
	emptiesName
	hasReason
	hasUserAgent
)

// Sealer seals the personal data of events.
type Sealer interface {
	// Seal seals the personal data of an event, of which m has everything but the body. ErrErased: the keys of what the
	// event is about were destroyed, and it gets no others; its personal data is to be left out.
	Seal(m *Message, present Presence, plain []byte) (Sealed, error)
}

// Opener is its inverse.
type Opener interface {
	// Open opens what is sealed in m: ErrErased, ErrNoKey, ErrForged, or another error when it cannot be told now. What it returns
	// is not used after the next call.
	Open(m *Message, s *Sealed) ([]byte, error)

	// Erased tells whether what was stored in the clear, before there were keys, is to be read as erased.
	Erased(m *Message) bool
}

// openError is what an Opener failed with for the time being: it says nothing of the message.
type openError struct{ err error }

func (e *openError) Error() string { return e.err.Error() }
func (e *openError) Unwrap() error { return e.err }

// presence tells what is there.
func (e *encoder) presence(p *personal) (present Presence) {
	for _, part := range [...]struct {
		is  bool
		bit Presence
	}{
		{p.agentName != "", hasAgent},
		{e.origin.IP != "", hasIP},
		{len(p.metadata) > 0, hasMetadata},
		{len(p.metadata) == 0 && p.metadataSet, emptiesMetadata},
		{p.name != "", hasName},
		{p.name == "" && p.nameSet, emptiesName},
		{p.reason != "", hasReason},
		{e.origin.UserAgent != "", hasUserAgent},
	} {
		if part.is {
			present |= part.bit
		}
	}
	return present
}

// stand gives personal data of which only the presence is known: text for what was there.
func (present Presence) stand(text string) (p personal, o Origin) {
	put := func(bit Presence, into *string) {
		if present&bit != 0 {
			*into = text
		}
	}
	put(hasAgent, &p.agentName)
	put(hasName, &p.name)
	put(hasReason, &p.reason)
	put(hasIP, &o.IP)
	put(hasUserAgent, &o.UserAgent)
	if present&hasMetadata != 0 {
		p.metadata = json.RawMessage(`{"` + text + `":true}`)
	}
	p.metadataSet = present&(hasMetadata|emptiesMetadata) != 0
	p.nameSet = present&(hasName|emptiesName) != 0
	return p, o
}

// append appends the stored form: presence, generation (uvarint), box.
func (s *Sealed) append(dst []byte) []byte {
	return append(binary.AppendUvarint(append(dst, byte(s.Present)), s.Generation), s.Box...)
}

// parseSealed is its inverse.
func parseSealed(data []byte) (s Sealed, err error) {
	if len(data) < 2 {
		return s, errors.New("cut short")
	}
	generation, n := binary.Uvarint(data[1:])
	if n <= 0 || generation == 0 || n > 1 && data[n] == 0 {
		return s, errors.New("without the generation of its key")
	}
	return Sealed{Present: Presence(data[0]), Generation: generation, Box: data[1+n:]}, nil
}

// seal takes the map that was written from start on back, and writes it sealed.
func (e *encoder) seal(start int, p *personal) {
	plain := append([]byte(nil), e.out[start:]...)
	e.out = e.out[:start]
	if e.err != nil {
		return
	}
	s, err := e.sealer.Seal(e.message, e.presence(p), plain)
	if err != nil {
		e.keep(fmt.Errorf("seal the personal data: %w", err))
		return
	}
	e.sealed = s.Generation
	e.keep(e.msg.EncodeBytes(s.append(nil)))
}

// sealedPersonal reads personal data that is sealed.
func (d *decoder) sealedPersonal() personal {
	s, err := parseSealed([]byte(d.take()))
	if err != nil {
		d.fail(err.Error())
	}
	if d.err != nil {
		return personal{}
	}
	d.sealed = s.Generation
	if d.opener == nil {
		return d.stand(s.Present, SealedText)
	}
	plain, err := d.opener.Open(d.message, &s)
	switch {
	case errors.Is(err, ErrErased):
		return d.stand(s.Present, ErasedText)
	case errors.Is(err, ErrNoKey):
		return d.stand(s.Present, SealedText)
	case errors.Is(err, ErrForged):
		d.keep(err)
		return personal{}
	case err != nil:
		d.keep(&openError{err})
		return personal{}
	}
	return d.opened(plain, s.Present)
}

func (d *decoder) stand(present Presence, text string) (p personal) {
	p, d.origin = present.stand(text)
	return p
}

// opened reads personal data that was opened.
func (d *decoder) opened(plain []byte, present Presence) personal {
	inner := newDecoder(plain)
	defer inner.release()
	p := inner.clearPersonal()
	err := inner.end()
	d.origin = inner.origin
	if was := (&encoder{origin: d.origin}).presence(&p); err == nil && was != present {
		err = errors.New("another presence is told than there is")
	}
	if err != nil {
		d.keep(fmt.Errorf("field %q, opened: %w", d.field, err))
	}
	return p
}
