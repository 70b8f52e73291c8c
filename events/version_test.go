package events

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"
)

// In these tests, and nowhere else, key.revoked had two layouts before today's: the first gave the reason as a number,
// the second as a text outside of p.

type revokedV1 struct {
	key  uuid.UUID
	code uint64
}

func (r *revokedV1) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "code":
			r.code = d.uint()
		case "key":
			r.key = d.uuid()
		default:
			d.skip()
		}
	}
}

func (r *revokedV1) upcast() body {
	return &revokedV2{key: r.key, why: []string{"unknown", "leaked"}[min(r.code, 1)]}
}

type revokedV2 struct {
	key uuid.UUID
	why string
}

func (r *revokedV2) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "key":
			r.key = d.uuid()
		case "why":
			r.why = d.text()
		default:
			d.skip()
		}
	}
}

func (r *revokedV2) upcast() body { return &Revoked{KeyID: r.key, Reason: r.why} }

func newBodyOfTest(l layout) body {
	switch l {
	case layout{KeyRevoked, 1}:
		return new(revokedV1)
	case layout{KeyRevoked, 2}:
		return new(revokedV2)
	case layout{KeyRevoked, 3}:
		return new(Revoked)
	}
	return nil
}

func TestDecodeBringsOldVersionsToTheNewest(t *testing.T) {
	id := uuid.MustParse(testKey)
	key := field{"key", id[:]}
	for version, data := range map[int][]byte{
		1: object(t, field{"code", uint8(1)}, key),
		2: object(t, key, field{"why", "leaked"}),
		3: object(t, key, field{"p", msgpack.RawMessage(object(t, field{"reason", "leaked"}))}),
	} {
		m := message("key.revoked", data)
		m.Version = version
		e, err := decode(&m, nil, newBodyOfTest)
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if want := (&Revoked{KeyID: id, Reason: "leaked"}); !reflect.DeepEqual(e.Payload, want) {
			t.Errorf("version %d: got %+v, want %+v", version, e.Payload, want)
		}
		if e.Version != version {
			t.Errorf("version %d: the event says %d", version, e.Version)
		}
	}
}

func TestDecodeHoldsOldVersionsToTheRules(t *testing.T) {
	id := uuid.MustParse(testKey)
	for name, data := range map[string][]byte{
		"no key":         object(t, field{"code", uint8(1)}),
		"key of another": object(t, field{"code", uint8(1)}, field{"key", make([]byte, 16)}),
		"bytes after":    append(object(t, field{"code", uint8(1)}, field{"key", id[:]}), 0),
	} {
		m := message("key.revoked", data)
		var invalid *DecodeError
		if e, err := decode(&m, nil, newBodyOfTest); !errors.As(err, &invalid) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
}

func TestDecodeStopsAtWhatIsNewer(t *testing.T) {
	for name, change := range map[string]func(*Message){
		"a newer version": func(m *Message) { m.Version = 3 },
		"a newer type":    func(m *Message) { m.Type = "key.forgotten" },
		"no type":         func(m *Message) { m.Type = "" },
	} {
		m := mustEncode(t, testEvents()["key.revoked"])
		change(&m)
		_, err := Decode(&m, nil)
		var unknown *UnknownError
		if !errors.As(err, &unknown) {
			t.Fatalf("%s: %v", name, err)
		}
		if want := (UnknownError{Sequence: 7, Type: m.Type, Version: m.Version}); *unknown != want {
			t.Errorf("%s: got %+v, want %+v", name, *unknown, want)
		}
		for _, part := range []string{"message 7", string(m.Type), "version"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: the message %q does not say %q", name, err, part)
			}
		}
	}
}

func TestDecodeRefusesVersionsBelowOne(t *testing.T) {
	for _, version := range []int{0, -1} {
		m := mustEncode(t, testEvents()["key.revoked"])
		m.Version = version
		var invalid *DecodeError
		if _, err := Decode(&m, nil); !errors.As(err, &invalid) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestEveryTypeIsKnown holds that what is written can be read, and that old versions lead to it.
func TestEveryTypeIsKnown(t *testing.T) {
	for _, typ := range allTypes() {
		newest := 0
		for newBody(layout{typ, newest + 1}) != nil {
			newest++
			p, err := upcast(newBody(layout{typ, newest}))
			if err != nil {
				t.Errorf("%s version %d: %v", typ, newest, err)
				continue
			}
			if p.Type() != typ {
				t.Errorf("%s version %d leads to a %s", typ, newest, p.Type())
			}
		}
		_, ok := newBody(layout{typ, newest}).(Payload)
		if !ok || newest != sealedVersion {
			t.Errorf("%s: the newest known version is %d, and it is not what is written", typ, newest)
		}
	}
}
