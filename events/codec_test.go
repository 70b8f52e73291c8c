package events

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	for name, want := range testEvents() {
		t.Run(name, func(t *testing.T) {
			m := mustEncode(t, want)
			got, err := Decode(&m, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v %+v\nwant %+v %+v", got, got.Payload, want, want.Payload)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		want := drawEvent(t)
		m, err := Encode(&want, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(&m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v %+v\nwant %+v %+v", got, got.Payload, want, want.Payload)
		}
	})
}

func TestEncodeSetsTypeAndVersionAndCutsTimes(t *testing.T) {
	e := testEvents()["key.created-bare"]
	e.Type, e.Version = "", 0
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	e.Payload.(*Created).ExpiresAt = time.Date(2027, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	m := mustEncode(t, e)
	if m.Type != KeyCreated || m.Version != 1 {
		t.Errorf("%s version %d", m.Type, m.Version)
	}
	if want := testTime("2026-01-02T02:04:05.000006Z"); m.Time != want {
		t.Errorf("header time %v, want %v", m.Time, want)
	}
	got, err := Decode(&m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := testTime("2027-01-02T02:04:05.000006Z"); got.Payload.(*Created).ExpiresAt != want {
		t.Errorf("expiry %v, want %v", got.Payload.(*Created).ExpiresAt, want)
	}
}

func TestEncodeCutsTheOrigin(t *testing.T) {
	e := testEvents()["key.disabled"]
	e.Origin = Origin{IP: strings.Repeat("9", 100), UserAgent: "\xff\xfe" + strings.Repeat("ü", 200)}
	m := mustEncode(t, e)
	got, err := Decode(&m, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Origin{IP: strings.Repeat("9", maxIP), UserAgent: "?" + strings.Repeat("ü", 127)}
	if got.Origin != want {
		t.Errorf("got %q, want %q", got.Origin, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	const notUTF8 = "\xc3("
	edit := func(name string, edit func(*Event)) Event {
		e := testEvents()[name]
		edit(&e)
		return e
	}
	created := func(change func(*Created)) Event {
		return edit("key.created", func(e *Event) { change(e.Payload.(*Created)) })
	}
	tests := map[string]Event{
		"no payload":            edit("key.created", func(e *Event) { e.Payload = nil }),
		"no event id":           edit("key.created", func(e *Event) { e.ID = uuid.Nil }),
		"no time":               edit("key.created", func(e *Event) { e.Time = time.Time{} }),
		"time after 9999":       edit("key.created", func(e *Event) { e.Time = e.Time.AddDate(9000, 0, 0) }),
		"no actor":              edit("key.created", func(e *Event) { e.Actor = "" }),
		"actor with a newline":  edit("key.created", func(e *Event) { e.Actor = "a\r\nb" }),
		"request id of 129":     edit("key.created", func(e *Event) { e.RequestID = strings.Repeat("r", 129) }),
		"request id of spaces":  edit("key.created", func(e *Event) { e.RequestID = " " }),
		"no subject":            edit("key.created", func(e *Event) { e.Subject = "" }),
		"subject of another":    edit("key.created", func(e *Event) { e.Subject = KeySubject(new(Owner), uuid.MustParse(testKey)) }),
		"subject of a claim":    edit("key.revoked", func(e *Event) { e.Subject = ClaimSubject("a", "b") }),
		"claim of another":      edit("claim.taken", func(e *Event) { e.Subject = ClaimSubject("agent", "b") }),
		"agent of another":      edit("agent.registered", func(e *Event) { e.Subject = AgentSubject("", "", "bot7") }),
		"no key id":             created(func(c *Created) { c.KeyID = uuid.Nil }),
		"no digest":             created(func(c *Created) { c.Digest = Digest{} }),
		"no environment":        created(func(c *Created) { c.Environment = "" }),
		"no key type":           created(func(c *Created) { c.KeyType = "" }),
		"name not UTF-8":        created(func(c *Created) { c.Name = notUTF8 }),
		"peer not UTF-8":        created(func(c *Created) { c.Owner.Peer = notUTF8 }),
		"metadata not JSON":     created(func(c *Created) { c.Metadata = []byte(`{"a":}`) }),
		"metadata on two lines": created(func(c *Created) { c.Metadata = []byte("{\n}") }),
		"metadata no object":    created(func(c *Created) { c.Metadata = []byte(`[]`) }),
		"metadata twice a name": created(func(c *Created) { c.Metadata = []byte(`{"a":1,"a":2}`) }),
		"expiry before 1970":    created(func(c *Created) { c.ExpiresAt = time.Unix(-1, 0) }),
		"expiry after 9999":     created(func(c *Created) { c.ExpiresAt = time.Unix(1<<40, 0) }),
		"workspace of 129": created(func(c *Created) {
			c.Owner.Workspace = strings.Repeat("w", 129)
		}),
		"rotated, no key":    edit("key.rotated", func(e *Event) { e.Payload.(*Rotated).KeyID = uuid.Nil }),
		"rotated, no digest": edit("key.rotated", func(e *Event) { e.Payload.(*Rotated).Digest = Digest{} }),
		"updated, no key":    edit("key.updated", func(e *Event) { e.Payload.(*Updated).KeyID = uuid.Nil }),
		"disabled, no key":   edit("key.disabled", func(e *Event) { e.Payload.(*Disabled).KeyID = uuid.Nil }),
		"agent, no id":       edit("agent.registered", func(e *Event) { e.Payload.(*Agent).ID = "" }),
		"agent, no name":     edit("agent.registered", func(e *Event) { e.Payload.(*Agent).Name = "" }),
		"claim, no holder":   edit("claim.taken", func(e *Event) { e.Payload.(*Claim).Holder = "" }),
		"claim, no kind":     edit("claim.taken", func(e *Event) { e.Payload.(*Claim).Kind = "" }),
		"claim, no hash":     edit("claim.taken", func(e *Event) { e.Payload.(*Claim).Hash = "" }),
		"release, no kind":   edit("claim.released", func(e *Event) { e.Payload.(*Release).Kind = "" }),
		"release, no hash":   edit("claim.released", func(e *Event) { e.Payload.(*Release).Hash = "" }),
	}
	for name, e := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := Encode(&e, nil)
			if err == nil {
				t.Fatalf("no error, %d bytes", len(m.Data))
			}
			if m.Data != nil {
				t.Errorf("a message beside the error %v", err)
			}
		})
	}
}

// A hostile body is made of fields in the order given, or of raw bytes.
type field struct {
	name  string
	value any
}

func object(t testing.TB, fields ...field) []byte {
	t.Helper()
	var out bytes.Buffer
	enc := msgpack.NewEncoder(&out)
	fatal := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	fatal(enc.EncodeMapLen(len(fields)))
	for _, f := range fields {
		fatal(enc.EncodeString(f.name))
		if raw, ok := f.value.(msgpack.RawMessage); ok {
			out.Write(raw)
		} else {
			fatal(enc.Encode(f.value))
		}
	}
	return out.Bytes()
}

func TestDecodeRefuses(t *testing.T) {
	id := uuid.MustParse(testKey)
	key := field{"key", id[:]}
	personal := func(fields ...field) field { return field{"p", msgpack.RawMessage(object(t, fields...))} }
	deep := append(bytes.Repeat([]byte{0x91}, 1<<20), 0xc0)
	bodies := map[string][]byte{
		"nothing":                 {},
		"nil":                     {0xc0},
		"an array":                {0x91, 0xc0},
		"an empty map":            {0x80},
		"a byte after the body":   append(object(t, key), 0xc0),
		"key missing":             object(t, personal(field{"reason", "x"})),
		"key zero":                object(t, field{"key", make([]byte, 16)}),
		"key of another":          object(t, field{"key", bytes.Repeat([]byte{1}, 16)}),
		"key short":               object(t, field{"key", id[:15]}),
		"key long":                object(t, field{"key", append(id[:], 0)}),
		"key as a string":         object(t, field{"key", string(id[:])}),
		"key nil":                 object(t, field{"key", nil}),
		"key twice":               object(t, key, key),
		"fields descend":          object(t, key, field{"a", 1}),
		"a field without a name":  object(t, field{"", 1}, key),
		"a name that is a number": {0x81, 0x01, 0x01},
		"p no map":                object(t, key, field{"p", "x"}),
		"p nil":                   object(t, key, field{"p", nil}),
		"p twice":                 object(t, key, personal(), personal()),
		"reason twice":            object(t, key, personal(field{"reason", "a"}, field{"reason", "a"})),
		"reason a binary":         object(t, key, personal(field{"reason", []byte("a")})),
		"reason not UTF-8":        object(t, key, personal(field{"reason", "\xff"})),
		"metadata not JSON":       object(t, key, personal(field{"meta", "{"})),
		"metadata on two lines":   object(t, key, personal(field{"meta", "{}\r"})),
		"metadata no object":      object(t, key, personal(field{"meta", "null"})),
		"an extension":            object(t, field{"a", msgpack.RawMessage{0xd4, 0x01, 0x00}}, key),
		"a map of 2^32 fields":    {0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 'a', 0xc0},
		"a name of 4 GiB":         {0x81, 0xdb, 0xff, 0xff, 0xff, 0xff, 'a'},
		"an unknown of 4 GiB":     {0x81, 0xa1, 'a', 0xc6, 0xff, 0xff, 0xff, 0xff, 'a'},
		"an unknown 2^32 array":   {0x81, 0xa1, 'a', 0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0},
		"an unknown 2^32 map":     {0x81, 0xa1, 'a', 0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0},
		"a key of 4 GiB":          {0x81, 0xa3, 'k', 'e', 'y', 0xc6, 0xff, 0xff, 0xff, 0xff, 'a'},
		"a million arrays deep":   object(t, field{"a", msgpack.RawMessage(deep)}, key),
		"the code never used":     {0x81, 0xa1, 'a', 0xc1},
	}
	for name, data := range bodies {
		t.Run(name, func(t *testing.T) {
			m := message("key.revoked", data)
			before := allocated()
			e, err := Decode(&m, nil)
			if got := allocated() - before; got > uint64(2*len(data)+16<<10) {
				t.Errorf("%d bytes allocated for a body of %d", got, len(data))
			}
			var invalid *DecodeError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %+v, %v", e, err)
			}
			if invalid.Sequence != 7 || invalid.Type != KeyRevoked {
				t.Errorf("%+v", invalid)
			}
			if !strings.Contains(err.Error(), "message 7") || !strings.Contains(err.Error(), "key.revoked") {
				t.Errorf("the message %q does not say where", err)
			}
		})
	}
}

func TestDecodeRefusesTimesOutOfRange(t *testing.T) {
	id := uuid.MustParse(testKey)
	for name, value := range map[string]any{
		"negative": int64(-1), "after 9999": uint64(maxMicros + 1), "2^64-1": ^uint64(0), "a float": 1.5, "nil": nil,
	} {
		t.Run(name, func(t *testing.T) {
			m := message("key.updated", object(t, field{"exp", value}, field{"key", id[:]}))
			var invalid *DecodeError
			if e, err := Decode(&m, nil); !errors.As(err, &invalid) {
				t.Errorf("got %+v, %v", e.Payload, err)
			}
		})
	}
}

func TestDecodeRefusesFlagsThatAreNone(t *testing.T) {
	for name, value := range map[string]any{"a number": 1, "nil": nil, "a string": "true", "a binary": []byte{1}} {
		t.Run(name, func(t *testing.T) {
			id, digest := uuid.MustParse(testKey), []byte(testDigest)
			m := message("key.created", object(t, field{"confined", value}, field{"digest", digest}, field{"env", "live"},
				field{"key", id[:]}, field{"type", "external"}))
			m.Subject = KeySubject(new(Owner), id)
			var invalid *DecodeError
			if e, err := Decode(&m, nil); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "confined") {
				t.Errorf("got %+v, %v", e.Payload, err)
			}
		})
	}
}

func TestDecodeRefusesEveryPrefix(t *testing.T) {
	for name, e := range testEvents() {
		m := mustEncode(t, e)
		whole := m.Data
		for n := range whole {
			m.Data = whole[:n]
			var invalid *DecodeError
			if _, err := Decode(&m, nil); !errors.As(err, &invalid) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: first %d of %d bytes: %v", name, n, len(whole), err)
			}
		}
	}
}

func TestDecodeSkipsUnknownFieldsOfEveryType(t *testing.T) {
	for name, want := range testEvents() {
		m := mustEncode(t, want)
		m.Data[2] += 2 // fields
		m.Data = slices.Insert(m.Data, 3, 0xa1, 'A', 0x01)
		m.Data = append(m.Data, 0xa2, 'z', 'z', 0x91, 0xc0)
		if got, err := Decode(&m, nil); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestDecodeSkipsUnknownFieldsOfEveryKind(t *testing.T) {
	id := uuid.MustParse(testKey)
	var fields []field
	for i, value := range []any{
		nil, true, 1, -1, int64(-1 << 40), ^uint64(0), 1.5, float32(1.5), "text", strings.Repeat("x", 70000), []byte{1, 2},
		bytes.Repeat([]byte{3}, 70000), []any{1, []any{"a"}}, make([]int, 70000),
		map[string]any{"a": map[string]any{"b": []byte{1}}},
	} {
		fields = append(fields, field{"a" + string(rune('A'+i)), value})
	}
	inP := object(t, append(fields, field{"reason", "known"}, field{"z", 1})...)
	data := object(t, append(fields, field{"key", id[:]}, field{"p", msgpack.RawMessage(inP)}, field{"z", 1})...)
	m := message("key.revoked", data)
	e, err := Decode(&m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Revoked{KeyID: id, Reason: "known"}); !reflect.DeepEqual(e.Payload, want) {
		t.Errorf("got %+v, want %+v", e.Payload, want)
	}
}

func TestDecodeDoesNotAliasTheMessage(t *testing.T) {
	for name, want := range testEvents() {
		m := mustEncode(t, want)
		got, err := Decode(&m, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Data {
			m.Data[i] = 'x'
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s changed with the message's data", name)
		}
	}
}

// TestPersonalDataIsInOnePlace looks for every personal value in what is left of a body without its map p.
func TestPersonalDataIsInOnePlace(t *testing.T) {
	values := []string{"Böt seven", "deploy key", "new name", "team", "leaked", "2001:db8::1", "curl/8.5.0"}
	seen := make(map[string]bool)
	for name, e := range testEvents() {
		m := mustEncode(t, e)
		var fields map[string]msgpack.RawMessage
		if err := msgpack.Unmarshal(m.Data, &fields); err != nil {
			t.Fatal(err)
		}
		p := fields["p"]
		delete(fields, "p")
		for _, value := range values {
			seen[value] = seen[value] || bytes.Contains(p, []byte(value))
			for field, rest := range fields {
				if bytes.Contains(rest, []byte(value)) {
					t.Errorf("%s: %q is in the field %q", name, value, field)
				}
			}
		}
	}
	for _, value := range values {
		if !seen[value] {
			t.Errorf("no event has %q", value)
		}
	}
}

// message gives a message of a test event's name with another body.
func message(name string, data []byte) Message {
	e := testEvents()[name]
	return Message{Header: e.Header, Sequence: e.Sequence, Subject: e.Subject, Data: data}
}

func mustEncode(t testing.TB, e Event) Message {
	t.Helper()
	m, err := Encode(&e, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func allocated() uint64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.TotalAlloc
}

func BenchmarkEncodeCreated(b *testing.B) {
	e := testEvents()["key.created"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(&e, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeCreated(b *testing.B) {
	m := mustEncode(b, testEvents()["key.created"])
	b.ReportAllocs()
	b.SetBytes(int64(len(m.Data)))
	for b.Loop() {
		if _, err := Decode(&m, nil); err != nil {
			b.Fatal(err)
		}
	}
}
