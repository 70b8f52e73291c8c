package agentex_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"keyledger/handlers"
	"keyledger/handlers/agentex"
	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// secret is the secret of internal keys in the tests.
const secret = "of internal keys, at least 32 bytes"

// mount mounts the dialect, whose clock is w's once that is there.
func mount(open bool, w **handlerstest.World) func(*handlers.Server, *ledger.Service) error {
	return func(s *handlers.Server, service *ledger.Service) error {
		c := agentex.Config{Service: service, Secret: []byte(secret), Open: open}
		if w != nil {
			c.Now = (*w).Now
		}
		routes, err := agentex.Routes(c)
		if err != nil {
			return err
		}
		return s.Mount(routes, agentex.Render)
	}
}

// world is a server with an agent named test-agent, without a workspace.
type world struct {
	*handlerstest.World
	agent ledger.Agent
}

func newWorld(t testing.TB, jetStream bool) *world {
	w := &world{World: handlerstest.New(t, handlerstest.Options{JetStream: jetStream, Mount: mount(false, nil)})}
	w.agent = w.register(t, "test-agent", "")
	return w
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

// send sends a request of root.
func send(method, target, body string) handlerstest.Request {
	return handlerstest.Request{Method: method, Target: target, Token: handlerstest.RootToken, Body: body}
}

// creates creates a key of test-agent, by a body without its braces and the agent.
func (w *world) creates(t testing.TB, members string) handlerstest.Response {
	t.Helper()
	r := w.Do(t, send("POST", "/agent_api_keys", `{"agent_name":"test-agent",`+members+`}`))
	if r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	w.Hide(r.Field("api_key").(string))
	return r
}

// text is a member that is a string.
func text(t testing.TB, r *handlerstest.Response, member string) string {
	t.Helper()
	s, ok := r.Field(member).(string)
	if !ok {
		t.Fatalf("%s is no string in %d %s", member, r.Status, r.Body)
	}
	return s
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

// message is what says wants of an application error.
func message(status, text string) string {
	return `{"message":"` + text + `","code":` + status + `,"data":null}`
}
