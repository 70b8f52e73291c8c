package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

var update = flag.Bool("update", false, "write the golden file if it is missing; one that is there stays")

// TestGoldenExport: the format of version 2 never changes.
func TestGoldenExport(t *testing.T) {
	const name = "testdata/export.v2.ndjson"
	h := sealedStory(t)
	got := h.export(t, 4, 14, len(h.leaves))
	if _, err := os.Stat(name); *update && err != nil {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestOldExport: a file of version 1 is read and verified for ever. It has no secrets, and nothing in it is sealed.
func TestOldExport(t *testing.T) {
	file, err := os.ReadFile("testdata/export.v1.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	h := story(t)
	r, records := read(t, file)
	if r.Header().Version != 1 || len(records) != 6 || r.Footer().To != 9 {
		t.Fatalf("%+v %d %+v", r.Header(), len(records), r.Footer())
	}
	for i := range records {
		leaf, err := records[i].Leaf()
		if err != nil || !bytes.Equal(leaf, h.leaves[3+i]) {
			t.Fatal(i, err)
		}
		e, err := records[i].Event()
		if err == nil {
			_, err = records[i].Compare(nil, leaf, &e, testSource)
		}
		if err != nil {
			t.Errorf("event %d: %v", e.Sequence, err)
		}
	}
}

// read reads a whole export.
func read(t testing.TB, file []byte) (*Reader, []Record) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var records []Record
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r, records
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
}

// TestEveryPartHasTheRoot: of whatever part of a ledger is exported, the root of the whole is computed.
func TestEveryPartHasTheRoot(t *testing.T) {
	h := newHistory(t)
	for n := range 20 {
		h.create(t, n)
	}
	for size := range len(h.leaves) + 1 {
		want, err := tlog.TreeHash(int64(size), h.hashes)
		if err != nil {
			t.Fatal(err)
		}
		for from := 1; from <= size+1; from++ {
			for to := from - 1; to <= size; to++ {
				r, records := read(t, h.export(t, from, to, size))
				tree, err := NewTree(r.Header().From, r.Header().Before)
				if err != nil {
					t.Fatal(err)
				}
				for i := range records {
					leaf, err := records[i].Leaf()
					if err != nil || !bytes.Equal(leaf, h.leaves[from-1+i]) {
						t.Fatalf("event %d: %x, %v", from+i, leaf, err)
					}
					if err := tree.Add(tlog.RecordHash(leaf)); err != nil {
						t.Fatal(err)
					}
				}
				got, err := tree.Root(uint64(size), r.Footer().After)
				if err != nil || got != want || r.Footer().To != uint64(to) {
					t.Errorf("from %d to %d of %d: root %v, %v, want %v", from, to, size, got, err, want)
				}
			}
		}
	}
}

// TestEvents: what is read back is what was stored.
func TestEvents(t *testing.T) {
	h := story(t)
	r, err := NewReader(bytes.NewReader(h.export(t, 1, len(h.leaves), len(h.leaves))))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range r.Events() {
		if err != nil {
			t.Fatal(err)
		}
		m, err := events.Encode(&e, nil)
		if leaf := events.AppendLeaf(nil, &m); err != nil || !bytes.Equal(leaf, h.leaves[n]) {
			t.Errorf("event %d: %v\n%x\n%x", n+1, err, leaf, h.leaves[n])
		}
		n++
	}
	if n != len(h.leaves) {
		t.Errorf("%d events", n)
	}
}

// TestLinesAreCloudEvents: a line has what the exchange form has, and the leaf.
func TestLinesAreCloudEvents(t *testing.T) {
	h := story(t)
	_, records := read(t, h.export(t, 1, len(h.leaves), len(h.leaves)))
	for i := range records {
		e, err := records[i].Event()
		if err != nil {
			t.Fatal(err)
		}
		text, err := events.AppendCloudEvent(nil, &e, testSource)
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if json.Unmarshal(text, &want) != nil || json.Unmarshal(records[i].Line, &got) != nil {
			t.Fatalf("not JSON: %s", records[i].Line)
		}
		delete(got, "leaf")
		if a, b := mustJSON(t, want), mustJSON(t, got); a != b {
			t.Errorf("%s\nis not\n%s", b, a)
		}
	}
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestWriterRefusesGaps: what does not follow is not written.
func TestWriterRefusesGaps(t *testing.T) {
	h := story(t)
	var file bytes.Buffer
	w, err := NewWriter(&file, Header{Origin: testOrigin, From: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(h.leaves[0], nil); err != nil {
		t.Fatal(err)
	}
	size := file.Len()
	for _, leaf := range [][]byte{h.leaves[0], h.leaves[2], nil, h.leaves[1][:40]} {
		if err := w.Append(leaf, nil); err == nil || file.Len() != size {
			t.Errorf("%x is written, %v", leaf, err)
		}
	}
}

// TestReaderRefuses names what is wrong with a file.
func TestReaderRefuses(t *testing.T) {
	h := story(t)
	whole := string(h.export(t, 1, 5, 12))
	lines := strings.SplitAfter(whole, "\n")
	replaced := func(n int, old, new string) string {
		changed := slices.Clone(lines)
		changed[n] = strings.Replace(changed[n], old, new, 1)
		return strings.Join(changed, "")
	}
	for name, c := range map[string]struct{ file, want string }{
		"empty":          {"", "not an export of a ledger"},
		"binary":         {"\x00\x01\n", "not an export of a ledger"},
		"other JSON":     {"{}\n", "not an export of a ledger"},
		"other format":   {replaced(0, Format, "keyledger.other"), "not an export of a ledger"},
		"other version":  {replaced(0, `"version":2`, `"version":3`), "version 3, and this program knows versions up to 2"},
		"no version":     {replaced(0, `"version":2`, `"version":0`), "version 0"},
		"no secret":      {replaced(5, `{"specversion"`, `{"secret":"3f","value":"AAAA","specversion"`), "line 6: not a secret"},
		"after a secret": {replaced(5, `{"specversion"`, `{"secret":"`+strings.Repeat("3f", 32)+`","value":"AAAA"}`+"\n"+`{"specversion"`), "line 7: it comes after a secret"},
		"no first":       {replaced(0, `"from":1`, `"from":0`), "not number 1"},
		"hashes before":  {replaced(0, `"from":1`, `"from":4`), "hashes before event 4"},
		"no footer":      {strings.Join(lines[:6], ""), "interrupted"},
		"half a line":    {whole[:len(whole)-1], "interrupted"},
		"after the end":  {whole + "\n", "line 8: there is more after the footer"},
		"a long line":    {lines[0] + strings.Repeat(" ", MaxLine) + "\n", "line 2: it is longer"},
		"no leaf":        {replaced(3, `"leaf"`, `"lead"`), "line 4: leaf: it is absent"},
		"not base64":     {replaced(3, `"leaf":"`, `"leaf":"!`), "line 4: leaf: illegal base64"},
		"not JSON":       {replaced(3, `"leaf":"`, `"leaf:"`), "line 4: not the line of an event"},
		"damaged leaf":   {replaced(3, `"leaf":"AQ`, `"leaf":"Ag`), "line 4: events: not a leaf of version 1"},
		"garbage at end": {lines[0] + "x", "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewReader(strings.NewReader(c.file))
			if err == nil {
				for _, err = range r.Events() {
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestOffset: the rest of an interrupted export is written where its last whole line ends.
func TestOffset(t *testing.T) {
	h := story(t)
	whole := h.export(t, 1, 12, 12)
	for cut := 0; cut < len(whole); cut += 29 {
		r, err := NewReader(bytes.NewReader(whole[:cut]))
		if err != nil {
			continue // within the header
		}
		n := 0
		for _, err = range r.Events() {
			if err == nil {
				n++
			}
		}
		if !errors.Is(err, ErrInterrupted) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		rest := bytes.NewBuffer(bytes.Clone(whole[:r.Offset()]))
		w := ContinueWriter(rest, r.Header(), uint64(1+n))
		for _, leaf := range h.leaves[n:] {
			if err := w.Append(leaf, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(Footer{Checkpoint: h.checkpoint(t, 12)}); err != nil || !bytes.Equal(rest.Bytes(), whole) {
			t.Fatalf("cut at %d: %v, another file", cut, err)
		}
	}
}

// FuzzReader: whatever is read as an event can be written, and says the same then.
func FuzzReader(f *testing.F) {
	h := story(f)
	f.Add(h.export(f, 1, 12, 12))
	f.Add(h.export(f, 4, 6, 9))
	f.Add(h.export(f, 4, 3, 12))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		for {
			record, err := r.Next()
			if err != nil {
				break
			}
			leaf, err := record.Leaf()
			if err != nil {
				continue
			}
			e, err := record.Event()
			if err != nil {
				continue
			}
			_, difference := record.Compare(nil, leaf, &e, r.Header().Source)
			line, err := AppendRecord(nil, leaf, record.opener(nil), r.Header().Source)
			if err != nil {
				t.Fatal(err)
			}
			again := Record{Line: bytes.TrimSuffix(line, []byte{'\n'})}
			if got, err := again.Leaf(); err != nil || !bytes.Equal(got, leaf) {
				t.Errorf("%x became %x, %v", leaf, got, err)
			}
			if bytes.Equal(again.Line, record.Line) && difference != nil {
				t.Errorf("%s differs from itself: %v", record.Line, difference)
			}
		}
		if r.Offset() > int64(len(file)) {
			t.Errorf("offset %d of %d", r.Offset(), len(file))
		}
	})
}
