package fastapi

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// ErrBody is the error of a body that cannot be parsed at all: one that is not UTF-8, is nested too deeply, or escapes
// half of a surrogate pair. It is answered with 400 and BodyDetail.
var ErrBody = errors.New("fastapi: the body is no text")

// BodyDetail is what FastAPI answers about such a body.
const BodyDetail = "There was an error parsing the body"

// byteOrderMark may come before a JSON text.
const byteOrderMark = "\ufeff"

// Body reads the body of a request with these Content-Type headers as FastAPI does: none is null; what is declared to
// be JSON, or nothing at all (FastAPI before 0.132), is parsed; everything else is a string of the whole text, which is
// no object as a string in JSON is none. Its errors are Problems and ErrBody; FastAPI answers them before anything else,
// a missing token included.
func Body(contentType []string, body []byte) (Value, error) {
	switch {
	case len(body) == 0:
		return Value{}, nil
	case !utf8.Valid(body):
		return Value{}, ErrBody
	case !isJSON(contentType):
		return Text(string(body)), nil
	}
	return parse(strings.TrimPrefix(string(body), byteOrderMark))
}

// isJSON tells whether a body is taken for JSON: application/json and application/*+json, in any case and with any
// parameters. The first header counts.
func isJSON(contentType []string) bool {
	if len(contentType) == 0 || contentType[0] == "" {
		return true
	}
	declared, _, _ := strings.Cut(contentType[0], ";")
	main, sub, _ := strings.Cut(strings.ToLower(strings.TrimSpace(declared)), "/")
	return main == "application" && !strings.Contains(sub, "/") && (sub == "json" || strings.HasSuffix(sub, "+json"))
}
