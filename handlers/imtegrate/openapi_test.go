package imtegrate_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"keyledger/handlers/handlerstest"
)

// document loads an OpenAPI document.
func document(t *testing.T, text []byte) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

func published(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	text, err := os.ReadFile("testdata/published.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return document(t, text)
}

func (w *world) served(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	r := w.Do(t, handlerstest.Request{Method: "GET", Target: "/openapi/imtegrate.json"})
	if r.Status != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", r.Status, r.Header)
	}
	return document(t, r.Body)
}

// TestDocumentHoldsThePublishedOne: whatever the vendor published is served as it stands there, and more beside it.
func TestDocumentHoldsThePublishedOne(t *testing.T) {
	theirs, _ := published(t)
	ours, _ := newWorld(t, handlerstest.Options{}, "").served(t)
	for name, schema := range theirs.Components.Schemas {
		if got, want := plain(t, ours.Components.Schemas[name]), plain(t, schema); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, want)
		}
	}
	for path, item := range theirs.Paths.Map() {
		for method, operation := range item.Operations() {
			holds(t, method+" "+path, plain(t, ours.Paths.Value(path).GetOperation(method)), plain(t, operation))
		}
	}
}

// holds fails when something of want is not in got: a member of an object, or the beginning of a list. Descriptions may
// tell more.
func holds(t *testing.T, place string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		for name, value := range want {
			holds(t, place+"/"+name, object[name], value)
		}
	case []any:
		list, _ := got.([]any)
		if len(list) < len(want) {
			t.Errorf("%s: %v does not begin with %v", place, got, want)
			return
		}
		for i, value := range want {
			holds(t, place, list[i], value)
		}
	default:
		text, _ := got.(string)
		begin, _ := want.(string)
		if got != want && (!strings.HasSuffix(place, "/description") || !strings.HasPrefix(text, begin)) {
			t.Errorf("%s: got %v, want %v", place, got, want)
		}
	}
}

// plain is v as maps and lists.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAnswersAreAsDocumented holds real answers against both documents, where these know of them.
func TestAnswersAreAsDocumented(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	_, theirs := published(t)
	_, ours := w.served(t)
	id := w.create(t, w.request("POST", "/v1/api-keys", `{"name":"first"}`)).ID
	for _, c := range []struct {
		method, target, token, body string
		status                      int
		theirs                      bool // the vendor documents it too
	}{
		{"POST", "/v1/api-keys", w.caller, `{"name":"ci","scopes":["a"],"env":"live"}`, 201, true},
		{"POST", "/v1/api-keys", w.caller, `{"scopes":[1]}`, 422, true},
		{"POST", "/v1/api-keys", w.caller, `{bad`, 422, true},
		{"POST", "/v1/api-keys", w.caller, "\xff", 400, false},
		{"POST", "/v1/api-keys", "", `{"name":"ci"}`, 401, false},
		{"POST", "/v1/api-keys", w.Root, `{"name":"ci"}`, 422, true},
		{"POST", "/v1/api-keys", w.caller, `{"name":"ci","scopes":["ledger:*"]}`, 403, false},
		{"POST", "/v1/api-keys", w.caller, strings.Repeat(" ", 1<<17), 413, false},
		{"GET", "/v1/api-keys", w.caller, "", 200, false},
		{"GET", "/v1/api-keys", w.Root, "", 422, false},
		{"GET", "/v1/api-keys", "", "", 401, false},
		{"POST", "/v1/api-keys/" + id + "/revoke", w.caller, "", 200, false},
		{"POST", "/v1/api-keys/x/revoke", w.caller, "", 422, false},
		{"DELETE", "/v1/api-keys/" + id, w.caller, "", 204, false},
		{"DELETE", "/v1/api-keys/0198a5c4-3f4e-7c21-9a3e-000000000000", w.caller, "", 404, false},
	} {
		r := handlerstest.Request{Method: c.method, Target: c.target, Token: c.token, Body: c.body}
		answer := w.Do(t, r)
		if token, ok := answer.Field("token").(string); ok {
			w.Hide(token)
		}
		if answer.Status != c.status {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.target, answer.Status, c.status, answer.Body)
		}
		hold(t, ours, r, answer)
		if c.theirs {
			hold(t, theirs, r, answer)
		}
	}
}

// hold fails when an answer is not as a document has it.
func hold(t *testing.T, router routers.Router, in handlerstest.Request, answer handlerstest.Response) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), in.Method, in.Target, strings.NewReader(in.Body))
	if err != nil {
		t.Fatal(err)
	}
	route, parameters, err := router.FindRoute(request)
	if err != nil {
		t.Fatal(err)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request, PathParams: parameters, Route: route, Options: options,
		},
		Status: answer.Status, Header: answer.Header, Body: io.NopCloser(bytes.NewReader(answer.Body)), Options: options,
	})
	if err != nil {
		t.Errorf("%s %s: %d is not as documented: %v\n%s", in.Method, in.Target, answer.Status, err, answer.Body)
	}
}
