package audit

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"keyledger/events"
)

// Difference tells that a line of an export says something else than its leaf.
type Difference struct {
	Member  string // dotted
	Unknown bool   // it is one that this program does not write; a newer one may
}

func (d *Difference) Error() string {
	if d.Unknown {
		return fmt.Sprintf("its member %s does not follow from its leaf, as far as this program knows", d.Member)
	}
	return fmt.Sprintf("its member %s does not say what its leaf says", d.Member)
}

// Compare holds the line against the event of its leaf: it fails with a *Difference when a member says something else. A
// member that is null or empty may be there or not, since programs of other versions know fewer or more. buf is scratch
// space, which is returned to be used again.
func (r *Record) Compare(buf, leaf []byte, e *events.Event, source string) ([]byte, error) {
	buf, err := appendRecord(buf[:0], leaf, e, source)
	if err != nil {
		return buf, err
	}
	want := bytes.TrimSuffix(buf, []byte{'\n'})
	if bytes.Equal(want, r.Line) {
		return buf, nil
	}
	return buf, compare("", want, r.Line)
}

// compare compares two JSON values, of which names is the place.
func compare(name string, want, got jsontext.Value) error {
	differs := &Difference{Member: name}
	if want.Kind() != got.Kind() {
		return differs
	}
	switch want.Kind() {
	case '{':
		return compareObjects(name, want, got)
	case '[':
		return compareArrays(name, want, got)
	case '"':
		var w, g string
		if json.Unmarshal(want, &w) != nil || json.Unmarshal(got, &g) != nil || w != g {
			return differs
		}
	default:
		if !bytes.Equal(bytes.TrimSpace(want), bytes.TrimSpace(got)) {
			return differs
		}
	}
	return nil
}

func compareObjects(name string, want, got jsontext.Value) error {
	var w, g map[string]jsontext.Value
	if err := json.Unmarshal(want, &w); err != nil {
		return err
	}
	if err := json.Unmarshal(got, &g); err != nil { // a name that comes twice is one
		return fmt.Errorf("not one JSON object of unique names: %w", err)
	}
	if name != "" {
		name += "."
	}
	for _, member := range slices.Sorted(maps.Keys(w)) {
		value, ok := g[member]
		if !ok && isNothing(w[member]) {
			continue
		} else if !ok {
			return &Difference{Member: name + member}
		}
		if err := compare(name+member, w[member], value); err != nil {
			return err
		}
	}
	for _, member := range slices.Sorted(maps.Keys(g)) {
		if _, ok := w[member]; !ok && !isNothing(g[member]) {
			return &Difference{Member: name + member, Unknown: true}
		}
	}
	return nil
}

func compareArrays(name string, want, got jsontext.Value) error {
	var w, g []jsontext.Value
	if json.Unmarshal(want, &w) != nil || json.Unmarshal(got, &g) != nil || len(w) != len(g) {
		return &Difference{Member: name}
	}
	for i := range w {
		if err := compare(fmt.Sprintf("%s.%d", name, i), w[i], g[i]); err != nil {
			return err
		}
	}
	return nil
}

// isNothing tells that a value says no more than its absence.
func isNothing(v jsontext.Value) bool {
	switch string(v) {
	case "null", "false", "{}", "[]", `""`:
		return true
	}
	return false
}
