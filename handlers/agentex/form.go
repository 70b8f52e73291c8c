package agentex

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"keyledger/handlers"
	"keyledger/ledger"
)

// form is an input, read member by member as FastAPI does: everything that is wrong is noted, in the order of reading,
// and unknown members are not looked at.
type form struct {
	place    string // "body" or "query"
	members  map[string]jsontext.Value
	problems []problem
}

// err is the refusal of what was read, if anything was wrong.
func (f *form) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return wrong(f.problems...)
}

func (f *form) note(name, kind, msg string) {
	f.problems = append(f.problems, problem{Loc: []any{f.place, name}, Type: kind, Msg: msg})
}

// readQuery reads the query. Of a parameter that is there twice the last one counts.
func readQuery(x *handlers.Exchange) *form {
	f := &form{place: "query", members: make(map[string]jsontext.Value)}
	for name, values := range x.Request.URL.Query() {
		text := strings.ToValidUTF8(values[len(values)-1], "\uFFFD")
		f.members[name], _ = jsontext.AppendQuote(nil, text) // it is UTF-8
	}
	return f
}

// readBody reads the body: one JSON object, declared as JSON. Of a member that is there twice the last one counts.
func readBody(x *handlers.Exchange) (*form, error) {
	body, err := x.RawInput()
	if err != nil {
		return nil, err
	}
	notObject := problem{[]any{"body"}, "Input should be a valid dictionary or object to extract fields from", "model_attributes_type"}
	switch {
	case len(body) == 0:
		return nil, wrong(problem{[]any{"body"}, "Field required", "missing"})
	case !isJSON(x.Request.Header):
		return nil, wrong(notObject)
	case !utf8.Valid(body):
		const detail = "There was an error parsing the body"
		return nil, framework(&ledger.Error{Code: ledger.CodeInvalid, Detail: detail}, http.StatusBadRequest, detail)
	}
	var value jsontext.Value
	twice := jsontext.AllowDuplicateNames(true)
	if err := json.Unmarshal(bytes.TrimPrefix(body, []byte("\uFEFF")), &value, twice); err != nil {
		return nil, malformed(err)
	}
	switch value.Kind() {
	case 'n':
		return nil, wrong(problem{[]any{"body"}, "Field required", "missing"})
	case '{':
		f := &form{place: "body"}
		if err := json.Unmarshal(value, &f.members, twice); err != nil {
			return nil, malformed(err)
		}
		return f, nil
	default:
		return nil, wrong(notObject)
	}
}

// malformed is the refusal of a body that is no JSON.
func malformed(err error) error {
	var offset int64
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		offset = syntactic.ByteOffset
	}
	return wrong(problem{[]any{"body", offset}, "JSON decode error", "json_invalid"})
}

// isJSON tells whether a body is declared as JSON: application/json or application/…+json.
func isJSON(h http.Header) bool {
	name, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	return name == "application/json" || strings.HasPrefix(name, "application/") && strings.HasSuffix(name, "+json")
}

// text is a required string.
func (f *form) text(name string) string {
	if _, ok := f.members[name]; !ok {
		f.note(name, "missing", "Field required")
		return ""
	}
	return f.string(name)
}

// limited is a required string of at most so many characters.
func (f *form) limited(name string, most int) string {
	s := f.text(name)
	if utf8.RuneCountInString(s) > most {
		f.note(name, "string_too_long", "String should have at most "+strconv.Itoa(most)+" characters")
	}
	return s
}

// optional is a string that may be absent or null.
func (f *form) optional(name string) string {
	if v, ok := f.members[name]; !ok || v.Kind() == 'n' {
		return ""
	}
	return f.string(name)
}

// string is the string under a name that is there.
func (f *form) string(name string) string {
	s, ok := unquote(f.members[name])
	if !ok {
		f.note(name, "string_type", "Input should be a valid string")
	}
	return s
}

// choice is one of some strings; otherwise, when it is absent. An empty otherwise makes it required.
func (f *form) choice(name, otherwise string, options ...string) string {
	v, ok := f.members[name]
	if !ok {
		if otherwise == "" {
			f.note(name, "missing", "Field required")
		}
		return otherwise
	}
	s, ok := unquote(v)
	for _, option := range options {
		if ok && s == option {
			return s
		}
	}
	last := len(options) - 1
	f.note(name, "enum", "Input should be '"+strings.Join(options[:last], "', '")+"' or '"+options[last]+"'")
	return ""
}

// number is a whole number in a query, at least 1 and, unless most is 0, at most that; otherwise, when it is absent. One
// that is too large for 64 bits is the largest of them.
func (f *form) number(name string, otherwise, most int64) int64 {
	v, ok := f.members[name]
	if !ok {
		return otherwise
	}
	s, _ := unquote(v)
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		f.note(name, "int_parsing", "Input should be a valid integer, unable to parse string as an integer")
	case n < 1:
		f.note(name, "greater_than_equal", "Input should be greater than or equal to 1")
	case most > 0 && n > most:
		f.note(name, "less_than_equal", "Input should be less than or equal to "+strconv.FormatInt(most, 10))
	}
	return n
}

// object is a JSON object that may be absent or null; then it is null.
func (f *form) object(name string) jsontext.Value {
	v, ok := f.members[name]
	switch {
	case !ok || v.Kind() == 'n':
		return jsontext.Value("null")
	case v.Kind() != '{' || !v.IsValid(): // it has a name twice
		f.note(name, "dict_type", "Input should be a valid dictionary")
	}
	return v
}

// matching notes that a text does not match a pattern.
func (f *form) matching(name, text, pattern string) {
	if !regexp.MustCompile(pattern).MatchString(text) {
		f.note(name, "string_pattern_mismatch", "String should match pattern '"+pattern+"'")
	}
}

// unquote is the string that a JSON value is.
func unquote(v jsontext.Value) (string, bool) {
	if v.Kind() != '"' {
		return "", false
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err == nil
}
