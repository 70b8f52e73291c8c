package fastapi

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is the kind of a Value.
type Kind byte

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// Value is a JSON value as it was given: numbers digit by digit, members in their order. The zero Value is null.
type Value struct {
	kind    Kind
	text    string   // a string; how a bool or a number was written
	items   []Value  // of a list
	members []Member // of an object, with unique names
}

// Member is a member of an object.
type Member struct {
	Name  string
	Value Value
}

// Text is a string.
func Text(s string) Value { return Value{kind: String, text: s} }

// Int is a whole number.
func Int(n int) Value { return Value{kind: Number, text: strconv.Itoa(n)} }

// Record is an object of these members, whose names are unique.
func Record(members ...Member) Value { return Value{kind: Object, members: members} }

// Kind is the kind of the value.
func (v Value) Kind() Kind { return v.kind }

// Text is the string that the value is, empty when it is none.
func (v Value) Text() string {
	if v.kind != String {
		return ""
	}
	return v.text
}

// Items are the items of a list, none of anything else.
func (v Value) Items() []Value { return v.items }

// Member is a member of an object, and whether there is one of that name.
func (v Value) Member(name string) (Value, bool) {
	for _, m := range v.members {
		if m.Name == name {
			return m.Value, true
		}
	}
	return Value{}, false
}

// Append appends the value as JSON without white space. NaN and the infinities, which Python reads and JSON cannot
// write, become null.
func (v Value) Append(b []byte) []byte {
	switch v.kind {
	case Bool:
		return append(b, v.text...)
	case Number:
		switch v.text {
		case "NaN", "Infinity", "-Infinity":
			return append(b, `null`...)
		}
		return append(b, v.text...)
	case String:
		return appendString(b, v.text)
	case List:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.Append(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, m.Name), ':')
			b = m.Value.Append(b)
		}
		return append(b, '}')
	default:
		return append(b, `null`...)
	}
}

// appendString appends a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}
