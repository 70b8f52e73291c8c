package replay

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// timeFormat is RFC 3339 with microseconds: what the exchange form of events has.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// kind is how a value is written in JSON.
type kind int

const (
	textKind   kind = iota // a string; null when it is absent
	timeKind               // a string; null when it is absent
	listKind               // space-delimited: an array
	objectKind             // JSON: an object
	flagKind               // "true", or empty for false
	numberKind
)

// Field is something that an event can change or tell.
type Field struct {
	Name  string // as the exchange form of events has it
	Label string // for people
	kind  kind
}

// Change is a field and its value before and after an event. Values are texts: a time in RFC 3339, a list with spaces
// between its items, "true" or "" for a flag. An absent one is empty.
type Change struct {
	Field
	Old, New string
}

// Value is a field and its value.
type Value struct {
	Field
	Text string
}

// AppendJSON appends the value as JSON.
func (v *Value) AppendJSON(dst []byte) []byte { return v.appendJSON(dst, v.Text) }

func (f *Field) appendJSON(dst []byte, text string) []byte {
	switch f.kind {
	case listKind:
		return appendList(dst, text)
	case objectKind:
		if text == "" {
			text = "{}"
		}
		return append(dst, text...)
	case flagKind:
		return strconv.AppendBool(dst, text != "")
	case numberKind:
		return append(dst, text...)
	}
	return appendText(dst, text)
}

func appendList(dst []byte, text string) []byte {
	dst = append(dst, '[')
	for item := range strings.FieldsSeq(text) {
		if dst[len(dst)-1] != '[' {
			dst = append(dst, ',')
		}
		dst = appendQuote(dst, item)
	}
	return append(dst, ']')
}

// appendText appends a string, null when it is empty.
func appendText(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, "null"...)
	}
	return appendQuote(dst, text)
}

// appendQuote appends a string. What is not UTF-8, which an event cannot have, becomes U+FFFD.
func appendQuote(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}

// changes collects what differs between two states.
type changes []Change

func (c *changes) differ(name, label string, k kind, before, after string) {
	if before != after {
		*c = append(*c, Change{Field{name, label, k}, before, after})
	}
}

func (c *changes) text(name, label, before, after string) {
	c.differ(name, label, textKind, before, after)
}
func (c *changes) list(name, label, before, after string) {
	c.differ(name, label, listKind, before, after)
}

func (c *changes) object(name, label string, before, after json.RawMessage) {
	c.differ(name, label, objectKind, string(before), string(after))
}

func (c *changes) time(name, label string, before, after time.Time) {
	if !before.Equal(after) {
		c.differ(name, label, timeKind, FormatTime(before), FormatTime(after))
	}
}

func (c *changes) flag(name, label string, before, after bool) {
	c.differ(name, label, flagKind, flagText(before), flagText(after))
}

// FormatTime is a time as the exchange form of events has it, empty for the zero time.
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}

func flagText(flag bool) string {
	if flag {
		return "true"
	}
	return ""
}
