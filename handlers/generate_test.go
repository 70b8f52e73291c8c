package handlers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// generator makes values for the schemas of an OpenAPI document: what they ask for, and what they do not.
type generator struct {
	*rand.Rand
	known []string // texts that mean something to the server: ids, names, tokens
}

// often is true in most cases, sometimes in few.
func (g *generator) often() bool     { return g.IntN(4) > 0 }
func (g *generator) sometimes() bool { return g.IntN(8) == 0 }

func pick[T any](g *generator, of []T) T { return of[g.IntN(len(of))] }

// odd is a text that means trouble to somebody.
func (g *generator) odd() string {
	return pick(g, []string{"", " ", "\x00", "\n", "\r\nX: y", "..", "/", "//", "%", "%2f", "%00", "{id}", "*", ">", "a.b", "ä€😀", "\u202e", "\ufeff",
		"\xff", "null", "true", "0", "-1", "1e999", "9223372036854775808", "18446744073709551616", "NaN", "'--", "<x>", "$(x)", "verify",
		"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2030-02-30T00:00:00Z", "2030-01-01", "2030-01-01T00:00:60+24:00",
		"00000000-0000-0000-0000-000000000000", strings.Repeat("a", 300), strings.Repeat("ä", 5000), strings.Repeat("[", 2000)})
}

// text is a text for a schema.
func (g *generator) text(s *openapi3.Schema) string {
	switch {
	case g.sometimes():
		return g.odd()
	case g.sometimes():
		return pick(g, g.known)
	}
	switch s.Format {
	case "date-time":
		return fmt.Sprintf("20%02d-%02d-%02dT%02d:00:00Z", 27+g.IntN(60), 1+g.IntN(12), 1+g.IntN(28), g.IntN(24))
	case "uuid":
		return pick(g, g.known)
	case "uri":
		return discard
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_:"
	b := make([]byte, min(int(s.MinLength)+g.IntN(20), 64))
	for i := range b {
		b[i] = letters[g.IntN(len(letters))]
	}
	return string(b)
}

// value is a value for a schema, as encoding/json takes it.
func (g *generator) value(ref *openapi3.SchemaRef, depth int) any {
	if ref == nil || ref.Value == nil || depth > 6 || g.IntN(40) == 0 {
		return pick(g, []any{nil, true, "text", 1.5, []any{}, map[string]any{}, g.odd()})
	}
	s := ref.Value
	for _, choice := range []openapi3.SchemaRefs{s.AnyOf, s.OneOf} {
		if len(choice) > 0 {
			return g.value(pick(g, choice), depth+1)
		}
	}
	var given []any
	given = append(append(given, s.Enum...), s.Examples...)
	if s.Example != nil {
		given = append(given, s.Example)
	}
	if len(given) > 0 && g.often() {
		return pick(g, given)
	}
	kinds := s.Type.Slice()
	if len(kinds) == 0 {
		kinds = []string{"object"}
	}
	switch pick(g, kinds) {
	case "null":
		return nil
	case "boolean":
		return g.IntN(2) == 0
	case "integer", "number":
		return g.number(s)
	case "array":
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(s.Items, depth+1)
		}
		return list
	case "string":
		return g.text(s)
	}
	return g.object(s, depth)
}

func (g *generator) number(s *openapi3.Schema) any {
	if g.sometimes() {
		return pick(g, []any{0, -1, 1.5, 1e300, json.Number("9223372036854775807"), json.Number("-9223372036854775808"), json.Number("1e400")})
	}
	least := int64(0)
	if s.Min != nil {
		least = int64(*s.Min)
	}
	return least + g.Int64N(100)
}

func (g *generator) object(s *openapi3.Schema, depth int) map[string]any {
	object := make(map[string]any)
	for _, part := range append(slices.Clone(s.AllOf), &openapi3.SchemaRef{Value: s}) {
		for _, name := range slices.Sorted(maps.Keys(part.Value.Properties)) {
			if required := slices.Contains(part.Value.Required, name); required && !g.sometimes() || !required && g.IntN(3) == 0 {
				object[name] = g.value(part.Value.Properties[name], depth+1)
			}
		}
	}
	if g.sometimes() {
		object[g.odd()] = g.odd()
	}
	if _, ok := object["url"]; ok && g.often() { // nothing is sent to anywhere else
		object["url"] = discard
	}
	return object
}

// body is a body for a schema, sometimes a damaged one.
func (g *generator) body(ref *openapi3.SchemaRef) []byte {
	b, err := json.Marshal(g.value(ref, 0))
	if err != nil { // 1e400 is no number to some
		return []byte(`{"a":1e400}`)
	}
	for g.sometimes() && len(b) > 0 {
		at := g.IntN(len(b))
		switch g.IntN(3) {
		case 0:
			b = b[:at]
		case 1:
			b[at] = byte(g.IntN(256))
		default:
			b = append(b, b[at:]...)
		}
	}
	return b
}

// parameter is a parameter as it stands in a path, a query or a header.
func (g *generator) parameter(p *openapi3.Parameter) string {
	text := fmt.Sprint(g.value(p.Schema, 0))
	if p.In == openapi3.ParameterInPath && g.often() {
		text = pick(g, g.known)
	}
	switch p.In {
	case openapi3.ParameterInPath:
		return url.PathEscape(text)
	case openapi3.ParameterInQuery:
		return url.QueryEscape(text)
	}
	return strings.Map(func(r rune) rune { // what net/http takes in a header
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}
