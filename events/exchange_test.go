package events

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// shown is e without what the exchange form leaves out.
func shown(e Event) Event {
	e.Subject, e.Version = "", sealedVersion
	switch p := e.Payload.(type) {
	case *Created:
		c := *p
		c.Digest, c.Scopes = Digest{}, strings.Join(strings.Fields(c.Scopes), " ")
		e.Payload = &c
	case *Updated:
		u := *p
		if u.Scopes != nil {
			u.Scopes = new(strings.Join(strings.Fields(*u.Scopes), " "))
		}
		e.Payload = &u
	case *Rotated:
		r := *p
		r.Digest = Digest{}
		e.Payload = &r
	case *Erasure:
		x := *p
		x.Generation = 0
		e.Payload = &x
	case *Claim:
		c := *p
		if c.Kind == TokenClaim {
			c.Hash = ""
		}
		e.Payload = &c
	case *Release:
		r := *p
		if r.Kind == TokenClaim {
			r.Hash = ""
		}
		e.Payload = &r
	}
	return e
}

func TestParseCloudEvent(t *testing.T) {
	for name, e := range testEvents() {
		text, err := AppendCloudEvent(nil, &e, testSource)
		if err != nil {
			t.Fatal(err)
		}
		want := shown(e)
		switch p := want.Payload.(type) {
		case *Webhook:
			w := *p
			w.URL, w.From = "https://hooks.example.com", 0
			want.Payload = &w
		case *WebhookUpdate:
			u := *p
			if u.URL != nil {
				u.URL, u.SecretVersion = new("https://hooks.example.com"), 1
			}
			want.Payload = &u
		}
		got, err := ParseCloudEvent(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v %+v, %v, want\n%+v %+v", name, got, got.Payload, err, want, want.Payload)
		}
	}
}

// TestParseCloudEventIsTheInverse holds it for any event but those of webhooks, whose URLs do not come back.
func TestParseCloudEventIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		text, err := AppendCloudEvent(nil, &e, testSource)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseCloudEvent(text)
		if err != nil {
			t.Fatalf("%v of %s", err, text)
		}
		switch e.Payload.(type) {
		case *Webhook, *WebhookUpdate:
			return
		}
		if want := shown(e); !reflect.DeepEqual(got, want) {
			t.Fatalf("got\n%+v %+v, want\n%+v %+v", got, got.Payload, want, want.Payload)
		}
	})
}

func TestParseCloudEventRefuses(t *testing.T) {
	e := testEvents()["key.updated"]
	whole, err := AppendCloudEvent(nil, &e, testSource)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, changed string) string {
		text := strings.Replace(string(whole), old, changed, 1)
		if text == string(whole) {
			t.Fatalf("%q is not in it", old)
		}
		return text
	}
	for name, test := range map[string]struct{ text, want string }{
		"nothing":              {"", "EOF"},
		"no object":            {"[]", "no JSON object"},
		"half of one":          {string(whole[:200]), "EOF"},
		"two":                  {string(whole) + string(whole), "follows"},
		"no data":              {`{"id":"01978d2c-8f00-7b00-8000-0000000000e1"}`, "lacks"},
		"an id that is none":   {edit(`"id":"0`, `"id":"x`), `"id": it is no UUID`},
		"a sequence too large": {edit(`"7"`, `"99999999999999999999"`), "no sequence"},
		"a time that is none":  {edit(`"time":"2026`, `"time":"26`), `"time": it is no time`},
		"another subject":      {edit(`"subject":"0197`, `"subject":"0198`), "not of its subject"},
		"no key":               {edit(`"key_id":`, `"key":`), "not of its subject"},
		"scopes of numbers":    {edit(`["models:read"]`, `[7]`), "data.scopes: it is no array"},
		"scopes no array":      {edit(`["models:read"]`, `"a"`), "data.scopes: it is no array"},
		"a name that is none":  {edit(`"name":"new name"`, `"name":7`), "data.name: it is no text"},
		"a member twice":       {edit(`"name":"new name"`, `"name":"a","name":"b"`), "duplicate"},
		"metadata no object":   {edit(`{"a":[1,2]}`, `[]`), "data.metadata: it is no JSON object"},
	} {
		if got, err := ParseCloudEvent([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	var unknown *UnknownError
	if _, err := ParseCloudEvent([]byte(edit("key.updated", "key.melted"))); !errors.As(err, &unknown) || unknown.Sequence != 7 {
		t.Errorf("got %v", err)
	}
}

// FuzzParseCloudEvent parses anything. What is accepted must survive being written and read again.
func FuzzParseCloudEvent(f *testing.F) {
	for _, e := range testEvents() {
		text, err := AppendCloudEvent(nil, &e, testSource)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseCloudEvent(text)
		if err != nil {
			return
		}
		if aliased(e.Actor, text) {
			t.Error("the event aliases the text")
		}
		first, err := AppendCloudEvent(nil, &e, testSource)
		if err != nil {
			return // metadata on several lines, for one, is not what a ledger holds
		}
		again, err := ParseCloudEvent(first)
		if err != nil {
			t.Fatalf("%v of %s", err, first)
		}
		second, err := AppendCloudEvent(nil, &again, testSource)
		if err != nil || string(first) != string(second) {
			t.Fatalf("%s became %s, %v", first, second, err)
		}
	})
}

func aliased(s string, in []byte) bool {
	if len(s) == 0 || len(in) == 0 {
		return false
	}
	at, start := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(&in[0]))
	return at >= start && at < start+uintptr(len(in))
}
