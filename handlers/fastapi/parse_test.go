package fastapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"keyledger/handlers/fastapi"
)

// answer is the body of the answer to a problem.
type answer struct {
	Detail []struct {
		Type  string          `json:"type"`
		Loc   []any           `json:"loc"`
		Msg   string          `json:"msg"`
		Input json.RawMessage `json:"input"`
		Ctx   map[string]any  `json:"ctx"`
	} `json:"detail"`
}

func answered(t *testing.T, err error) answer {
	t.Helper()
	problems, ok := err.(fastapi.Problems)
	if !ok {
		t.Fatalf("%v is no Problems", err)
	}
	var a answer
	text := fastapi.AppendProblems(nil, problems)
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return a
}

// TestParse holds the parser against what Python's json module (before 3.13) says of the same texts.
func TestParse(t *testing.T) {
	var cases []struct {
		Text  string `json:"text"`
		Value any    `json:"value"`
		Error string `json:"error"`
		At    int    `json:"at"`
	}
	text, err := os.ReadFile("testdata/python-json.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if c.Text == "" {
			continue // is no body at all
		}
		v, err := fastapi.Body(nil, []byte(c.Text))
		if c.Error == "" {
			var got any
			if err != nil {
				t.Errorf("%q: %v", c.Text, err)
			} else if err := json.Unmarshal(v.Append(nil), &got); err != nil || !reflect.DeepEqual(got, c.Value) {
				t.Errorf("%q: got %v, want %v (%v)", c.Text, got, c.Value, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q: no error, want %q", c.Text, c.Error)
			continue
		}
		if err == fastapi.ErrBody {
			t.Errorf("%q: is no text", c.Text)
			continue
		}
		p := answered(t, err).Detail[0]
		if p.Type != "json_invalid" || p.Msg != "JSON decode error" || string(p.Input) != "{}" ||
			!reflect.DeepEqual(p.Loc, []any{"body", float64(c.At)}) || p.Ctx["error"] != c.Error {
			t.Errorf("%q: got %+v, want %q at %d", c.Text, p, c.Error, c.At)
		}
	}
}

// What is echoed is what was sent, letter by letter but for white space and how strings are escaped.
func TestParseKeepsWhatWasSent(t *testing.T) {
	const sent = `{"z": 1.50, "a": [1E5, -0, 12345678901234567890123, "\u00e9/\/<\u2028"], "b": {"y": 1, "x": 2}, "b": {"x": 3}, "n": NaN}`
	const want = `{"z":1.50,"a":[1E5,-0,12345678901234567890123,"é//<` + "\u2028" + `"],"b":{"x":3},"n":null}`
	v, err := fastapi.Body([]string{"application/json"}, []byte(sent))
	if got := string(v.Append(nil)); err != nil || got != want {
		t.Errorf("got %s\nwant %s (%v)", got, want, err)
	}
}

func TestBodyThatIsNoText(t *testing.T) {
	for name, body := range map[string]string{
		"not UTF-8":       "{\"name\":\"\xff\xfe\"}",
		"half of a pair":  `"\ud83d"`,
		"the other half":  `"\ude00"`,
		"two first ones":  `"\ud83d\ud83d"`,
		"another escape":  `"\ud83d\u0041"`,
		"in a name":       `{"\ud83d":1}`,
		"nested too deep": strings.Repeat("[", 1001) + strings.Repeat("]", 1001),
		"deep objects":    strings.Repeat(`{"a":`, 1001) + "1" + strings.Repeat("}", 1001),
	} {
		if _, err := fastapi.Body(nil, []byte(body)); err != fastapi.ErrBody {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	if v, err := fastapi.Body(nil, []byte(deep)); err != nil || string(v.Append(nil)) != deep {
		t.Errorf("1000 levels: %v", err)
	}
}

func TestBodyIsJSONByItsType(t *testing.T) {
	for contentType, want := range map[string]fastapi.Kind{
		"application/json":                       fastapi.Object,
		"Application/JSON":                       fastapi.Object,
		"application/json; charset=utf-8":        fastapi.Object,
		"application/json;charset=latin-1":       fastapi.Object,
		" application/json ":                     fastapi.Object,
		"application/vnd.api+json":               fastapi.Object,
		"APPLICATION/Problem+JSON; a=b":          fastapi.Object,
		"":                                       fastapi.Object,
		"text/plain":                             fastapi.String,
		"text/json":                              fastapi.String,
		"application/jsonp":                      fastapi.String,
		"application/x-www-form-urlencoded":      fastapi.String,
		"application/json/x":                     fastapi.String,
		"application":                            fastapi.String,
		"application/json, application/json":     fastapi.String,
		"multipart/form-data; boundary=a/b+json": fastapi.String,
	} {
		const body = ` {"a":1}`
		v, err := fastapi.Body([]string{contentType, "text/html"}, []byte(body))
		if err != nil || v.Kind() != want {
			t.Errorf("%q: %v (%v)", contentType, v.Kind(), err)
		}
		if want == fastapi.String && v.Text() != body {
			t.Errorf("%q: %q", contentType, v.Text())
		}
	}
	if v, err := fastapi.Body(nil, []byte("\ufeff{}")); err != nil || v.Kind() != fastapi.Object {
		t.Errorf("with a byte order mark: %v (%v)", v.Kind(), err)
	}
	if v, err := fastapi.Body([]string{"text/plain"}, nil); err != nil || v.Kind() != fastapi.Null {
		t.Errorf("no body: %v (%v)", v.Kind(), err)
	}
}

// Whatever is sent: no panic, what is refused is refused in JSON, and what Go's decoder takes is taken, as the same.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"b",null,true,-1.5e3]}`, `{"a":1,"a":2}`, `"\ud83d\ude00\n"`, `{bad`, ` `, `NaN`, "\ufeff[]", `"\ud8`} {
		f.Add("application/json", []byte(seed))
	}
	f.Add("text/plain", []byte("a"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		v, err := fastapi.Body([]string{contentType}, body)
		if problems, ok := err.(fastapi.Problems); ok {
			if text := fastapi.AppendProblems(nil, problems); !json.Valid(text) {
				t.Fatalf("%s", text)
			}
		} else if err != nil && err != fastapi.ErrBody {
			t.Fatal(err)
		}
		if contentType != "application/json" || bytes.Contains(body, []byte(`\u`)) {
			return
		}
		m := fastapi.NewModel(v)
		m.Text("name", fastapi.TextRule{Required: true, Min: 2, Max: 3})
		m.Texts("scopes")
		if text := fastapi.AppendProblems(nil, m.Problems); !json.Valid(text) {
			t.Fatalf("%s", text)
		}
		var want, got any
		if json.Unmarshal(body, &want) != nil || err == fastapi.ErrBody {
			return // Go's takes what is not UTF-8, and more depth
		}
		if err != nil {
			t.Fatalf("%q is refused: %v", body, err)
		}
		if err := json.Unmarshal(v.Append(nil), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %s: %v", body, v.Append(nil), err)
		}
	})
}
