package events

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

// testLeaves are a message with all headers and one without a request id.
func testLeaves(t testing.TB) map[string]Message {
	t.Helper()
	whole := mustEncode(t, testEvents()["key.created"])
	bare := mustEncode(t, testEvents()["key.revoked-bare"])
	whole.Sequence, bare.Sequence = 1, 1<<56+2
	whole.RequestID, bare.RequestID = "req-1", ""
	return map[string]Message{"leaf": whole, "leaf-bare": bare}
}

func TestGoldenLeaves(t *testing.T) {
	for name, m := range testLeaves(t) {
		got := formatHex(AppendLeaf(nil, &m))
		if want := golden(t, name+".v1.golden", got); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestLeafHoldsAllOfAMessage(t *testing.T) {
	for name, m := range testLeaves(t) {
		leaf := AppendLeaf([]byte("before"), &m)[len("before"):]
		if got, err := ParseLeaf(leaf); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, m)
		}
		for i := range leaf[:len(leaf)-len(m.Data)] {
			if _, err := ParseLeaf(leaf[:i]); err == nil {
				t.Errorf("%s: its first %d bytes are a leaf", name, i)
			}
		}
	}
}

// A body that has no place in an entry of tlog-tiles is not written.
func TestLongBodiesAreRefused(t *testing.T) {
	e := testEvents()["key.created"]
	p := *e.Payload.(*Created)
	p.Metadata = json.RawMessage(`{"a":"` + strings.Repeat("a", MaxBody) + `"}`)
	e.Payload = &p
	if _, err := Encode(&e, nil); err == nil {
		t.Error("it is encoded")
	}
	p.Metadata = json.RawMessage(`{"a":"` + strings.Repeat("a", MaxBody-1000) + `"}`)
	m, err := Encode(&e, nil)
	if leaf := AppendLeaf(nil, &m); err != nil || len(leaf) > math.MaxUint16 {
		t.Errorf("a leaf of %d bytes, %v", len(leaf), err)
	}
}

// FuzzParseLeaf holds that a message has one leaf, and a leaf one message.
func FuzzParseLeaf(f *testing.F) {
	for _, m := range testLeaves(f) {
		f.Add(AppendLeaf(nil, &m))
	}
	f.Fuzz(func(t *testing.T, leaf []byte) {
		m, err := ParseLeaf(leaf)
		if err != nil {
			return
		}
		if again := AppendLeaf(nil, &m); !bytes.Equal(again, leaf) {
			t.Errorf("%+v\nof %x\nhas %x", m, leaf, again)
		}
		if len(leaf) >= 1<<16 {
			t.Errorf("a leaf of %d bytes", len(leaf))
		}
	})
}
