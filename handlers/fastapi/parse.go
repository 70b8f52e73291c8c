package fastapi

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep lists and objects may be nested: about what Python's stack lets its parser do.
const maxDepth = 1000

// flaw is why a text is no JSON, in the words of Python's json module (3.12), and where: a byte offset.
type flaw struct {
	what string
	at   int
}

func (f *flaw) Error() string { return f.what }

// parse reads a JSON text as Python's json.loads does: NaN, Infinity and -Infinity are numbers, and of the members of
// one name the last one stays, in the place of the first. Its errors are Problems of type json_invalid, whose place is
// counted in characters, and ErrBody.
func parse(text string) (Value, error) {
	s := scanner{text: text}
	v, end, err := s.value(s.space(0), 0)
	if err == nil {
		end = s.space(end)
		switch {
		case end < len(text):
			err = &flaw{"Extra data", end}
		case s.half:
			err = ErrBody
		default:
			return v, nil
		}
	}
	var f *flaw
	if !errors.As(err, &f) {
		return Value{}, err
	}
	return Value{}, Problems{{
		Type:  "json_invalid",
		Loc:   append(Place("body"), Int(utf8.RuneCountInString(text[:f.at]))),
		Msg:   "JSON decode error",
		Input: Record(),
		Ctx:   Record(Member{"error", Text(f.what)}),
	}}
}

// scanner reads parts of a text. What it reads begins at a byte offset; it returns the offset behind it.
type scanner struct {
	text string
	half bool // half of a surrogate pair was escaped: Python reads it, but it is no text
}

// space is the offset behind white space.
func (s *scanner) space(at int) int {
	for at < len(s.text) && strings.IndexByte(" \t\n\r", s.text[at]) >= 0 {
		at++
	}
	return at
}

// has tells whether c stands at an offset.
func (s *scanner) has(at int, c byte) bool { return at < len(s.text) && s.text[at] == c }

func (s *scanner) value(at, depth int) (Value, int, error) {
	switch {
	case s.has(at, '"'):
		text, next, err := s.string(at)
		return Text(text), next, err
	case depth == maxDepth && (s.has(at, '{') || s.has(at, '[')):
		return Value{}, 0, ErrBody
	case s.has(at, '{'):
		return s.object(at+1, depth+1)
	case s.has(at, '['):
		return s.list(at+1, depth+1)
	}
	rest := s.text[at:]
	for _, word := range [...]struct {
		text string
		kind Kind
	}{
		{"null", Null}, {"true", Bool}, {"false", Bool},
		{"NaN", Number}, {"Infinity", Number}, {"-Infinity", Number},
	} {
		if strings.HasPrefix(rest, word.text) {
			return Value{kind: word.kind, text: word.text}, at + len(word.text), nil
		}
	}
	length := numberLength(rest)
	if length == 0 {
		return Value{}, 0, &flaw{"Expecting value", at}
	}
	return Value{kind: Number, text: rest[:length]}, at + length, nil
}

// numberLength is the length of the number that text begins with, 0 when it does not begin with one.
func numberLength(text string) int {
	n := 0
	if strings.HasPrefix(text, "-") {
		n = 1
	}
	whole := countDigits(text[n:])
	switch {
	case whole == 0:
		return 0
	case text[n] == '0':
		n++
	default:
		n += whole
	}
	if strings.HasPrefix(text[n:], ".") {
		if fraction := countDigits(text[n+1:]); fraction > 0 {
			n += 1 + fraction
		}
	}
	if n < len(text) && (text[n] == 'e' || text[n] == 'E') {
		sign := n + 1
		if sign < len(text) && (text[sign] == '+' || text[sign] == '-') {
			sign++
		}
		if exponent := countDigits(text[sign:]); exponent > 0 {
			n = sign + exponent
		}
	}
	return n
}

// countDigits is how many digits text begins with.
func countDigits(text string) int { return len(text) - len(strings.TrimLeft(text, "0123456789")) }

// list reads what is behind the opening bracket of a list.
func (s *scanner) list(at, depth int) (Value, int, error) {
	v := Value{kind: List}
	if at = s.space(at); s.has(at, ']') {
		return v, at + 1, nil
	}
	for {
		item, next, err := s.value(at, depth)
		if err != nil {
			return Value{}, 0, err
		}
		v.items = append(v.items, item)
		switch at = s.space(next); {
		case s.has(at, ']'):
			return v, at + 1, nil
		case !s.has(at, ','):
			return Value{}, 0, &flaw{"Expecting ',' delimiter", at}
		}
		at = s.space(at + 1)
	}
}

// object reads what is behind the opening brace of an object.
func (s *scanner) object(at, depth int) (Value, int, error) {
	v := Value{kind: Object}
	if at = s.space(at); s.has(at, '}') {
		return v, at + 1, nil
	}
	places := make(map[string]int)
	for {
		m, next, err := s.member(at, depth)
		if err != nil {
			return Value{}, 0, err
		}
		if place, again := places[m.Name]; again {
			v.members[place].Value = m.Value
		} else {
			places[m.Name] = len(v.members)
			v.members = append(v.members, m)
		}
		switch at = s.space(next); {
		case s.has(at, '}'):
			return v, at + 1, nil
		case !s.has(at, ','):
			return Value{}, 0, &flaw{"Expecting ',' delimiter", at}
		}
		at = s.space(at + 1)
	}
}

func (s *scanner) member(at, depth int) (m Member, next int, err error) {
	if !s.has(at, '"') {
		return Member{}, 0, &flaw{"Expecting property name enclosed in double quotes", at}
	}
	if m.Name, at, err = s.string(at); err != nil {
		return Member{}, 0, err
	}
	if at = s.space(at); !s.has(at, ':') {
		return Member{}, 0, &flaw{"Expecting ':' delimiter", at}
	}
	m.Value, next, err = s.value(s.space(at+1), depth)
	return m, next, err
}
