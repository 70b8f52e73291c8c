package events

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func headersOf(h *Header) map[string]string {
	headers := make(map[string]string)
	h.Each(func(name, value string) { headers[name] = value })
	return headers
}

func TestParseHeaderIsTheInverseOfEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEvent(t).Header
		headers := headersOf(&want)
		got, err := ParseHeader(func(name string) string { return headers[name] })
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestEachLeavesOutAnAbsentRequestID(t *testing.T) {
	h := testEvents()["key.created-bare"].Header
	if value, ok := headersOf(&h)[HeaderRequestID]; ok {
		t.Errorf("%s: %q", HeaderRequestID, value)
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	const (
		id   = "01978d2c-8f00-7b00-8000-0000000000e1"
		when = "2026-01-02T03:04:05.000006Z"
	)
	for name, values := range map[string][]string{
		HeaderID: {
			"", "x", strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), id + " ",
			"00000000-0000-0000-0000-000000000000", strings.Replace(id, "-", "_", 1),
		},
		HeaderType:    {"", "key created", "key.created\n", strings.Repeat("t", 129), "schlüssel"},
		HeaderVersion: {"", "0", "-1", "+1", "01", "1.0", "1 ", "65536", "x", "18446744073709551617"},
		HeaderTime: {
			"", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.006Z", "2026-01-02T03:04:05.000000006Z",
			"2026-01-02T03:04:05.000006+00:00", "2026-01-02T03:04:05,000006Z", "2026-01-02 03:04:05.000006Z",
			"2026-02-30T03:04:05.000006Z", "2026-01-02T24:04:05.000006Z", "2026-01-02T03:04:60.000006Z",
			"1970-01-01T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z", "2026-01-02T03:04:05.00000xZ", when + " ",
			"2026-01-02T3:04:05.0000006Z", "2026-01-02t03:04:05.000006z",
		},
		HeaderActor:     {"", "two words", "a\nb", "ä", strings.Repeat("a", 129)},
		HeaderRequestID: {" ", "two words", "a\r\nb", "ä", strings.Repeat("a", 129)},
	} {
		for _, value := range values {
			h := testEvents()["key.created"].Header
			headers := headersOf(&h)
			headers[name] = value
			got, err := ParseHeader(func(name string) string { return headers[name] })
			if err == nil {
				t.Errorf("%s: %q gave %+v", name, value, got)
			} else if !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %q: the message %q does not name the header", name, value, err)
			}
		}
	}
}

func BenchmarkParseHeader(b *testing.B) {
	h := testEvents()["key.created"].Header
	headers := headersOf(&h)
	get := func(name string) string { return headers[name] }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHeader(get); err != nil {
			b.Fatal(err)
		}
	}
}
