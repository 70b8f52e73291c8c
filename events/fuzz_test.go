package events

import (
	"errors"
	"reflect"
	"testing"
)

// FuzzDecode decodes anything as each type. What is accepted must survive being encoded again.
func FuzzDecode(f *testing.F) {
	types := allTypes()
	index := make(map[Type]byte)
	for i, typ := range types {
		index[typ] = byte(i)
	}
	for _, e := range testEvents() {
		m := mustEncode(f, e)
		f.Add(index[m.Type], m.Version, m.Subject, m.Data)
	}
	for _, e := range testEvents() {
		m := mustSeal(f, e)
		f.Add(index[m.Type], m.Version, m.Subject, m.Data)
	}
	f.Add(index[KeyRevoked], 3, "ledger.~.~.~."+testKey, []byte{0x80})
	f.Add(index[KeyUpdated], 1, "ledger.~.~.~."+testKey, []byte{0x81, 0xa1, 'a', 0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0})
	f.Fuzz(func(t *testing.T, typ byte, version int, subject string, data []byte) {
		m := message("key.created", data)
		m.Type, m.Version, m.Subject = types[int(typ)%len(types)], version, subject
		want, err := Decode(&m, testKeys{})
		if err != nil {
			var invalid *DecodeError
			var unknown *UnknownError
			if !errors.As(err, &invalid) && !errors.As(err, &unknown) {
				t.Fatalf("an error of another type: %v", err)
			}
			return
		}
		want.Origin = want.Origin.clean()
		again, err := Encode(&want, testKeys{})
		if err != nil {
			t.Fatalf("%+v was decoded and cannot be encoded: %v", want.Payload, err)
		}
		got, err := Decode(&again, testKeys{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v, want %+v", got.Payload, err, want.Payload)
		}
		if _, err := AppendCloudEvent(nil, &want, testSource); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzParseHeader holds that an accepted header has one spelling: the one that Each writes.
func FuzzParseHeader(f *testing.F) {
	for _, e := range testEvents() {
		h := headersOf(&e.Header)
		f.Add(h[HeaderID], h[HeaderType], h[HeaderVersion], h[HeaderTime], h[HeaderActor], h[HeaderRequestID])
	}
	f.Add("01978D2C-8F00-7B00-8000-0000000000E1", "", "01", "2026-01-02T03:04:05+00:00", "\r\n", " ")
	f.Fuzz(func(t *testing.T, id, typ, version, when, actor, request string) {
		want := map[string]string{
			HeaderID: id, HeaderType: typ, HeaderVersion: version, HeaderTime: when, HeaderActor: actor,
		}
		if request != "" {
			want[HeaderRequestID] = request
		}
		h, err := ParseHeader(func(name string) string { return want[name] })
		if err != nil {
			if h != (Header{}) {
				t.Fatalf("%+v beside %v", h, err)
			}
			return
		}
		if got := headersOf(&h); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// FuzzParseSubject holds that an accepted subject is the one that its parts give.
func FuzzParseSubject(f *testing.F) {
	for _, e := range testEvents() {
		f.Add(e.Subject)
	}
	for _, s := range []string{"", "ledger.~.~.~.~", "ledger.a.~.~.~", "ledger.~.a.~.~", "ledger.=61.~.a.~", "claim.a.=2E", "claim.~.~", "ledger.=.b.c.~"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		s, err := ParseSubject(subject)
		if err != nil {
			if s != (Subject{}) {
				t.Fatalf("%+v beside %v", s, err)
			}
			return
		}
		var got string
		switch {
		case s.ClaimKind != "":
			got = ClaimSubject(s.ClaimKind, s.ClaimHash)
		case s.Agent == "" && s.Key == [16]byte{} && s.Webhook == [16]byte{}:
			got = WorkspaceSubject(s.Workspace)
		case s.Key != [16]byte{}:
			got = KeySubject(&Owner{Workspace: s.Workspace, Org: s.Org, AgentID: s.Agent}, s.Key)
		case s.Webhook != [16]byte{}:
			got = WebhookSubject(s.Workspace, s.Org, s.Agent, s.Webhook)
		default:
			got = AgentSubject(s.Workspace, s.Org, s.Agent)
		}
		if got != subject {
			t.Fatalf("%+v is %q, parsed from %q", s, got, subject)
		}
	})
}

// FuzzDecodeUsage decodes anything as a batch. What is accepted must survive being encoded again.
func FuzzDecodeUsage(f *testing.F) {
	for _, uses := range [][]Use{nil, testUses(), testUses()[1:]} {
		data, err := EncodeUsage(uses)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		want, err := usesOf(data)
		if err != nil {
			if want != nil {
				t.Fatalf("%+v beside %v", want, err)
			}
			return
		}
		for i := range want {
			want[i].Origin = want[i].Origin.clean()
		}
		again, err := EncodeUsage(want)
		if err != nil {
			t.Fatalf("%+v was decoded and cannot be encoded: %v", want, err)
		}
		if got, err := usesOf(again); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	})
}
