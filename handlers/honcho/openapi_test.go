package honcho_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"keyledger/handlers/handlerstest"
)

// answers are requests with every kind of answer that the documents tell of.
func answers(t *testing.T) map[string]handlerstest.Request {
	return map[string]handlerstest.Request{
		"made":      ask(admin, "workspace_id", "a", "peer_id", "p", "session_id", "s", "expires_at", "2099-01-01T00:00:00Z"),
		"no token":  ask("", "workspace_id", "a"),
		"no admin":  ask(ours(t, `{"w":"a"}`), "workspace_id", "a"),
		"bad date":  ask(admin, "expires_at", "tomorrow"),
		"no scope":  ask(admin),
		"bad name":  ask(admin, "workspace_id", "a\x00"),
		"no parent": ask(admin, "peer_id", "p"),
	}
}

// Every answer is as the document that is served says, and those of the statuses that Honcho's own tells of are as that
// says. Honcho itself breaks it where "detail" is a text.
func TestAnswersAreAsDocumented(t *testing.T) {
	on, off := newWorld(t, secret), newWorld(t, "")
	served := on.Do(t, handlerstest.Request{Method: "GET", Target: "/openapi/honcho.json"})
	var published json.RawMessage
	read(t, "published.json", &published)
	for name, in := range answers(t) {
		r := on.Do(t, in)
		if err := hold(t, served.Body, in, r); err != nil {
			t.Errorf("%s: %v\n%s", name, err, r.Body)
		}
		_, isText := r.Field("detail").(string)
		if err := hold(t, published, in, r); (err != nil) != (isText || r.Status == 401) {
			t.Errorf("%s, as published: %v\n%s", name, err, r.Body)
		}
	}
	in := ask("", "workspace_id", "a")
	if err := hold(t, served.Body, in, off.Do(t, in)); err != nil {
		t.Error(err)
	}
}

// hold holds an answer against a document.
func hold(t *testing.T, document []byte, in handlerstest.Request, r handlerstest.Response) error {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(document)
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
	request, err := http.NewRequestWithContext(t.Context(), in.Method, in.Target, nil)
	if err != nil {
		t.Fatal(err)
	}
	route, parameters, err := router.FindRoute(request)
	if err != nil {
		t.Fatal(err)
	}
	return openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route},
		Status:                 r.Status,
		Header:                 r.Header,
		Body:                   io.NopCloser(bytes.NewReader(r.Body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
}

// The document that is served has all of Honcho's: its parameters, schemas and security, on both paths.
func TestDocumentHoldsThePublishedOne(t *testing.T) {
	w := newWorld(t, secret)
	r := w.Do(t, handlerstest.Request{Method: "GET", Target: "/openapi/honcho.json"})
	var published map[string]any
	read(t, "published.json", &published)
	at := func(document map[string]any, path ...string) any {
		var v any = document
		for _, name := range path {
			v = v.(map[string]any)[name]
		}
		return v
	}
	var served map[string]any
	if err := json.Unmarshal(r.Body, &served); err != nil || r.Status != 200 {
		t.Fatalf("%d, %v", r.Status, err)
	}
	for _, path := range []string{"/v3/keys", "/v2/keys"} {
		want := at(published, "paths", "/v3/keys", "post", "parameters").([]any)
		got := at(served, "paths", path, "post", "parameters").([]any)
		if !reflect.DeepEqual(got[:len(want)], want) {
			t.Errorf("%s: the parameters are %v", path, got)
		}
		if got := at(served, "paths", path, "post", "security"); !reflect.DeepEqual(got, at(published, "paths", "/v3/keys", "post", "security")) {
			t.Errorf("%s: the security is %v", path, got)
		}
	}
	for _, part := range []string{"schemas", "securitySchemes"} {
		for name, want := range at(published, "components", part).(map[string]any) {
			if got := at(served, "components", part, name); !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %v", name, got)
			}
		}
	}
}
