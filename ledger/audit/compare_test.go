package audit

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestCompare: what a line says beside its leaf is what the leaf says.
func TestCompare(t *testing.T) {
	h := story(t)
	_, records := read(t, h.export(t, 1, 12, 12))
	line := string(records[0].Line)
	for name, c := range map[string]struct{ old, new, want string }{
		"the same":         {"", "", ""},
		"spaces":           {`,"id":`, `, "id" : `, ""},
		"escapes":          {`"key 0"`, `"\u006bey 0"`, ""},
		"another name":     {`"key 0"`, `"key 1"`, "member data.name does not say"},
		"another time":     {`"time":"2026`, `"time":"2027`, "member time does not"},
		"another number":   {`"tier":3`, `"tier":4`, "member data.metadata.tier does not"},
		"another kind":     {`"name":"key 0"`, `"name":0`, "member data.name does not"},
		"fewer scopes":     {`"deploy","read"`, `"deploy"`, "member data.scopes does not"},
		"other scopes":     {`"deploy","read"`, `"deploy","write"`, "member data.scopes.1 does not"},
		"null left out":    {`"org_id":null,`, ``, ""},
		"a value left out": {`"name":"key 0",`, ``, "member data.name does not"},
		"null more":        {`"org_id":null,`, `"org_id":null,"team_id":null,`, ""},
		"a value more":     {`"org_id":null,`, `"org_id":null,"team_id":"a",`, "member data.team_id does not follow"},
		"a name twice":     {`"org_id":null,`, `"org_id":null,"name":"key 1",`, "unique names"},
		"another leaf":     {`,"leaf":`, `,"leaf":"AAAA","lead":`, "member leaf does not"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.old != "" && !strings.Contains(line, c.old) {
				t.Fatalf("%s has no %s", line, c.old)
			}
			e, err := records[0].Event()
			if err != nil {
				t.Fatal(err)
			}
			changed := Record{Line: []byte(strings.Replace(line, c.old, c.new, 1))}
			_, err = changed.Compare(nil, h.leaves[0], &e, testSource)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			var d *Difference
			if errors.As(err, &d) && d.Unknown != (name == "a value more") {
				t.Errorf("unknown: %v", d.Unknown)
			}
		})
	}
}

// TestReorderedLine: a tool that orders the members of a line has changed nothing.
func TestReorderedLine(t *testing.T) {
	h := story(t)
	_, records := read(t, h.export(t, 1, 12, 12))
	for i := range records {
		start := bytes.LastIndex(records[i].Line, []byte(leafMember))
		reordered := Record{Line: []byte("{" + string(records[i].Line[start+1:len(records[i].Line)-1]) + "," + string(records[i].Line[1:start]) + "}")}
		leaf, err := reordered.Leaf()
		if err != nil {
			t.Fatal(err)
		}
		e, err := reordered.Event()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reordered.Compare(nil, leaf, &e, testSource); err != nil {
			t.Errorf("%s: %v", reordered.Line, err)
		}
	}
}
