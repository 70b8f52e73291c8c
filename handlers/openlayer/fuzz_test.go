package openlayer

import (
	"encoding/json"
	"testing"

	"keyledger/ledger"
)

// What the decoder takes is JSON that encoding/json takes too, and what it refuses is the caller's fault.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		``, `{}`, ` {"name":"My API Key"}`, `{"name":null}`, `{"name":1}`, `{"name":"a","name":"b"}`, `{"a":{"b":[1,2]}}`, `name=a`, `null`, `[`, `{} {}`,
		`{"expiresAt":"2030-01-01T00:00:00Z"}`, `{"expiresAt":"2030-01-01T00:00:00.5"}`, `{"expiresAt":null}`, `{"expiresAt":"0001-01-01T00:00:00Z"}`,
		`{"gracePeriodHours":168}`, `{"gracePeriodHours":1e3}`, `{"gracePeriodHours":null}`, "{\"name\":\"\xff\"}", `{"name":"\ud800"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, in := range []any{new(createRequest), new(renameRequest), new(rotateRequest)} {
			err := decodeBody(body, in)
			if err != nil && ledger.CodeOf(err) != ledger.CodeInvalid {
				t.Fatalf("%T: %v", in, err)
			}
			var members map[string]json.RawMessage
			if err == nil && len(body) > 0 && body[0] == '{' && json.Unmarshal(body, &members) != nil {
				t.Fatalf("%T takes what is no JSON object", in)
			}
		}
	})
}
