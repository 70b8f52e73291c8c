package handlers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"keyledger/ledger"
)

// Input is the body of the request: CodeMediaType when it is there and is not declared to be JSON, else as RawInput.
func (x *Exchange) Input() ([]byte, error) {
	body, err := x.RawInput()
	if err != nil {
		return nil, err
	}
	if len(body) > 0 && !isJSON(x.Request) {
		return nil, mediaType(x.Request.Header.Get("Content-Type"))
	}
	return body, nil
}

// RawInput is the body of the request whatever it is declared to be, read once: CodeBodyTooLarge beyond Config.MaxBody.
// It is valid until the handler returns.
func (x *Exchange) RawInput() ([]byte, error) {
	if x.inputRead {
		return x.input, nil
	}
	r, limit := x.Request, x.server.config.MaxBody
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body := r.Body
	if r.ContentLength < 0 { // then it may be endless, and net/http must not wait for its end before it answers
		body = http.MaxBytesReader(x.writer, body, limit)
	}
	var err error
	if x.input, err = readAll(x.input[:0], body); err != nil {
		return nil, err
	}
	x.inputRead = true
	return x.input, nil
}

// readAll appends what r gives to b.
func readAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == nil {
			continue
		}
		if err == io.EOF {
			return b, nil
		}
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return b, tooLarge(over.Limit)
		}
		return b, &ledger.Error{Code: ledger.CodeInvalid, Detail: "the body ended early or came too late", Err: err}
	}
}

func tooLarge(limit int64) error {
	return &ledger.Error{Code: CodeBodyTooLarge, Detail: fmt.Sprintf("the body is larger than %d bytes", limit)}
}

// isJSON tells whether the request declares JSON: application/json, or a merge patch (RFC 7396) where it patches.
func isJSON(r *http.Request) bool {
	values := r.Header["Content-Type"]
	if len(values) != 1 {
		return false
	}
	if values[0] == "application/json" {
		return true
	}
	name, parameters, err := mime.ParseMediaType(values[0])
	if err != nil {
		return false
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return name == "application/json" || name == "application/merge-patch+json" && r.Method == http.MethodPatch
}

func mediaType(declared string) error {
	detail := "the body must be JSON, sent with Content-Type: application/json"
	if name, _, _ := mime.ParseMediaType(declared); name == "application/x-www-form-urlencoded" {
		detail += " (curl -d sends a form unless told: add -H 'Content-Type: application/json')"
	}
	return &ledger.Error{Code: CodeMediaType, Detail: detail}
}

// Decode reads the body into the struct that in points to: one JSON object, without unknown or duplicate members.
func (x *Exchange) Decode(in any) error { return x.decode(in, false) }

// DecodeOptional is Decode for a body that may be absent.
func (x *Exchange) DecodeOptional(in any) error { return x.decode(in, true) }

func (x *Exchange) decode(in any, optional bool) error {
	body, err := x.Input()
	if err != nil {
		return err
	}
	if len(body) == 0 && optional {
		return nil
	}
	return decodeObject(body, in)
}

func decodeObject(body []byte, in any) error {
	if text := bytes.TrimLeft(body, " \t\r\n"); len(text) == 0 || text[0] != '{' {
		return &ledger.Error{Code: ledger.CodeInvalid, Detail: "the body must be a JSON object"}
	}
	if err := json.Unmarshal(body, in, json.RejectUnknownMembers(true)); err != nil {
		return bodyError(err)
	}
	return nil
}

// bodyError says what is wrong with a body, and where, without repeating any of its values.
func bodyError(err error) error {
	e := &ledger.Error{Code: ledger.CodeInvalid}
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntactic):
		e.Field = field(syntactic.JSONPointer)
		e.Detail = fmt.Sprintf("malformed JSON at byte %d", syntactic.ByteOffset)
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			e.Detail = "the member is there twice"
		case errors.Is(err, io.ErrUnexpectedEOF):
			e.Detail = "the JSON ends too early"
		case strings.Contains(syntactic.Error(), "invalid UTF-8"):
			e.Detail = fmt.Sprintf("the body is not UTF-8 at byte %d", syntactic.ByteOffset)
		}
	case errors.As(err, &semantic):
		e.Field = field(semantic.JSONPointer)
		e.Detail = "the member must be " + wanted(semantic.GoType)
		if errors.Is(err, json.ErrUnknownName) {
			e.Detail = "there is no such member"
		}
	default:
		e.Detail = "the body could not be read"
	}
	return e
}

// field turns a JSON pointer (RFC 6901) into the dotted name of a member.
func field(p jsontext.Pointer) string {
	var names []string
	for name := range p.Tokens() {
		names = append(names, name)
	}
	return strings.Join(names, ".")
}

// wanted names in JSON's words what a Go type takes.
func wanted(t reflect.Type) string {
	if t == nil {
		return "of another type"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "an RFC 3339 time, such as 2030-01-31T12:00:00Z"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "an array of objects"
	case t.Kind() == reflect.Slice:
		return "an array of strings"
	case t.Kind() == reflect.Int64:
		return "a whole number"
	default:
		return "of another type"
	}
}

// change is a member of a patch: it knows whether it was there. null sets the zero value (RFC 7396).
type change[T any] struct {
	set   bool
	value T
}

// UnmarshalJSONFrom is called only for a member that is there.
func (c *change[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	c.set = true
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	return json.UnmarshalDecode(d, &c.value)
}

// pointer is nil for a member that was not there.
func (c *change[T]) pointer() *T {
	if !c.set {
		return nil
	}
	return &c.value
}

// moment is a time on input. Go's zero time, which programs send by mistake, would mean "absent" to the ledger.
func moment(name string, t *time.Time) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if t.IsZero() {
		return time.Time{}, &ledger.Error{Code: ledger.CodeInvalid, Field: name,
			Detail: "the year is 1: leave the member out, or send null, where no time is meant"}
	}
	return t.UTC(), nil
}
