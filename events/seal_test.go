package events

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// testKeys seals with one key, and a nonce of the event's id.
type testKeys struct {
	failure error // of Open, and of Seal
	masks   bool  // what is in the clear
}

func (testKeys) aead() cipher.AEAD {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func (k testKeys) Seal(m *Message, present Presence, plain []byte) (Sealed, error) {
	return Sealed{Present: present, Generation: 1, Box: k.aead().Seal(nil, m.ID[:12], plain, []byte(m.Subject))}, k.failure
}

func (k testKeys) Open(m *Message, s *Sealed) ([]byte, error) {
	if k.failure != nil {
		return nil, k.failure
	}
	plain, err := k.aead().Open(nil, m.ID[:12], s.Box, []byte(m.Subject))
	if err != nil {
		return nil, ErrForged
	}
	return plain, nil
}

func (k testKeys) Erased(*Message) bool { return k.masks }

func mustSeal(t testing.TB, e Event) Message {
	t.Helper()
	m, err := Encode(&e, testKeys{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDecodeOpensWhatEncodeSealed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEvent(t)
		m, err := Encode(&want, testKeys{})
		if err != nil {
			t.Fatal(err)
		}
		want.Version = sealedVersion
		got, err := Decode(&m, testKeys{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v %+v %v\nwant %+v %+v", got, got.Payload, err, want, want.Payload)
		}
	})
}

func TestSealedBodiesTellNothing(t *testing.T) {
	for name, e := range testEvents() {
		m := mustSeal(t, e)
		for _, value := range []string{"seven", "deploy key", "new name", "team", "leaked", "2001:db8::1", "curl/8.5.0"} {
			if bytes.Contains(m.Data, []byte(value)) {
				t.Errorf("%s shows %q", name, value)
			}
		}
	}
}

// What was erased, and what the reader has no keys of, still tells what there was.
func TestPersonalDataThatCannotBeRead(t *testing.T) {
	for opener, text := range map[Opener]string{
		nil: SealedText, testKeys{failure: ErrNoKey}: SealedText, testKeys{failure: ErrErased}: ErasedText,
	} {
		read := func(name string) Event {
			t.Helper()
			m := mustSeal(t, testEvents()[name])
			e, err := Decode(&m, opener)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return e
		}
		created := read("key.created")
		c := created.Payload.(*Created)
		if c.Name != text || c.Owner.AgentName != text || string(c.Metadata) != `{"`+text+`":true}` ||
			c.Owner.Workspace != "acme" || created.Origin != (Origin{text, text}) || created.Sealed != 1 {
			t.Errorf("%+v %+v", created, c)
		}
		bare := read("key.created-bare")
		if c := bare.Payload.(*Created); c.Name != "" || c.Metadata != nil || bare.Origin != (Origin{}) || bare.Sealed != 0 {
			t.Errorf("%+v %+v", bare, c)
		}
		emptied := read("key.updated-emptied").Payload.(*Updated)
		if emptied.Name == nil || *emptied.Name != "" || emptied.Metadata == nil || *emptied.Metadata != nil {
			t.Errorf("%+v", emptied)
		}
		if u := read("key.updated-bare").Payload.(*Updated); u.Name != nil || u.Metadata != nil {
			t.Errorf("%+v", u)
		}
		if r := read("key.revoked").Payload.(*Revoked); r.Reason != text {
			t.Errorf("%+v", r)
		}
		if a := read("agent.registered").Payload.(*Agent); a.Name != text {
			t.Errorf("%+v", a)
		}
	}
}

func TestPersonalDataInTheClearIsMasked(t *testing.T) {
	m := mustEncode(t, testEvents()["key.created"])
	e, err := Decode(&m, testKeys{masks: true})
	if err != nil {
		t.Fatal(err)
	}
	if c := e.Payload.(*Created); c.Name != ErasedText || c.Owner.AgentName != ErasedText || e.Origin.IP != ErasedText {
		t.Errorf("%+v %+v", e, c)
	}
	if e, err = Decode(&m, testKeys{}); err != nil || e.Payload.(*Created).Name != "deploy key" {
		t.Errorf("%+v %v", e, err)
	}
}

func TestDecodeTellsForgedFromUnavailable(t *testing.T) {
	down := errors.New("the keys cannot be had now")
	m := mustSeal(t, testEvents()["key.revoked"])
	var invalid *DecodeError
	if _, err := Decode(&m, testKeys{failure: down}); !errors.Is(err, down) || errors.As(err, &invalid) {
		t.Errorf("no keys: %v", err)
	}
	m.Data[len(m.Data)-1]++
	if _, err := Decode(&m, testKeys{}); !errors.Is(err, ErrForged) || !errors.As(err, &invalid) {
		t.Errorf("forged: %v", err)
	}
}

func TestDecodeRefusesDamagedSealings(t *testing.T) {
	id := uuid.MustParse(testKey)
	whole := mustSeal(t, testEvents()["key.revoked"])
	inner := testKeys{}.aead().Seal(nil, whole.ID[:12], object(t, field{"reason", "leaked"}), []byte(whole.Subject))
	for name, p := range map[string][]byte{
		"empty":            {},
		"no generation":    {1},
		"generation 0":     append([]byte{byte(hasReason), 0}, inner...),
		"a long 1":         append([]byte{byte(hasReason), 0x81, 0}, inner...),
		"another presence": append([]byte{byte(hasReason | hasIP), 1}, inner...),
		"no box":           {byte(hasReason), 1},
		"half a box":       append([]byte{byte(hasReason), 1}, inner[:10]...),
	} {
		m := message("key.revoked", object(t, field{"key", id[:]}, field{"p", p}))
		m.Version = sealedVersion
		var invalid *DecodeError
		if e, err := Decode(&m, testKeys{}); !errors.As(err, &invalid) {
			t.Errorf("%s: %+v %v", name, e.Payload, err)
		}
	}
	m := message("key.revoked", object(t, field{"key", id[:]}, field{"p", append([]byte{byte(hasReason), 1}, inner...)}))
	if e, err := Decode(&m, testKeys{}); err != nil || e.Payload.(*Revoked).Reason != "leaked" {
		t.Errorf("the whole one: %+v %v", e.Payload, err)
	}
}

func TestEncodeFailsWithItsSealer(t *testing.T) {
	e := testEvents()["key.revoked"]
	if m, err := Encode(&e, testKeys{failure: ErrErased}); !errors.Is(err, ErrErased) || m.Data != nil {
		t.Errorf("%q %v", m.Data, err)
	}
	e.Origin.IP = strings.Repeat("9", 100)
	e.Payload.(*Revoked).Reason = "\xff"
	if m, err := Encode(&e, testKeys{}); err == nil {
		t.Errorf("text that is not UTF-8 was sealed: %q", m.Data)
	}
}
