package agentex_test

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

// documents are the one that is served and the one that the vendor has published, for its only documented route.
func documents() []string { return []string{"openapi.json", "testdata/published.json"} }

// contract reads and validates a document.
func contract(t testing.TB, file string) routers.Router {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
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
	return router
}

// hold holds an answer against a document, and the request too when it succeeded. What the document does not tell of, a
// path or a status of errors, is passed over when the document is not ours.
func (w *world) hold(t testing.TB, file string, in *handlerstest.Request, r *handlerstest.Response) {
	t.Helper()
	asked, err := http.NewRequestWithContext(t.Context(), in.Method, in.Target, strings.NewReader(in.Body))
	if err != nil {
		t.Fatal(err)
	}
	asked.Header.Set("Content-Type", "application/json")
	route, parameters, err := w.contracts[file].FindRoute(asked)
	if err != nil {
		if own := file == "openapi.json" && r.Status != 404 && r.Status != 405; own {
			t.Errorf("%s %s is not in %s", in.Method, in.Target, file)
		}
		return
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: file == "openapi.json", MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}
	input := &openapi3filter.RequestValidationInput{Request: asked, PathParams: parameters, Route: route, Options: options}
	if r.Status < 400 {
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("%s %s is not as in %s: %v", in.Method, in.Target, file, err)
		}
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: r.Status, Header: r.Header, Body: io.NopCloser(bytes.NewReader(r.Body)), Options: options,
	})
	if err != nil {
		t.Errorf("%s %s: %d is not as in %s: %v\n%s", in.Method, in.Target, r.Status, file, err, r.Body)
	}
}

// TestDocument: the document is served, and has all that the vendor has published, as it is there.
func TestDocument(t *testing.T) {
	w := newWorld(t, false)
	r := w.do(t, handlerstest.Request{Method: "GET", Target: "/openapi/agentex.json"}, 200)
	var own, published map[string]any
	raw, err := os.ReadFile("testdata/published.json")
	if err != nil || json.Unmarshal(raw, &published) != nil || json.Unmarshal(r.Body, &own) != nil {
		t.Fatal(err, string(r.Body))
	}
	schemas := func(doc map[string]any) map[string]any {
		return doc["components"].(map[string]any)["schemas"].(map[string]any)
	}
	for name, schema := range schemas(published) {
		if !reflect.DeepEqual(schemas(own)[name], schema) {
			t.Errorf("the schema %s differs", name)
		}
	}
	if len(schemas(published)) != 5 {
		t.Errorf("%d published schemas", len(schemas(published)))
	}
	served := make(map[string]bool)
	for _, route := range w.Server.Routes() {
		served[route.Method+" "+strings.Replace(route.Path, ":.+}", "}", 1)] = true
	}
	for path, item := range own["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if name := strings.ToUpper(method) + " " + path; !served[name] {
				t.Errorf("%s is documented but not served", name)
			}
		}
	}
	for _, path := range []string{"/agent_api_keys", "/agent_api_keys/webhook-trigger", "/agent_api_keys/name/{name}", "/agent_api_keys/{id}", "/agents/register"} {
		if own["paths"].(map[string]any)[path] == nil {
			t.Errorf("%s is not documented", path)
		}
	}
}
