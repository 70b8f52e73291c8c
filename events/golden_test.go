package events

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
)

var update = flag.Bool("update", false, "write the golden files that are missing; one that is there stays")

func TestGoldenMessages(t *testing.T) {
	for name, e := range testEvents() {
		t.Run(name, func(t *testing.T) {
			m := mustEncode(t, e)
			want := golden(t, fmt.Sprintf("%s.v%d.golden", name, m.Version), formatMessage(&m))
			if got := formatMessage(&m); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			stored := parseMessage(t, want)
			stored.Sequence = e.Sequence
			if got, err := Decode(&stored, nil); err != nil || !reflect.DeepEqual(got, e) {
				t.Errorf("got %+v, %v, want %+v", got, err, e)
			}
		})
	}
}

func TestGoldenSealedMessages(t *testing.T) {
	for name, e := range testEvents() {
		t.Run(name, func(t *testing.T) {
			m := mustSeal(t, e)
			want := golden(t, fmt.Sprintf("%s.v%d.golden", name, m.Version), formatMessage(&m))
			if got := formatMessage(&m); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			stored := parseMessage(t, want)
			stored.Sequence = e.Sequence
			got, err := Decode(&stored, testKeys{})
			if got.Sealed > 1 {
				t.Errorf("generation %d", got.Sealed)
			}
			if got.Version, got.Sealed = e.Version, 0; err != nil || !reflect.DeepEqual(got, e) {
				t.Errorf("got %+v, %v, want %+v", got, err, e)
			}
		})
	}
}

func TestGoldenUsage(t *testing.T) {
	uses := testUses()
	data, err := EncodeUsage(uses)
	if err != nil {
		t.Fatal(err)
	}
	want := golden(t, "usage.v1.golden", formatHex(data))
	if got := formatHex(data); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var got []Use
	if err := DecodeUsage(parseHex(t, want), func(u Use) { got = append(got, u) }); err != nil || !reflect.DeepEqual(got, uses) {
		t.Errorf("got %+v, %v, want %+v", got, err, uses)
	}
}

// TestEveryLayoutHasAGoldenFile also reads the files of layouts that are no longer written.
func TestEveryLayoutHasAGoldenFile(t *testing.T) {
	for _, typ := range allTypes() {
		for version := 1; newBody(layout{typ, version}) != nil; version++ {
			files, err := filepath.Glob(fmt.Sprintf("testdata/%s*.v%d.golden", typ, version))
			if err != nil || len(files) == 0 {
				t.Errorf("%s version %d has no golden file: %v", typ, version, err)
			}
			for _, file := range files {
				m := parseMessage(t, readFile(t, file))
				if m.Type != typ || m.Version != version {
					t.Errorf("%s holds a %s of version %d", file, m.Type, m.Version)
				}
				if _, err := Decode(&m, nil); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}

func TestGoldenFilesAreNotOverwritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.golden")
	if err := writeMissing(file, "first"); err != nil {
		t.Fatal(err)
	}
	if err := writeMissing(file, "second"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the second write: %v", err)
	}
	if got := readFile(t, file); got != "first" {
		t.Errorf("the file holds %q", got)
	}
}

// golden gives the text of a golden file. With -update, a file that is missing gets the text first.
func golden(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := writeMissing(file, text); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	return readFile(t, file)
}

func writeMissing(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func formatMessage(m *Message) string {
	var b strings.Builder
	b.WriteString(m.Subject + "\n")
	m.Header.Each(func(name, value string) { b.WriteString(name + ": " + value + "\n") })
	b.WriteString("\n" + formatHex(m.Data))
	return b.String()
}

func parseMessage(t *testing.T, text string) Message {
	t.Helper()
	head, body, ok := strings.Cut(text, "\n\n")
	if !ok {
		t.Fatal("no empty line in a golden message")
	}
	subject, lines, _ := strings.Cut(head, "\n")
	headers := make(map[string]string)
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		headers[name] = value
	}
	h, err := ParseHeader(func(name string) string { return headers[name] })
	if err != nil {
		t.Fatal(err)
	}
	return Message{Header: h, Subject: subject, Data: parseHex(t, body)}
}

// formatHex gives lines of 32 bytes.
func formatHex(data []byte) string {
	var b bytes.Buffer
	for len(data) > 0 {
		n := min(32, len(data))
		b.WriteString(hex.EncodeToString(data[:n]) + "\n")
		data = data[n:]
	}
	return b.String()
}

func parseHex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func testUses() []Use {
	return []Use{
		{
			KeyID: uuid.MustParse(testKey), Last: testTime("2026-01-02T03:04:05.000006Z"), Count: 1,
			Origin: Origin{IP: "2001:db8::1", UserAgent: "curl/8.5.0"},
		},
		{
			KeyID: uuid.MustParse("01978d2c-8f00-7a00-8000-000000000002"), Last: testTime("2026-01-02T03:04:06Z"),
			Count: 1 << 40,
		},
	}
}
