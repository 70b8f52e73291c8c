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

func testReads() []Read {
	return []Read{
		{
			Time: testTime("2026-01-02T03:04:05.000006Z"), Actor: testKey, Origin: Origin{IP: "2001:db8::1", UserAgent: "curl/8.5.0"},
			RequestID: "r-1", Route: "GET /v1/keys", Asked: "status=active&workspace_id=acme", Status: 200,
		},
		{
			Time: testTime("2026-01-02T03:04:06Z"), Actor: "system", Route: "GET /v1/keys/{id}", Status: 404,
			KeyID: uuid.MustParse("01978d2c-8f00-7a00-8000-000000000002"),
		},
	}
}

func drawRead(t *rapid.T) Read {
	r := Read{
		Time: drawTime(t, "time"), Actor: drawText(t, "actor", 1, maxReadName),
		Origin:    Origin{IP: drawText(t, "ip", 0, maxIP), UserAgent: drawText(t, "user agent", 0, maxUserAgent)},
		RequestID: drawText(t, "request id", 0, maxReadName), Route: drawText(t, "route", 1, maxReadName),
		Asked: drawText(t, "asked", 0, maxAsked), Status: rapid.IntRange(100, 999).Draw(t, "status"),
	}
	if rapid.Bool().Draw(t, "of a key") {
		r.KeyID = drawUUID(t, "key")
	}
	return r
}

func TestDecodeReadsIsTheInverseOfEncodeReads(t *testing.T) {
	inverse(t, drawRead, 20, EncodeReads, DecodeReads)
}

func TestGoldenReads(t *testing.T) {
	reads := testReads()
	data, err := EncodeReads(reads)
	if err != nil {
		t.Fatal(err)
	}
	want := golden(t, "reads.v1.golden", formatHex(data))
	if got := formatHex(data); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, err := DecodeReads(parseHex(t, want)); err != nil || !reflect.DeepEqual(got, reads) {
		t.Errorf("got %+v, %v, want %+v", got, err, reads)
	}
}

func TestABatchOfMostReadsFitsAMessage(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	reads := slices.Repeat([]Read{{
		Time: time.UnixMicro(maxMicros), Actor: long, Origin: Origin{IP: long, UserAgent: long}, RequestID: long, Route: long,
		Asked: long, KeyID: uuid.MustParse(testKey), Status: 999,
	}}, MaxReads)
	data, err := EncodeReads(reads)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 1<<20 {
		t.Errorf("%d bytes, more than 1 MiB", len(data))
	}
	if got, err := DecodeReads(data); err != nil || len(got) != MaxReads || len(got[0].Asked) != maxAsked {
		t.Errorf("%d reads back, %v", len(got), err)
	}
}

func TestEncodeReadsRefuses(t *testing.T) {
	edit := func(edit func(*Read)) []Read {
		reads := testReads()
		edit(&reads[1])
		return reads
	}
	for name, reads := range map[string][]Read{
		"too many":  make([]Read, MaxReads+1),
		"no actor":  edit(func(r *Read) { r.Actor = "" }),
		"no route":  edit(func(r *Read) { r.Route = "" }),
		"no status": edit(func(r *Read) { r.Status = 0 }),
		"no time":   edit(func(r *Read) { r.Time = time.Time{} }),
	} {
		if data, err := EncodeReads(reads); err == nil || data != nil {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func TestDecodeReadsRefuses(t *testing.T) {
	batch := func(values ...any) []byte {
		data, err := msgpack.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	no := make([]byte, 16)
	read := func(values ...any) []any { return values }
	good := read(uint8(1), "a", "", "", "", "r", "", no, uint16(200))
	with := func(i int, v any) []any {
		bad := slices.Clone(good)
		bad[i] = v
		return bad
	}
	if _, err := DecodeReads(batch(uint8(1), good)); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing":          {},
		"nil":              {0xc0},
		"a map":            {0x80},
		"no version":       {0x90},
		"version 2":        batch(uint8(2)),
		"bytes after":      append(batch(uint8(1)), 0),
		"a read too short": batch(uint8(1), good[:8]),
		"a read of nil":    batch(uint8(1), nil),
		"time zero":        batch(uint8(1), with(0, uint8(0))),
		"no actor":         batch(uint8(1), with(1, "")),
		"ip nil":           batch(uint8(1), with(2, nil)),
		"agent not UTF-8":  batch(uint8(1), with(3, "\xff")),
		"no route":         batch(uint8(1), with(5, "")),
		"key too short":    batch(uint8(1), with(7, no[:15])),
		"status 99":        batch(uint8(1), with(8, uint8(99))),
		"status 1000":      batch(uint8(1), with(8, uint16(1000))),
		"status negative":  batch(uint8(1), with(8, int8(-1))),
		"the second bad":   batch(uint8(1), good, with(0, uint8(0))),
		"2^32 reads":       {0xdd, 0xff, 0xff, 0xff, 0xff, 0x01},
		"too many reads":   batch(append([]any{uint8(1)}, slices.Repeat([]any{good}, MaxReads+1)...)...),
		"fewer than said":  {0xdc, 0x01, 0x01, 0x01},
		"deep after":       append(append([]byte{0x92, 0x01, 0x9a}, batch(good...)[1:]...), bytes.Repeat([]byte{0x91}, 1<<20)...),
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			reads, err := DecodeReads(data)
			if got := allocated() - before; got > uint64(16*len(data)+16<<10) {
				t.Errorf("%d bytes allocated for a batch of %d", got, len(data))
			}
			if err == nil || reads != nil {
				t.Errorf("got %+v, %v", reads, err)
			}
		})
	}
}

func TestDecodeReadsSkipsWhatLaterProgramsAdd(t *testing.T) {
	data, err := msgpack.Marshal([]any{
		uint8(1), []any{uint8(1), "a", "", "", "", "r", "", make([]byte, 16), uint16(200), "new", map[string]any{"a": []int{1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeReads(data); err != nil || len(got) != 1 || got[0].Status != 200 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// FuzzDecodeReads decodes anything as a batch. What is accepted must survive being encoded again.
func FuzzDecodeReads(f *testing.F) {
	for _, reads := range [][]Read{nil, testReads(), testReads()[1:]} {
		data, err := EncodeReads(reads)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		want, err := DecodeReads(data)
		if err != nil {
			if want != nil {
				t.Fatalf("%+v beside %v", want, err)
			}
			return
		}
		for i := range want {
			want[i] = want[i].clean()
		}
		again, err := EncodeReads(want)
		if err != nil {
			t.Fatalf("%+v was decoded and cannot be encoded: %v", want, err)
		}
		if got, err := DecodeReads(again); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	})
}
