package agentex_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/routers"

	"keyledger/handlers"
	"keyledger/handlers/agentex"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// world is a server with an agent named test-agent, without a workspace.
type world struct {
	*handlerstest.World
	agent     ledger.Agent
	requests  atomic.Int64 // to the dialect
	contracts map[string]routers.Router
}

func newWorld(t testing.TB, jetStream bool) *world {
	return start(t, handlerstest.Options{JetStream: jetStream}, false)
}

// start starts a world whose dialect is open or not.
func start(t testing.TB, o handlerstest.Options, open bool) *world {
	w := &world{contracts: make(map[string]routers.Router)}
	o.Mount = func(s *handlers.Server, service *ledger.Service) error { return w.mount(s, service, open) }
	w.World = handlerstest.New(t, o)
	w.agent = w.register(t, "test-agent", "")
	for _, file := range documents() {
		w.contracts[file] = contract(t, file)
	}
	return w
}

func (w *world) mount(s *handlers.Server, service *ledger.Service, open bool) error {
	routes, err := agentex.Routes(agentex.Config{
		Service: service,
		Secret:  []byte("of internal keys, at least 32 bytes"),
		Open:    open,
		Now:     func() time.Time { return w.World.Now() },
	})
	if err != nil {
		return err
	}
	for i := range routes {
		handle := routes[i].Handle
		routes[i].Handle = func(x *handlers.Exchange) error {
			w.requests.Add(1)
			return handle(x)
		}
	}
	return s.Mount(routes, agentex.Render)
}

// register registers an agent, past HTTP.
func (w *world) register(t testing.TB, name, workspace string) ledger.Agent {
	t.Helper()
	call := w.Call
	a, _, err := w.Service.RegisterAgent(t.Context(), &call, &ledger.RegisterAgent{Name: name, Workspace: workspace})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// root is a request of the root key.
func root(method, target, body string) handlerstest.Request {
	return handlerstest.Request{Method: method, Target: target, Token: handlerstest.RootToken, Body: body}
}

// do sends a request that must be answered with a status, as the documents say, and must append nothing when it is
// refused.
func (w *world) do(t testing.TB, in handlerstest.Request, status int) *handlerstest.Response {
	t.Helper()
	before := w.Events(t)
	r := w.Do(t, in)
	for _, member := range []string{"api_key", "secret", "agent_api_key"} {
		if token, ok := r.Field(member).(string); ok {
			w.Hide(token)
		}
	}
	if r.Status != status {
		t.Fatalf("%s %s: %d, want %d\n%s", in.Method, in.Target, r.Status, status, r.Body)
	}
	if n := w.Events(t) - before; status >= 400 && n != 0 {
		t.Errorf("%s %s: it was refused and appended %d events", in.Method, in.Target, n)
	}
	if no := r.Header.Get("X-Should-Retry") == "false"; status == 409 && !no {
		t.Error("a conflict does not tell clients not to repeat it")
	}
	for _, file := range documents() {
		w.hold(t, file, &in, &r)
	}
	return &r
}

// creates creates a key of test-agent, by what its body has beside the agent, and returns its id and value.
func (w *world) creates(t testing.TB, members string) (id, value string) {
	t.Helper()
	r := w.do(t, root("POST", "/agent_api_keys", `{"agent_name":"test-agent",`+members+`}`), 200)
	return r.Field("id").(string), r.Field("api_key").(string)
}

// says checks that an answer is this JSON.
func says(t testing.TB, r *handlerstest.Response, want string) {
	t.Helper()
	var got, wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(r.Body, &got) != nil || !reflect.DeepEqual(got, wanted) {
		t.Errorf("%d %s\nwant %s", r.Status, r.Body, want)
	}
}

// message is an error of the application.
func message(code, text string) string {
	b, _ := json.Marshal(text)
	return `{"message":` + string(b) + `,"code":` + code + `,"data":null}`
}

// finds checks the types and places of the problems of an invalid input: "missing body.name".
func finds(t testing.TB, r *handlerstest.Response, want ...string) {
	t.Helper()
	var invalid struct {
		Code    int `json:"status_code"`
		Message string
		Detail  []struct {
			Loc  []any
			Type string
		}
	}
	if err := json.Unmarshal(r.Body, &invalid); err != nil || invalid.Code != 10422 {
		t.Fatalf("%v: %d %s", err, r.Status, r.Body)
	}
	var got []string
	for _, p := range invalid.Detail {
		at := p.Type
		for i, part := range p.Loc {
			at += string(" ."[min(i, 1)]) + fmt.Sprint(part)
		}
		got = append(got, at)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
