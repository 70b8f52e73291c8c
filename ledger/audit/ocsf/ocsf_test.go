package ocsf_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyledger/events"
	"keyledger/ledger/audit/ocsf"
	"keyledger/ledger/audit/replay"
)

var update = flag.Bool("update", false, "write the golden files anew")

// lines are the lines of a history that has every type of event, with the types.
func lines(t *testing.T) (types []events.Type, all [][]byte) {
	t.Helper()
	text, err := os.ReadFile("../replay/testdata/story.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b := bufio.NewWriter(&out)
	r := replay.New(replay.Options{})
	defer r.Close()
	_, err = r.Run(func(yield func(events.Event, error) bool) {
		for line := range bytes.Lines(text) {
			e, err := events.ParseCloudEvent(line)
			if e.Payload != nil && e.Type.Shown() {
				types = append(types, e.Type)
			}
			if !yield(e, err) {
				return
			}
		}
	}, &replay.Selection{}, ocsf.NewWriter(b, "v1.2.3", func() string { return "/keyledger/main" }), func(uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	b.Flush()
	all = bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
	if len(all) != len(types) {
		t.Fatalf("%d lines of %d events", len(all), len(types))
	}
	return types, all
}

// TestGolden has a golden file for each type of event that is shown; an event of a type after the first has a number.
func TestGolden(t *testing.T) {
	types, all := lines(t)
	seen := map[events.Type]int{}
	for i, typ := range types {
		seen[typ]++
		name := string(typ)
		if n := seen[typ]; n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		var got bytes.Buffer
		if err := json.Indent(&got, all[i], "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
		file := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, &got, want)
		}
	}
	for _, typ := range []events.Type{
		events.KeyCreated, events.KeyUpdated, events.KeyRotated, events.KeyDisabled, events.KeyEnabled, events.KeyRevoked,
		events.KeyExpiring, events.KeyExpired, events.KeyFirstUsed, events.AgentRegistered, events.WebhookCreated,
		events.WebhookUpdated, events.WebhookDeleted,
	} {
		if seen[typ] == 0 {
			t.Errorf("no event of type %s", typ)
		}
	}
}

// object is an object of the schema.
type object struct {
	Attributes map[string]struct {
		Type    string
		Array   bool
		Sibling string
		Enum    map[string]string
	}
	AtLeastOne []string `json:"at_least_one"`
}

type schema struct{ Objects map[string]object }

func readSchema(t *testing.T) *schema {
	t.Helper()
	text, err := os.ReadFile("testdata/schema-" + ocsf.Version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	s := new(schema)
	if err := json.Unmarshal(text, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// check gives what of value is not as the schema has it. Names are dotted.
func (s *schema) check(name, typ string, value any) (wrong []string) {
	switch v := value.(type) {
	case string:
		if typ != "string" || v == "" {
			wrong = append(wrong, name+" is a string")
		}
	case json.Number:
		if _, err := v.Int64(); err != nil || typ != "integer" {
			wrong = append(wrong, name+" is a number")
		}
	case map[string]any:
		if typ == "object" {
			return nil
		}
		o, ok := s.Objects[typ]
		if !ok {
			return []string{name + " is an object"}
		}
		return s.checkObject(name, o, v)
	default:
		wrong = append(wrong, fmt.Sprintf("%s is a %T", name, value))
	}
	return wrong
}

func (s *schema) checkObject(name string, o object, v map[string]any) (wrong []string) {
	for attribute, a := range o.Attributes {
		bare, required := strings.CutSuffix(attribute, "!")
		value, ok := v[bare]
		if !ok {
			if required {
				wrong = append(wrong, name+"."+bare+" is missing")
			}
			continue
		}
		values := []any{value}
		if a.Array {
			if values, ok = value.([]any); !ok {
				wrong = append(wrong, name+"."+bare+" is no array")
			}
		}
		for _, value := range values {
			wrong = append(wrong, s.check(name+"."+bare, a.Type, value)...)
		}
		if a.Enum == nil {
			continue
		}
		caption, ok := a.Enum[fmt.Sprint(value)]
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s.%s is %v", name, bare, value))
		} else if caption != "Other" && v[a.Sibling] != caption {
			wrong = append(wrong, fmt.Sprintf("%s.%s is %q, not %q", name, a.Sibling, v[a.Sibling], caption))
		}
	}
	for attribute := range v {
		if _, ok := o.Attributes[attribute]; !ok {
			if _, ok := o.Attributes[attribute+"!"]; !ok {
				wrong = append(wrong, name+"."+attribute+" is not in the schema")
			}
		}
	}
	if len(o.AtLeastOne) > 0 && !slices.ContainsFunc(o.AtLeastOne, func(a string) bool { return v[a] != nil }) {
		wrong = append(wrong, name+" has none of "+strings.Join(o.AtLeastOne, ", "))
	}
	return wrong
}

func parse(t *testing.T, line []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSchema holds every line against the published schema.
func TestSchema(t *testing.T) {
	s := readSchema(t)
	types, all := lines(t)
	for i, line := range all {
		v := parse(t, line)
		for _, wrong := range s.check(string(types[i]), "entity_management", v) {
			t.Error(wrong)
		}
		number := func(name string) int64 {
			n, err := v[name].(json.Number).Int64()
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if got, want := number("type_uid"), number("class_uid")*100+number("activity_id"); got != want {
			t.Errorf("%s: type_uid is %d, want %d", types[i], got, want)
		}
		if got, want := v["type_name"], fmt.Sprintf("%s: %s", v["class_name"], v["activity_name"]); got != want {
			t.Errorf("%s: type_name is %q, want %q", types[i], got, want)
		}
		original, err := time.Parse(time.RFC3339, v["metadata"].(map[string]any)["original_time"].(string))
		if err != nil || original.UnixMilli() != number("time") {
			t.Errorf("%s: time is %d and the original %v, %v", types[i], number("time"), original, err)
		}
	}
}

// TestSchemaIsHeld: what is wrong is found, so that the test before this one can fail.
func TestSchemaIsHeld(t *testing.T) {
	s := readSchema(t)
	_, all := lines(t)
	for name, spoil := range map[string]func(v map[string]any){
		"severity_id is missing":   func(v map[string]any) { delete(v, "severity_id") },
		"uri is not in the schema": func(v map[string]any) { v["uri"] = "/" },
		"time is a string":         func(v map[string]any) { v["time"] = "now" },
		"activity_id is 14":        func(v map[string]any) { v["activity_id"] = json.Number("14") },
		"severity is \"High\"":     func(v map[string]any) { v["severity"] = "High" },
		"product is missing":       func(v map[string]any) { delete(v["metadata"].(map[string]any), "product") },
		"actor has none of":        func(v map[string]any) { v["actor"] = map[string]any{} },
		"entity_result is an object": func(v map[string]any) {
			s.Objects["managed_entity"] = object{}
			v["entity_result"] = map[string]any{}
			delete(s.Objects, "managed_entity")
		},
	} {
		v := maps.Clone(parse(t, all[3]))
		spoil(v)
		if wrong := s.check("event", "entity_management", v); !strings.Contains(strings.Join(wrong, "\n"), name) {
			t.Errorf("%s: %v", name, wrong)
		}
		s = readSchema(t)
	}
}
