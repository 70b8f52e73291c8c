package handlers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"keyledger/ledger"
)

// operation is one of a document.
type operation struct {
	document     *document
	path, method string
	parameters   openapi3.Parameters
	*openapi3.Operation
}

// document is an OpenAPI document and what finds its operations.
type document struct {
	file   string
	router routers.Router
}

// documented are the operations of all documents, and how often an answer of each status was held against them: that takes
// a hundred times as long as the request, so it is done a few times for each.
type documented struct {
	all  []operation
	held map[string]int // by file, method, path and status
}

// enough is how many answers of an operation with one status are held against its document.
const enough = 4

// operations are those of all documents that a server has, in a fixed order.
func operations(t testing.TB) *documented {
	t.Helper()
	var all []operation
	for _, file := range []string{"openapi.json", "honcho/openapi.json", "imtegrate/openapi.json", "agentex/openapi.json", "openlayer/openapi.json"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, long := range []string{"index", "name"} { // that a variable takes several segments cannot be said in OpenAPI
			raw = bytes.ReplaceAll(raw, []byte("/{"+long+"}\""), []byte("/{"+long+":.+}\""))
		}
		doc, err := openapi3.NewLoader().LoadFromData(raw)
		if err != nil {
			t.Fatal(err)
		}
		d := &document{file: file}
		if d.router, err = gorillamux.NewRouter(doc); err != nil {
			t.Fatal(err)
		}
		for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
			item := doc.Paths.Value(path)
			for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
				o := item.GetOperation(method)
				all = append(all, operation{d, path, method, append(slices.Clone(item.Parameters), o.Parameters...), o})
			}
		}
	}
	return &documented{all, make(map[string]int)}
}

// request makes a request of an operation.
func (g *generator) request(o *operation) (r *http.Request, body []byte) {
	path, query, header := o.path, []string{}, http.Header{}
	for _, ref := range o.parameters {
		switch p := ref.Value; p.In {
		case openapi3.ParameterInPath:
			path = strings.NewReplacer("{"+p.Name+"}", g.parameter(p), "{"+p.Name+":.+}", g.parameter(p)).Replace(path)
		case openapi3.ParameterInQuery:
			for range g.IntN(2) + g.IntN(20)/19 { // now and then twice
				query = append(query, p.Name+"="+g.parameter(p))
			}
		case openapi3.ParameterInHeader:
			rarely := 3
			if p.Name == "Keyledger-Min-Sequence" { // an answer may wait for it
				rarely = 100
			}
			if p.Name != "X-Request-Id" && g.IntN(rarely) == 0 { // which is in the log, where a token of ours is looked for
				header.Set(p.Name, g.parameter(p))
			}
		}
	}
	if g.sometimes() {
		query = append(query, g.parameter(&openapi3.Parameter{In: openapi3.ParameterInQuery}))
	}
	if o.RequestBody != nil && g.IntN(10) > 0 {
		if media := o.RequestBody.Value.Content.Get("application/json"); media != nil {
			body = g.body(media.Schema)
		}
		header.Set("Content-Type", "application/json")
	}
	if g.sometimes() {
		header.Set("Content-Type", g.parameter(&openapi3.Parameter{In: openapi3.ParameterInHeader}))
	}
	header.Set("Authorization", "Bearer "+rootToken)
	if g.sometimes() {
		header.Set("Authorization", "Bearer "+pick(g, g.known))
	}
	target := path
	if len(query) > 0 {
		target += "?" + strings.Join(query, "&")
	}
	r = httptest.NewRequest(o.method, "/", bytes.NewReader(body))
	parsed, err := r.URL.Parse(target)
	if err != nil || parsed.Host != "" {
		parsed, _ = r.URL.Parse("/v1/keys/" + strconv.Itoa(g.IntN(10)))
	}
	r.URL, r.RequestURI, r.Header = parsed, target, header
	return r, body
}

