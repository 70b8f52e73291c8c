package fastapi_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"keyledger/handlers/fastapi"
)

func TestModel(t *testing.T) {
	name := fastapi.TextRule{Required: true, Min: 2, Max: 4}
	colour := fastapi.TextRule{Default: "red", Min: 1, Pattern: regexp.MustCompile("^(red|blue)$")}
	for _, test := range []struct{ body, want string }{
		{`{"name":"äöüß"}`, ``},
		{`{"name":"ab","colour":"blue","tags":[],"more":1}`, ``},
		{`null`, `{"type":"missing","loc":["body"],"msg":"Field required","input":null}`},
		{`"x"`, `{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":"x"}`},
		{`{}`, `{"type":"missing","loc":["body","name"],"msg":"Field required","input":{}}`},
		{`{"name":"abcde","colour":"","tags":{}}`,
			`{"type":"string_too_long","loc":["body","name"],"msg":"String should have at most 4 characters","input":"abcde","ctx":{"max_length":4}},` +
				`{"type":"string_too_short","loc":["body","colour"],"msg":"String should have at least 1 character","input":"","ctx":{"min_length":1}},` +
				`{"type":"list_type","loc":["body","tags"],"msg":"Input should be a valid list","input":{}}`},
		{`{"tags":[1,"a",[]],"colour":"red\n"}`,
			`{"type":"missing","loc":["body","name"],"msg":"Field required","input":{"tags":[1,"a",[]],"colour":"red\n"}},` +
				`{"type":"string_pattern_mismatch","loc":["body","colour"],"msg":"String should match pattern '^(red|blue)$'","input":"red\n","ctx":{"pattern":"^(red|blue)$"}},` +
				`{"type":"string_type","loc":["body","tags",0],"msg":"Input should be a valid string","input":1},` +
				`{"type":"string_type","loc":["body","tags",2],"msg":"Input should be a valid string","input":[]}`},
		{`{"name":null,"tags":null}`,
			`{"type":"string_type","loc":["body","name"],"msg":"Input should be a valid string","input":null},` +
				`{"type":"list_type","loc":["body","tags"],"msg":"Input should be a valid list","input":null}`},
	} {
		body, err := fastapi.Body(nil, []byte(test.body))
		if err != nil {
			t.Fatal(err)
		}
		m := fastapi.NewModel(body)
		gotName, gotColour, gotTags := m.Text("name", name), m.Text("colour", colour), m.Texts("tags")
		if got := string(fastapi.AppendProblems(nil, m.Problems)); got != `{"detail":[`+test.want+`]}` {
			t.Errorf("%s:\ngot  %s\nwant %s", test.body, got, test.want)
		}
		if test.want == "" && (len(gotName) < 2 || gotColour == "" || len(gotTags) > 0 || m.Problems.Err() != nil) {
			t.Errorf("%s: %q %q %q", test.body, gotName, gotColour, gotTags)
		}
	}
}

// A log line of a refusal does not repeat what was sent.
func TestProblemsTellNoValues(t *testing.T) {
	_, err := fastapi.UUID(fastapi.Place("path", "key_id"), "a-secret-of-somebody")
	const want = `fastapi: 1 problems, the first: uuid_parsing at ["path","key_id"]`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestBadValue(t *testing.T) {
	p := fastapi.Problems{fastapi.BadValue(fastapi.Place("header", "x-a"), "must be short", fastapi.Text("\xff"))}
	const want = `{"detail":[{"type":"value_error","loc":["header","x-a"],"msg":"Value error, must be short","input":"` + "\ufffd" + `","ctx":{"error":{}}}]}`
	if got := string(fastapi.AppendProblems(nil, p)); got != want {
		t.Errorf("got %s", got)
	}
	if got := string(fastapi.AppendDetail(nil, "a \"b\"")); got != `{"detail":"a \"b\""}` {
		t.Errorf("got %s", got)
	}
}

// The forms that are refused, and why, are those of the parser that pydantic uses.
func TestUUID(t *testing.T) {
	const plain = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"
	want := uuid.MustParse(plain)
	for text, why := range map[string]string{
		plain:                                  "",
		strings.ToUpper(plain):                 "",
		strings.ReplaceAll(plain, "-", ""):     "",
		"{" + plain + "}":                      "",
		"urn:uuid:" + plain:                    "",
		"":                                     "invalid length: expected length 32 for simple format, found 0",
		"zzz":                                  "invalid character: found `z` at 1",
		"182bd5e5-6e1a-4fe4-a799":              "invalid group count: expected 5, found 4",
		plain[:35] + "g":                       "invalid character: found `g` at 36",
		" " + plain:                            "invalid character: found ` ` at 1",
		"(" + plain + ")":                      "invalid character: found `(` at 1",
		"URN:UUID:" + plain:                    "invalid character: found `U` at 1",
		"urn:uuid:" + plain[:35] + "x":         "invalid character: found `x` at 45",
		"{" + plain[:35] + "x}":                "invalid character: found `x` at 37",
		"{" + plain:                            "invalid character: found `{` at 1",
		"ab\u00e4":                             "invalid character: found `ä` at 3",
		"67e5504410b1426f9247bb680e5fe0c":      "invalid length: expected length 32 for simple format, found 31",
		"{00000000000000000000000000000000}":   "invalid group count: expected 5, found 1",
		plain + "5":                            "invalid group length in group 4: expected 12, found 13",
		"182bd5e56e1a-4fe4-a799-aa6d-9a6ab26e": "invalid group length in group 0: expected 8, found 12",
		"182bd5e5-6e1a-4fe-4a799-aa6d9a6ab26e": "invalid group length in group 2: expected 4, found 3",
		"182bd5e5--6e1a4fe4-a799-aa6d9a6ab26e": "invalid group length in group 1: expected 4, found 0",
		"\xff":                                 "invalid character: found `\ufffd` at 1",
	} {
		got, err := fastapi.UUID(fastapi.Place("path", "id"), text)
		if why == "" {
			if err != nil || got != want {
				t.Errorf("%q: %v (%v)", text, got, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q is taken", text)
			continue
		}
		p := answered(t, err).Detail[0]
		if p.Type != "uuid_parsing" || p.Msg != "Input should be a valid UUID, "+why || p.Ctx["error"] != why {
			t.Errorf("%q:\ngot  %+v\nwant %s", text, p, why)
		}
	}
}

// What is refused has a reason of its own.
func FuzzUUID(f *testing.F) {
	for _, seed := range []string{"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e", "{}", "urn:uuid:", "----", "{00000000000000000000000000000000}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := fastapi.UUID(fastapi.Place("path", "id"), text)
		if err != nil && answered(t, err).Detail[0].Ctx["error"] == "failed to parse a UUID" {
			t.Fatalf("%q: no reason", text)
		}
	})
}
