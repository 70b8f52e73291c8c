package fastapi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Model reads the fields of a body or a query, in the order in which the vendor declares them, and gathers what is wrong.
// Fields that it is not asked for are ignored, as pydantic does.
type Model struct {
	Problems Problems
	place    string
	fields   Value
}

// NewModel begins with what must be an object, at a place: "body" or "query".
func NewModel(place string, fields Value) *Model {
	m := &Model{place: place, fields: fields}
	switch fields.kind {
	case Object:
	case Null:
		m.Problems = Problems{Missing(Place(place), Value{})}
	default:
		m.Problems = Problems{{
			Type:  "model_attributes_type",
			Loc:   Place(place),
			Msg:   "Input should be a valid dictionary or object to extract fields from",
			Input: fields,
		}}
	}
	return m
}

// field is a field, if it is there. That one is missing which is required is noted.
func (m *Model) field(name string, required bool) (Value, bool) {
	v, ok := m.fields.Member(name)
	if !ok && required && m.fields.kind == Object {
		m.Problems = append(m.Problems, Missing(Place(m.place, name), m.fields))
	}
	return v, ok
}

// note notes a problem of a field, or of an item of it.
func (m *Model) note(p Problem, name string, index ...Value) {
	p.Loc = append(Place(m.place, name), index...)
	m.Problems = append(m.Problems, p)
}

// TextRule is what a field that is a string must keep. Lengths are in characters; 0 is no limit.
type TextRule struct {
	Required bool
	Nullable bool   // null is as if it were absent
	Default  string // of a field that is absent and need not be there
	Min, Max int
	Pattern  *regexp.Regexp // found in the string; nil: none
}

// Text is a field that is a string.
func (m *Model) Text(name string, rule TextRule) string {
	v, ok := m.field(name, rule.Required)
	if !ok || rule.Nullable && v.kind == Null {
		return rule.Default
	}
	if p := rule.check(v); p != nil {
		m.note(*p, name)
	}
	return v.Text()
}

// check is the problem of v, without its place, nil when there is none.
func (r *TextRule) check(v Value) *Problem {
	length := utf8.RuneCountInString(v.text)
	switch {
	case v.kind != String:
		return &Problem{Type: "string_type", Msg: "Input should be a valid string", Input: v}
	case r.Max > 0 && length > r.Max:
		return &Problem{Type: "string_too_long", Msg: "String should have at most " + characters(r.Max), Input: v,
			Ctx: Record(Member{"max_length", Int(r.Max)})}
	case length < r.Min:
		return &Problem{Type: "string_too_short", Msg: "String should have at least " + characters(r.Min), Input: v,
			Ctx: Record(Member{"min_length", Int(r.Min)})}
	case r.Pattern != nil && !r.Pattern.MatchString(v.text):
		return &Problem{Type: "string_pattern_mismatch", Msg: "String should match pattern '" + r.Pattern.String() + "'", Input: v,
			Ctx: Record(Member{"pattern", Text(r.Pattern.String())})}
	}
	return nil
}

func characters(n int) string {
	if n == 1 {
		return "1 character"
	}
	return strconv.Itoa(n) + " characters"
}

// Texts is a field that is a list of strings, none when it is absent.
func (m *Model) Texts(name string) []string {
	v, ok := m.field(name, false)
	if !ok {
		return nil
	}
	if v.kind != List {
		m.note(Problem{Type: "list_type", Msg: "Input should be a valid list", Input: v}, name)
		return nil
	}
	texts := make([]string, 0, len(v.items))
	var each TextRule
	for i, item := range v.items {
		if p := each.check(item); p != nil {
			m.note(*p, name, Int(i))
		}
		texts = append(texts, item.Text())
	}
	return texts
}

// Choice is a field that is one of at least two strings; otherwise, when it is absent. An empty otherwise makes it
// required.
func (m *Model) Choice(name, otherwise string, options ...string) string {
	v, ok := m.field(name, otherwise == "")
	if !ok {
		return otherwise
	}
	if v.kind != String || !slices.Contains(options, v.text) {
		last := len(options) - 1
		expected := "'" + strings.Join(options[:last], "', '") + "' or '" + options[last] + "'"
		m.note(Problem{Type: "enum", Msg: "Input should be " + expected, Input: v,
			Ctx: Record(Member{"expected", Text(expected)})}, name)
	}
	return v.Text()
}

// Object is a field that is an object without a name twice in it, however deep, or null; null when it is absent.
func (m *Model) Object(name string) Value {
	v, _ := m.field(name, false)
	if v.kind != Null && v.kind != Object || v.repeats {
		m.note(Problem{Type: "dict_type", Msg: "Input should be a valid dictionary", Input: v}, name)
	}
	return v
}

// IntRule is what a field that is a whole number must keep.
type IntRule struct {
	Default  int64 // of a field that is absent
	Min, Max int64 // a Max of 0 is no limit
}

// Int is a parameter that is a whole number, with or without a sign. One that is too large for 64 bits is the largest of
// them, or the least.
func (m *Model) Int(name string, rule IntRule) int64 {
	v, ok := m.field(name, false)
	if !ok {
		return rule.Default
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v.Text()), 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		m.note(Problem{Type: "int_parsing", Msg: "Input should be a valid integer, unable to parse string as an integer", Input: v}, name)
	case n < rule.Min:
		m.note(Problem{Type: "greater_than_equal", Msg: fmt.Sprint("Input should be greater than or equal to ", rule.Min), Input: v,
			Ctx: Record(Member{"ge", Int(int(rule.Min))})}, name)
	case rule.Max > 0 && n > rule.Max:
		m.note(Problem{Type: "less_than_equal", Msg: fmt.Sprint("Input should be less than or equal to ", rule.Max), Input: v,
			Ctx: Record(Member{"le", Int(int(rule.Max))})}, name)
	}
	return n
}