// hold holds an answer with a body in JSON against the document that tells of it.
func (d *document) hold(r *http.Request, a *httptest.ResponseRecorder) error {
	if media := a.Header().Get("Content-Type"); media != "application/json" && media != "application/problem+json" {
		return nil
	}
	route, parameters, err := d.router.FindRoute(r)
	if err != nil {
		if a.Code >= 400 {
			return nil // what it was made of has led to nowhere, or to another document
		}
		return err
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route, Options: options},
		Status:                 a.Code,
		Header:                 a.Header(),
		Body:                   io.NopCloser(bytes.NewReader(a.Body.Bytes())),
		Options:                options,
	})
}

// sendMany sends requests of every kind to a server of its own, and looks at the answers.
func sendMany(t *testing.T, d *documented, seed uint64, requests int) {
	w := newWholeWorld(t)
	w.sign()
	w.Server.EndStreams()
	hook := w.hook("acme")
	issued := w.key(ledger.Create{Owner: ledger.Owner{Workspace: "acme", Org: "eu"}, Scopes: []string{ledger.ScopeRead, ledger.ScopeCreate}})
	g := &generator{rand.New(rand.NewPCG(seed, 1)), []string{w.ofAgent(), "bot", "ci", "acme", "eu", hook.ID.String(), issued.Key.ID.String(),
		w.Call.Principal.KeyID.String(), issued.Token.Reveal(), "000.p/1", "0", "1"}}
	for range requests {
		o := pick(g, d.all)
		r, body := g.request(&o)
		if o.path == "/v1/ledger/proof/inclusion" {
			w.sign() // of what comes after the last head there is no proof yet: 503
		}
		tell := func(what string, rest ...any) {
			t.Helper()
			t.Fatalf("seed %d: %s %s %v\n%.2000s\n%s", seed, r.Method, r.RequestURI, r.Header, body, fmt.Sprintf(what, rest...))
		}
		hung := time.AfterFunc(time.Minute, func() { panic("no answer to " + r.Method + " " + r.RequestURI) })
		a := httptest.NewRecorder()
		serveAborting(w.Server, a, r)
		hung.Stop()
		if waits := r.Header["Keyledger-Min-Sequence"] != nil && a.Code == http.StatusServiceUnavailable; a.Code >= 500 && !waits || a.Code < 200 {
			tell("%d %s\n%s", a.Code, a.Body, w.Lines.String())
		}
		g.learn(w, a.Body.Bytes())
		kind := fmt.Sprint(o.document.file, o.method, o.path, a.Code)
		if d.held[kind]++; d.held[kind] > enough {
			continue
		}
		if err := o.document.hold(r, a); err != nil {
			tell("%d is not as %s has it: %v\n%.2000s", a.Code, o.document.file, err, a.Body)
		}
	}
}

// serveAborting lets a handler cut its connection.
func serveAborting(h http.Handler, w http.ResponseWriter, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
		}
	}()
	h.ServeHTTP(w, r)
}

// learn remembers ids, cursors and tokens of an answer, for the requests to come.
func (g *generator) learn(w *world, body []byte) {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return
	}
	for _, name := range []string{"id", "token", "secret", "api_key", "next_cursor", "key", "agent_api_key"} {
		text, ok := members[name].(string)
		if !ok {
			continue
		}
		if name != "id" && name != "next_cursor" {
			w.Hide(text)
		}
		if len(g.known) < 40 {
			g.known = append(g.known, text)
		} else {
			g.known[12+g.IntN(28)] = text // the first ones stay
		}
	}
}

// Requests that are made from the documents, by and against their rules, are answered as documented, and none is a fault
// of the server. TEST_SEED=n makes other requests.
func TestDocumentedRequests(t *testing.T) {
	seed := uint64(1)
	if text := os.Getenv("TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TEST_SEED=%d", seed)
	all := operations(t)
	for i := range uint64(10) {
		sendMany(t, all, seed+i, 200)
	}
}
