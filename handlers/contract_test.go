package handlers_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// contract is the OpenAPI document, and which of its answers were really given.
type contract struct {
	doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex
	seen map[string]bool // "POST /v1/keys 201"
}

// theContract reads and validates the document.
func theContract(t testing.TB) *contract {
	t.Helper()
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	// That a variable takes several segments cannot be said in OpenAPI but in words.
	raw = bytes.ReplaceAll(raw, []byte("/{index}\""), []byte("/{index:.+}\""))
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, media := range []string{"text/event-stream", "application/x-ndjson"} { // the tests of streams look into them
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.PlainBodyDecoder)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &contract{doc: doc, router: router, seen: make(map[string]bool)}
}

// check holds a real answer against the document: its status, headers, media type and body; and, when it is a success,
// the request too.
func (c *contract) check(t *testing.T, r *http.Request, body []byte, a *answer) {
	t.Helper()
	if err := c.hold(r, body, a); err != nil {
		t.Errorf("%s %s: %d is not as documented: %v\n%s", r.Method, r.URL, a.StatusCode, err, a.text)
	}
}

func (c *contract) hold(r *http.Request, body []byte, a *answer) error {
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(bytes.NewReader(body))
	if r.Method == http.MethodHead || r.URL.Path == "/v1/authorize" {
		asked.Method = http.MethodGet // documented once for all methods
	}
	route, parameters, err := c.router.FindRoute(asked)
	if err != nil {
		if a.StatusCode == http.StatusNotFound || a.StatusCode == http.StatusMethodNotAllowed {
			return nil // no route of the document
		}
		return err
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true,
		MultiError:            true,
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		ExcludeResponseBody:   r.Method == http.MethodHead || len(a.text) == 0 && a.StatusCode < 400,
	}
	in := &openapi3filter.RequestValidationInput{Request: asked, PathParams: parameters, Route: route, Options: options}
	if a.StatusCode < 400 {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
	}
	c.mu.Lock()
	c.seen[fmt.Sprintf("%s %s %d", route.Method, route.Path, a.StatusCode)] = true
	c.mu.Unlock()
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in,
		Status:                 a.StatusCode,
		Header:                 a.Header,
		Body:                   io.NopCloser(bytes.NewReader(a.text)),
		Options:                options,
	})
}

// documented are the answers of the document, but for faults of the server.
func (c *contract) documented() []string {
	var list []string
	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				if status != "500" {
					list = append(list, method+" "+path+" "+status)
				}
			}
		}
	}
	return list
}

// The document and the route table have the same operations.
func TestDocumentHasEveryRoute(t *testing.T) {
	documented := make(map[string]bool)
	for path, item := range theContract(t).doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	for _, route := range newWorld(t).Server.Routes() {
		method := route.Method
		if method == "" {
			method = http.MethodGet // of those that answer every method
		}
		if name := method + " " + route.Path; !documented[name] {
			t.Errorf("%s is served but not documented", name)
		} else {
			delete(documented, name)
		}
	}
	for name := range documented {
		t.Errorf("%s is documented but not served", name)
	}
}

// The document says of each route which parameters, and whether a token, an idempotency key and a condition, it takes,
// as the table does.
func TestDocumentTellsWhatRoutesTake(t *testing.T) {
	c := theContract(t)
	for _, route := range newWorld(t).Server.Routes() {
		method := route.Method
		if method == "" {
			method = http.MethodGet
		}
		operation := c.doc.Paths.Find(route.Path).GetOperation(method)
		has := func(name string) bool { return operation.Parameters.GetByInAndName("header", name) != nil }
		if has("Idempotency-Key") != route.Command || has("If-Match") != route.Conditional {
			t.Errorf("%s %s: Idempotency-Key or If-Match is documented wrongly", method, route.Path)
		}
		var query []string
		for _, p := range operation.Parameters {
			if p.Value.In == "query" {
				query = append(query, p.Value.Name)
			}
		}
		slices.Sort(query)
		if taken := slices.Sorted(slices.Values(route.Query)); !slices.Equal(taken, query) {
			t.Errorf("%s %s takes %v, documented are %v", method, route.Path, taken, query)
		}
		open := operation.Security != nil && len(*operation.Security) == 0
		if route.Path != "/v1/authorize" && open != route.Public {
			t.Errorf("%s %s: public is %v, documented as %v", method, route.Path, route.Public, open)
		}
	}
}

// The check of answers does reject what is not as documented.
func TestContractRejects(t *testing.T) {
	w := newWorld(t)
	good := w.do("GET", "/v1/keys/"+w.Call.Principal.KeyID.String(), "", nil)
	r := request("GET", "/v1/keys/"+w.Call.Principal.KeyID.String(), "", nil)
	spoil := map[string]func(a *answer){
		"a member is missing": func(a *answer) { a.text = bytes.Replace(a.text, []byte(`"name":"root",`), nil, 1) },
		"a member too many":   func(a *answer) { a.text = bytes.Replace(a.text, []byte(`{`), []byte(`{"x":1,`), 1) },
		"a wrong type":        func(a *answer) { a.text = bytes.Replace(a.text, []byte(`"use_count":0`), []byte(`"use_count":"0"`), 1) },
		"no time": func(a *answer) {
			a.text = bytes.Replace(a.text, []byte(`"created_at":"2`), []byte(`"created_at":"x`), 1)
		},
		"a wrong word":       func(a *answer) { a.text = bytes.Replace(a.text, []byte(`"live"`), []byte(`"dead"`), 1) },
		"a wrong media type": func(a *answer) { a.Header.Set("Content-Type", "text/html") },
		"a strong tag":       func(a *answer) { a.Header.Set("ETag", strings.TrimPrefix(a.Header.Get("ETag"), "W/")) },
		"no request id":      func(a *answer) { a.Header.Del("X-Request-Id") },
		"another status":     func(a *answer) { a.StatusCode = 202 },
	}
	for name, change := range spoil {
		t.Run(name, func(t *testing.T) {
			response := *good.Response
			response.Header = good.Header.Clone()
			bad := &answer{Response: &response, text: bytes.Clone(good.text)}
			change(bad)
			if bytes.Equal(bad.text, good.text) && bad.StatusCode == good.StatusCode && fmt.Sprint(bad.Header) == fmt.Sprint(good.Header) {
				t.Fatal("nothing was spoiled")
			}
			if theContract(t).hold(r, nil, bad) == nil {
				t.Error("it passes")
			}
		})
	}
}
