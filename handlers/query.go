package handlers

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keyledger/ledger"
)

// defaultLimit is how many entries a page has when no limit is given.
const defaultLimit = 50

// Parameters are the query parameters of a request, each given once, not empty.
type Parameters map[string]string

// readQuery reads the query of the request, in which only what the route takes may stand.
func (x *Exchange) readQuery() (err error) {
	if raw := x.Request.URL.RawQuery; raw != "" && !x.route.AnyQuery {
		x.Query, err = parseQuery(raw, x.route.Query)
	}
	return err
}

func parseQuery(raw string, names []string) (Parameters, error) {
	p := make(Parameters)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, invalid("query", "the query is not well formed")
		}
		value, err := url.QueryUnescape(rawValue)
		switch _, repeated := p[name]; {
		case !slices.Contains(names, name):
			return nil, invalid("query", unknownParameter(names))
		case repeated:
			return nil, invalid(name, "the parameter is there twice")
		case err != nil || !utf8.ValidString(value):
			return nil, invalid(name, "the parameter is not well formed")
		case value == "":
			return nil, invalid(name, "the parameter is empty: leave it out")
		}
		p[name] = value
	}
	return p, nil
}

func unknownParameter(names []string) string {
	if len(names) == 0 {
		return "there are no parameters here"
	}
	return "there is no such parameter here; there are " + strings.Join(names, ", ")
}

func invalid(field, detail string) error {
	return &ledger.Error{Code: ledger.CodeInvalid, Field: field, Detail: detail}
}

// limit is the parameter limit, or its default.
func (p Parameters) limit() (int, error) {
	v, ok := p["limit"]
	if !ok {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > ledger.MaxPage {
		return 0, invalid("limit", "it must be a whole number from 1 to "+strconv.Itoa(ledger.MaxPage))
	}
	return n, nil
}

// sequence is a parameter that is a place in the ledger.
func (p Parameters) sequence(name string, otherwise uint64) (uint64, error) {
	v, ok := p[name]
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0, invalid(name, "it must be a sequence: a whole number")
	}
	return n, nil
}

// none refuses parameters that have no meaning with the rest of the request, telling why.
func (p Parameters) none(why string, names ...string) error {
	for _, name := range names {
		if _, ok := p[name]; ok {
			return invalid(name, why)
		}
	}
	return nil
}

// oneOf is a parameter that has few values, empty when it is absent.
func (p Parameters) oneOf(name string, values ...string) (string, error) {
	v, ok := p[name]
	if ok && !slices.Contains(values, v) {
		return "", invalid(name, "it must be one of "+strings.Join(values, ", "))
	}
	return v, nil
}

// moment is a parameter that is a time, zero when it is absent.
func (p Parameters) moment(name string) (time.Time, error) {
	v, ok := p[name]
	if !ok {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil || t.IsZero() {
		return time.Time{}, invalid(name, "it must be an RFC 3339 time, such as 2030-01-31T12:00:00Z (a + in it is written %2B)")
	}
	return t.UTC(), nil
}
