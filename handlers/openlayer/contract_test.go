package openlayer_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// document reads and validates an OpenAPI document.
func document(t testing.TB, raw []byte) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err == nil {
		err = doc.Validate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// published is the schema of a key in the document that the vendor has published.
func published(t testing.TB) *openapi3.Schema {
	t.Helper()
	raw, err := os.ReadFile("testdata/published.json")
	if err != nil {
		t.Fatal(err)
	}
	return document(t, raw).Components.Schemas["ApiKey"].Value
}

// served is the document that a server gives to anyone.
func served(t testing.TB, w *world) *openapi3.T {
	t.Helper()
	r := w.Do(t, handlerstest.Request{Method: "GET", Target: "/openapi/openlayer.json"})
	if r.Status != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", r.Status, r.Header)
	}
	return document(t, r.Body)
}

// A key as it is documented here is one as the vendor documents it, with additions.
func TestDocumentKeepsPublishedSchema(t *testing.T) {
	ours, theirs := served(t, newWorld(t, handlerstest.Options{})).Components.Schemas["ApiKey"].Value, published(t)
	for _, name := range theirs.Required {
		if !slices.Contains(ours.Required, name) {
			t.Errorf("%s is not required", name)
		}
	}
	for name, want := range theirs.Properties {
		got := ours.Properties[name]
		if got == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		for _, s := range []*openapi3.Schema{got.Value, want.Value} {
			s.Description, s.Example = "", nil
		}
		a, _ := json.Marshal(got.Value)
		b, _ := json.Marshal(want.Value)
		if string(a) != string(b) {
			t.Errorf("%s is %s, want %s", name, a, b)
		}
	}
}

// What is documented is what is mounted, on both base URLs.
func TestDocumentHasEveryRoute(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	var documented, mounted []string
	for path, item := range served(t, w).Paths.Map() {
		path = strings.NewReplacer("{workspaceId}", "{workspace}", "{apiKeyId}", "{id}").Replace(path)
		for method := range item.Operations() {
			documented = append(documented, method+" "+path, method+" /v1"+path)
		}
	}
	for _, r := range w.Server.Routes() {
		if strings.Contains(r.Path, "/api-keys") {
			mounted = append(mounted, r.Method+" "+r.Path)
		}
	}
	slices.Sort(documented)
	slices.Sort(mounted)
	if len(mounted) != 12 || !slices.Equal(documented, mounted) {
		t.Errorf("documented are\n%q, mounted\n%q", documented, mounted)
	}
}

// contract holds answers against the document.
type contract struct{ routers.Router }

func (c contract) hold(t *testing.T, method, target, body string, a *handlerstest.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	route, parameters, err := c.FindRoute(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		ExcludeResponseBody: a.Status == 204,
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route, Options: options}
	if a.Status < 400 {
		err = openapi3filter.ValidateRequest(t.Context(), in)
	}
	if err == nil {
		err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: a.Status, Header: a.Header, Options: options, Body: io.NopCloser(bytes.NewReader(a.Body)),
		})
	}
	if err != nil {
		t.Errorf("%s %s: %d is not as documented: %v\n%s", method, target, a.Status, err, a.Body)
	}
}

// Real answers are as documented, and their keys are of the published schema.
func TestAnswersAreAsDocumented(t *testing.T) {
	w := newWorld(t, handlerstest.Options{})
	router, err := gorillamux.NewRouter(served(t, w))
	if err != nil {
		t.Fatal(err)
	}
	c := contract{router}
	none := w.Key(t, ledger.Create{Owner: ledger.Owner{Workspace: workspace}}).Token.Reveal()
	end := w.Now().Add(time.Hour).Format(time.RFC3339)
	k := w.create(t, `{"expiresAt":"`+end+`"}`)
	for _, r := range []struct {
		token, method, target, body string
		status                      int
	}{
		{w.token, "POST", keysPath, `{"name":"a","expiresAt":"` + end + `"}`, 201},
		{w.token, "POST", keysPath, `{"name":null}`, 201},
		{w.token, "POST", keysPath, `{`, 400},
		{"", "POST", keysPath, ``, 401},
		{none, "POST", keysPath, ``, 403},
		{w.token, "POST", "/v1/workspaces/x/api-keys", ``, 404},
		{w.token, "POST", keysPath, strings.Repeat(" ", 64<<10+1), 413},
		{w.token, "GET", keysPath, ``, 200},
		{none, "GET", keysPath, ``, 403},
		{w.token, "GET", k.target, ``, 200},
		{w.token, "GET", keysPath + "/00000000-0000-0000-0000-000000000000", ``, 404},
		{w.token, "PUT", k.target, `{"name":"b"}`, 200},
		{none, "PUT", k.target, `{"name":"b"}`, 403},
		{w.token, "POST", k.target + "/rotate", `{"gracePeriodHours":0}`, 200},
		{w.token, "POST", k.target + "/rotate", `{"gracePeriodHours":1,"expiresAt":"` + end + `"}`, 200},
		{w.token, "POST", k.target + "/rotate", `{"gracePeriodHours":-1}`, 400},
		{none, "DELETE", k.target, ``, 403},
		{w.token, "DELETE", k.target, ``, 204},
		{w.token, "DELETE", k.target, ``, 404},
	} {
		a := w.as(t, r.token, r.method, r.target, r.body)
		if a.Status != r.status {
			t.Errorf("%s %s: %d, want %d: %s", r.method, r.target, a.Status, r.status, a.Body)
		}
		c.hold(t, r.method, r.target, r.body, &a)
		if a.Status == 200 || a.Status == 201 {
			holdPublished(t, &a)
		}
	}
}

// holdPublished holds the keys of an answer against the schema that the vendor has published.
func holdPublished(t *testing.T, a *handlerstest.Response) {
	t.Helper()
	var v any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatal(err)
	}
	keys, ok := v.([]any)
	if !ok {
		keys = []any{v}
	}
	for _, k := range keys {
		if err := published(t).VisitJSON(k, openapi3.VisitAsResponse(), openapi3.EnableFormatValidation()); err != nil {
			t.Errorf("%v\n%s", err, a.Body)
		}
	}
}
