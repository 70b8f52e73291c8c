package events

import (
	"reflect"
	"testing"
)

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	for name, want := range testEvents() {
		t.Run(name, func(t *testing.T) {
			m, err := Encode(&want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(&m)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v %+v\nwant %+v %+v", got, got.Payload, want, want.Payload)
			}
			ce, err := AppendCloudEvent(nil, &got, "/keyledger/test")
			t.Logf("%d bytes; %s %v", len(m.Data), ce, err)
		})
	}
}

func BenchmarkEncodeCreated(b *testing.B) {
	e := testEvents()["key.created"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(&e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeCreated(b *testing.B) {
	e := testEvents()["key.created"]
	m, err := Encode(&e)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(m.Data)))
	for b.Loop() {
		if _, err := Decode(&m); err != nil {
			b.Fatal(err)
		}
	}
}
