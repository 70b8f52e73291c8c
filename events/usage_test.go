package events

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func usesOf(data []byte) (uses []Use, err error) {
	err = DecodeUsage(data, func(u Use) { uses = append(uses, u) })
	return uses, err
}

func drawUse(t *rapid.T) Use {
	return Use{
		KeyID: drawUUID(t, "key"), Last: drawTime(t, "last"), Count: rapid.Uint64Min(1).Draw(t, "count"),
		Origin: Origin{IP: drawText(t, "ip", 0, maxIP), UserAgent: drawText(t, "user agent", 0, maxUserAgent)},
	}
}

func TestDecodeUsageIsTheInverseOfEncodeUsage(t *testing.T) {
	inverse(t, drawUse, 40, EncodeUsage, usesOf)
}

// inverse fails unless what was encoded is decoded again, and stays when the data change.
func inverse[T any](t *testing.T, draw func(*rapid.T) T, most int, encode func([]T) ([]byte, error), decode func([]byte) ([]T, error)) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(draw), 0, most).Draw(t, "batch")
		data, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for i := range data {
			data[i] = 'x'
		}
		if len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("what was decoded changed with the data")
		}
	})
}

func TestABatchOfMostUsesFitsAMessage(t *testing.T) {
	uses := make([]Use, MaxUses)
	for i := range uses {
		uses[i] = Use{
			KeyID: uuid.MustParse(testKey), Last: time.UnixMicro(maxMicros), Count: 1 << 63,
			Origin: Origin{IP: strings.Repeat("i", 1000), UserAgent: strings.Repeat("u", 1000)},
		}
	}
	data, err := EncodeUsage(uses)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 1<<20 {
		t.Errorf("%d bytes, more than 1 MiB", len(data))
	}
	if got, err := usesOf(data); err != nil || len(got) != MaxUses {
		t.Errorf("%d uses back, %v", len(got), err)
	}
}

func TestEncodeUsageRefuses(t *testing.T) {
	good := testUses()[0]
	edit := func(edit func(*Use)) []Use {
		bad := good
		edit(&bad)
		return []Use{good, bad}
	}
	for name, uses := range map[string][]Use{
		"too many": make([]Use, MaxUses+1),
		"no key":   edit(func(u *Use) { u.KeyID = uuid.Nil }),
		"no count": edit(func(u *Use) { u.Count = 0 }),
		"no time":  edit(func(u *Use) { u.Last = time.Time{} }),
	} {
		if data, err := EncodeUsage(uses); err == nil || data != nil {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func TestDecodeUsageRefuses(t *testing.T) {
	id := bytes.Repeat([]byte{1}, 16)
	batch := func(values ...any) []byte {
		data, err := msgpack.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	use := func(values ...any) []any { return values }
	tests := map[string][]byte{
		"nothing":          {},
		"nil":              {0xc0},
		"a map":            {0x80},
		"no version":       {0x90},
		"version 0":        batch(uint8(0)),
		"version 2":        batch(uint8(2)),
		"bytes after":      append(batch(uint8(1)), 0),
		"a use too short":  batch(uint8(1), use(id, uint8(1), uint8(1), "")),
		"a use of nil":     batch(uint8(1), nil),
		"key too short":    batch(uint8(1), use(id[:15], uint8(1), uint8(1), "", "")),
		"key zero":         batch(uint8(1), use(make([]byte, 16), uint8(1), uint8(1), "", "")),
		"time zero":        batch(uint8(1), use(id, uint8(0), uint8(1), "", "")),
		"count zero":       batch(uint8(1), use(id, uint8(1), uint8(0), "", "")),
		"count negative":   batch(uint8(1), use(id, uint8(1), int8(-1), "", "")),
		"ip nil":           batch(uint8(1), use(id, uint8(1), uint8(1), nil, "")),
		"ip not UTF-8":     batch(uint8(1), use(id, uint8(1), uint8(1), "\xff", "")),
		"the second bad":   batch(uint8(1), use(id, uint8(1), uint8(1), "", ""), use(id, uint8(1), uint8(0), "", "")),
		"2^32 uses":        {0xdd, 0xff, 0xff, 0xff, 0xff, 0x01},
		"too many uses":    batch(append([]any{uint8(1)}, slices.Repeat([]any{use(id, uint8(1), uint8(1), "", "")}, MaxUses+1)...)...),
		"fewer than said":  {0xdc, 0x08, 0x01, 0x01},
		"a use of 2^32":    append([]byte{0x92, 0x01, 0xdd, 0xff, 0xff, 0xff, 0xff}, batch(id)[1:]...),
		"an ip of 4 GiB":   {0x92, 0x01, 0x95, 0xc4, 0x01, 0x01, 0x01, 0x01, 0xdb, 0xff, 0xff, 0xff, 0xff},
		"deep after a use": append([]byte{0x92, 0x01, 0x96}, bytes.Repeat([]byte{0x91}, 1<<20)...),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			uses, err := usesOf(data)
			if got := allocated() - before; got > uint64(2*len(data)+16<<10) {
				t.Errorf("%d bytes allocated for a batch of %d", got, len(data))
			}
			if err == nil || uses != nil {
				t.Errorf("got %+v, %v", uses, err)
			}
		})
	}
}

func TestDecodeUsageSkipsWhatLaterProgramsAdd(t *testing.T) {
	want := testUses()[1]
	data, err := msgpack.Marshal([]any{
		uint8(1), []any{want.KeyID[:], uint64(want.Last.UnixMicro()), want.Count, "", "", "new", map[string]any{"a": []int{1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := usesOf(data); err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func BenchmarkUsage(b *testing.B) {
	uses := make([]Use, 1000)
	for i := range uses {
		uses[i] = testUses()[0]
	}
	data, err := EncodeUsage(uses)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Encode1000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := EncodeUsage(uses); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Decode1000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := DecodeUsage(data, func(Use) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
