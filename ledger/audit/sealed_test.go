package audit

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestSecrets: they are read, after the events and before the footer, and the file is continued before them.
func TestSecrets(t *testing.T) {
	h := sealedStory(t)
	file := h.export(t, 1, 14, 14)
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var got []Secret
	r.OnSecret(func(s Secret) error { got = append(got, s); return nil })
	n := 0
	for _, err := range r.Records() {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 14 || mustJSON(t, got) != mustJSON(t, h.secrets) || r.Footer() == nil {
		t.Errorf("%d events, secrets %s, footer %v", n, mustJSON(t, got), r.Footer())
	}
	if !bytes.HasPrefix(file[r.Offset():], []byte(secretStart)) {
		t.Errorf("it is continued at %.40q", file[r.Offset():])
	}
	r, err = NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no room")
	r.OnSecret(func(Secret) error { return failure })
	for _, err = range r.Records() {
	}
	if !errors.Is(err, failure) {
		t.Errorf("what takes secrets has failed: %v", err)
	}
}

// TestSealedLines: a line tells what was sealed, or that it was erased; what it says besides must be what the leaf says.
func TestSealedLines(t *testing.T) {
	h := sealedStory(t)
	verify := func(file []byte) (found []string) {
		t.Helper()
		r, records := read(t, file)
		v := newVerification(t, Options{Most: 1, Source: r.Header().Source, Now: testTime(1000), Found: func(f Finding) {
			if !strings.Contains(f.Text, "the claim is held by") { // as it is in the story
				found = append(found, f.String())
			}
		}})
		err := v.Read(t.Context(), func(yield func(Record, error) bool) {
			for _, record := range records {
				if !yield(record, nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	whole := string(h.export(t, 1, 14, 14))
	expect(t, verify([]byte(whole)))
	if !strings.Contains(whole, `"name":"key 0"`) || !strings.Contains(whole, `"reason":"leaked"`) {
		t.Errorf("nothing is opened: %s", whole)
	}
	for what, c := range map[string]struct{ old, new, want string }{
		"another name":   {`"name":"key 0"`, `"name":"key 7"`, ""},
		"a name less":    {`"name":"key 0"`, `"name":null`, "member data.metadata"},
		"another reason": {`"reason":"leaked"`, `"reason":"mistake"`, ""},
		"a reason less":  {`"reason":"leaked"`, `"reason":null`, "member data.reason does not"},
		"an origin more": {`"ip":null`, `"ip":"192.0.2.1"`, "member data."},
		"another hint":   {`"hint":"kl_3f…9z"`, `"hint":"kl_3f…9y"`, "member data.hint does not"},
	} {
		t.Run(what, func(t *testing.T) {
			changed := strings.Replace(whole, c.old, c.new, 1)
			if changed == whole {
				t.Fatalf("nothing has changed")
			}
			found := verify([]byte(changed))
			if c.want == "" {
				expect(t, found)
			} else if len(found) != 1 || !strings.Contains(found[0], c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
	h.keys.erased = true
	erased := string(h.export(t, 1, 14, 14))
	expect(t, verify([]byte(erased)))
	if strings.Contains(erased, "key 0") || strings.Contains(erased, "leaked") || !strings.Contains(erased, `"metadata":{"erased":true}`) {
		t.Errorf("it still tells: %s", erased)
	}
}
