package events

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// line is the exchange form of a message, as who has the keys tells it.
func line(t interface{ Fatal(...any) }, m *Message, o Opener) []byte {
	e, err := Decode(m, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := AppendCloudEvent(nil, &e, "/keyledger/test")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestToldOpensWhatWasSealed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		if u, ok := e.Payload.(*WebhookUpdate); ok && u.Disabled == nil {
			u.Reason = "" // it is that of disabling
		}
		m, err := Encode(&e, testKeys{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := Decode(&m, testKeys{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(&m, Told(line(t, &m, testKeys{})))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v %+v %v\nwant %+v %+v", got, got.Payload, err, want, want.Payload)
		}
	})
}

// What was erased, before there were keys or after, is told as erased.
func TestToldErased(t *testing.T) {
	for name, e := range testEvents() {
		sealed := mustSeal(t, e)
		for _, m := range []Message{sealed, mustEncode(t, e)} {
			erased := testKeys{masks: true}
			if m.Version == sealedVersion {
				erased = testKeys{failure: ErrErased}
			}
			text := line(t, &m, erased)
			if got := line(t, &m, Told(text)); !bytes.Equal(got, text) {
				t.Errorf("%s, version %d: got\n%s\nwant\n%s", name, m.Version, got, text)
			}
		}
	}
}

// What tells more or less than was sealed opens nothing; nor does it hide what is in the clear.
func TestToldOpensNothingElse(t *testing.T) {
	all := testEvents()
	e := all["key.created"]
	m := mustSeal(t, e)
	text := string(line(t, &m, testKeys{}))
	other := mustSeal(t, all["key.revoked"])
	for what, told := range map[string]string{
		"another event":  string(line(t, &other, testKeys{})),
		"more parts":     strings.Replace(text, `"origin":`, `"reason":"leaked","origin":`, 1),
		"no text":        strings.Replace(text, `"name":"`, `"name":7,"was":"`, 1),
		"fewer parts":    strings.Replace(text, `"ip":"`, `"ip":null,"was":"`, 1),
		"no JSON":        text[1:],
		"nothing at all": "",
		"no data":        strings.Replace(text, `"data":`, `"date":`, 1),
	} {
		if told == text {
			t.Fatalf("%s: the text is the same", what)
		}
		got, err := Decode(&m, Told([]byte(told)))
		if err != nil || got.Payload.(*Created).Name != SealedText {
			t.Errorf("%s: %+v, %v", what, got.Payload, err)
		}
	}
	clear := mustEncode(t, e)
	got, err := Decode(&clear, Told([]byte(strings.Replace(text, `"name":"`, `"name":"erased","was":"`, 1))))
	if err != nil || got.Payload.(*Created).Name != e.Payload.(*Created).Name {
		t.Errorf("in the clear: %+v, %v", got.Payload, err)
	}
}
