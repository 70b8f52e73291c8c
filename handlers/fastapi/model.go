package fastapi

import (
	"regexp"
	"strconv"
	"unicode/utf8"
)

// Model reads the fields of a body, in the order in which the vendor declares them, and gathers what is wrong. Fields
// that it is not asked for are ignored, as pydantic does.
type Model struct {
	Problems Problems
	body     Value
}

// NewModel begins with a body that must be an object.
func NewModel(body Value) *Model {
	m := &Model{body: body}
	switch body.kind {
	case Object:
	case Null:
		m.Problems = Problems{Missing(Place("body"), Value{})}
	default:
		m.Problems = Problems{{
			Type:  "model_attributes_type",
			Loc:   Place("body"),
			Msg:   "Input should be a valid dictionary or object to extract fields from",
			Input: body,
		}}
	}
	return m
}

// TextRule is what a field that is a string must keep. Lengths are in characters; 0 is no limit.
type TextRule struct {
	Required bool
	Default  string // of a field that is absent and need not be there
	Min, Max int
	Pattern  *regexp.Regexp // found in the string; nil: none
}

// Text is a field that is a string.
func (m *Model) Text(name string, rule TextRule) string {
	v, ok := m.body.Member(name)
	switch {
	case ok:
		if p := rule.check(v); p != nil {
			p.Loc = Place("body", name)
			m.Problems = append(m.Problems, *p)
		}
		return v.Text()
	case rule.Required && m.body.kind == Object:
		m.Problems = append(m.Problems, Missing(Place("body", name), m.body))
	}
	return rule.Default
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
	v, ok := m.body.Member(name)
	if !ok {
		return nil
	}
	if v.kind != List {
		m.Problems = append(m.Problems, Problem{
			Type: "list_type", Loc: Place("body", name), Msg: "Input should be a valid list", Input: v,
		})
		return nil
	}
	texts := make([]string, 0, len(v.items))
	var each TextRule
	for i, item := range v.items {
		if p := each.check(item); p != nil {
			p.Loc = append(Place("body", name), Int(i))
			m.Problems = append(m.Problems, *p)
		}
		texts = append(texts, item.Text())
	}
	return texts
}
