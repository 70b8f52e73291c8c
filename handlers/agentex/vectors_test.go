package agentex_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// vector is a request that was made to the original, and its answer. testdata/keys.json says what its marks mean.
type vector struct {
	Case        string
	Method      string
	Target      string
	Status      int
	Response    json.RawMessage
	Body        string
	ContentType string `json:"content_type"`
}

// TestVectors makes the requests in their order.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []vector }
	if err := json.Unmarshal(raw, &all); err != nil || len(all.Cases) != 27 {
		t.Fatalf("%d cases, %v", len(all.Cases), err)
	}
	for name, jetStream := range map[string]bool{"in memory": false, "on JetStream": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jetStream)
			known := []string{"{agent_id}", w.agent.ID}
			for _, v := range all.Cases {
				replace := strings.NewReplacer(known...).Replace
				in := root(v.Method, replace(v.Target), replace(v.Body))
				if v.ContentType != "" {
					in.Header = map[string]string{"Content-Type": v.ContentType}
				}
				r := w.do(t, in, v.Status)
				if id, ok := r.Field("id").(string); ok {
					known = append(known, "{"+v.Case+"}", id)
				}
				replace = strings.NewReplacer(known...).Replace
				if want := replace(string(v.Response)); !agrees(t, r.Body, []byte(want)) {
					t.Errorf("%s: %d %s\nwant %d %s", v.Case, r.Status, r.Body, v.Status, want)
				}
			}
		})
	}
}

// agrees tells whether a body is as the original's, but for marks, and for what comes after the number of errors in the
// message of one that refuses an input, and its detail.
func agrees(t *testing.T, body, want []byte) bool {
	t.Helper()
	var got, wanted any
	if err := json.Unmarshal(want, &wanted); err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(body, &got) != nil {
		return false
	}
	if m, ok := wanted.(map[string]any); ok && m["status_code"] != nil {
		return agreesInvalid(got, m)
	}
	return same(got, wanted)
}

func agreesInvalid(got any, want map[string]any) bool {
	g, ok := got.(map[string]any)
	if !ok || len(g) != 4 || g["status_code"] != want["status_code"] || g["data"] != nil {
		return false
	}
	original, message := want["message"].(string), g["message"].(string)
	begin := regexp.MustCompile(`^\d+ validation errors?: `).FindString(original)
	// The original lists {'type': 'missing', 'loc': ('body', 'name'), 'msg': …}.
	types := regexp.MustCompile(`\{'type': '(\w+)', 'loc': \(([^)]*)\), 'msg': ('[^']*'|"[^"]*")`).FindAllStringSubmatch(original, -1)
	detail := g["detail"].([]any)
	if !strings.HasPrefix(message, begin) || len(detail) != len(types) || len(types) == 0 {
		return false
	}
	for i, listed := range types {
		p := detail[i].(map[string]any)
		loc, _ := json.Marshal(p["loc"])
		wantLoc := "[" + strings.TrimSuffix(strings.NewReplacer("'", `"`, ", ", ",").Replace(listed[2]), ",") + "]"
		if len(p) != 3 || p["type"] != listed[1] || string(loc) != wantLoc || p["msg"] != listed[3][1:len(listed[3])-1] {
			return false
		}
	}
	return true
}

// same compares values where a string of want may be a mark.
func same(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for name := range want {
			ok = ok && same(g[name], want[name])
		}
		return ok && len(g) == len(want)
	case []any:
		g, ok := got.([]any)
		ok = ok && len(g) == len(want)
		for i := range want {
			ok = ok && same(g[i], want[i])
		}
		return ok
	case string:
		g, ok := got.(string)
		switch want {
		case "<now, microseconds, Z>":
			return ok && regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(g)
		case "<64 hex>":
			return ok && regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(g)
		}
		return ok && g == want
	}
	return got == want
}
