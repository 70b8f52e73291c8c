package honcho_test

import (
	"encoding/json"
	"strings"
	"testing"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// prelude defines, for each of Honcho's clients, how it makes a key: create(token, parameters). try prints what came of
// it as a line of JSON.
const prelude = `
	import { Honcho } from "@honcho-ai/sdk";
	import One from "honcho-core-1";
	import Two from "honcho-core-2";
	const baseURL = process.env.URL;
	const clients = {
		sdk: (apiKey, query) => new Honcho({ baseURL, apiKey, workspaceId: "any" }).http.post("/v3/keys", { query }),
		core1: (apiKey, query) => new One({ baseURL, apiKey }).keys.create(query),
		core1on3: (apiKey, query) => new One({ baseURL, apiKey }).keys.create(query, { path: "/v3/keys" }),
		core2: (apiKey, query) => new Two({ baseURL, apiKey }).post("/v3/keys", { query }),
	};
	async function attempt(name, what, token, query) {
		const line = { client: name, what };
		try {
			line.key = (await clients[name](token, query)).key;
		} catch (e) {
			Object.assign(line, { error: e.constructor.name, status: e.status, message: e.message });
		}
		console.log(JSON.stringify(line));
	}
`

// outcome is what came of a try.
type outcome struct {
	Client, What, Key, Error, Message string
	Status                            int
}

// run runs a script after the prelude against a world.
func run(t *testing.T, w *handlerstest.World, script string, env ...string) []outcome {
	t.Helper()
	out := handlerstest.Node(t, handlerstest.Clients, prelude+script, append(env, "URL="+w.URL, "ADMIN="+admin)...)
	var all []outcome
	for line := range strings.Lines(string(out)) {
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, o)
	}
	return all
}

// Honcho's own clients get keys that verify, and see each refusal as one of Honcho's, after one request.
func TestClients(t *testing.T) {
	w := newWorld(t, secret)
	const script = `
		const { ADMIN, USER } = process.env;
		for (const name in clients) {
			await attempt(name, "made", ADMIN, { workspace_id: "wörk a", peer_id: "p+q", session_id: "s&t", expires_at: "2099-01-01T00:00:00+02:00" });
			await attempt(name, "garbage", "garbage", { workspace_id: "a" });
			await attempt(name, "not admin", USER, { workspace_id: "a" });
			await attempt(name, "unscoped", ADMIN, {});
			await attempt(name, "no workspace", ADMIN, { peer_id: "p" });
			await attempt(name, "bad date", ADMIN, { workspace_id: "a", expires_at: "tomorrow" });
		}`
	before := w.Events(t)
	all := run(t, w, script, "USER="+ours(t, `{"w":"a"}`))
	if len(all) != 4*6 || w.Events(t) != before+4 {
		t.Fatalf("%d outcomes, %d events: %v", len(all), w.Events(t)-before, all)
	}
	for _, o := range all {
		if o.What == "made" {
			got := claims(t, o.Key)
			w.Hide(o.Key)
			if got["w"] != "wörk a" || got["p"] != "p+q" || got["s"] != "s&t" || got["exp"] != "2098-12-31T22:00:00Z" || verify(t, w, o.Key, "") != "VALID" {
				t.Errorf("%s: %v", o.Client, got)
			}
			continue
		}
		checkRefusal(t, o, map[string]refusal{
			"garbage":      {401, "AuthenticationError", badJWT},
			"not admin":    {401, "AuthenticationError", notAdmin},
			"unscoped":     {422, "UnprocessableEntityError", unscoped},
			"no workspace": {422, "UnprocessableEntityError", noWorkspace},
			"bad date":     {422, "UnprocessableEntityError", "Input should be a valid datetime or date, input is too short"},
		}[o.What])
	}
	if n := requests(w); n != len(all) {
		t.Errorf("%d requests for %d tries", n, len(all))
	}
}

// refusal is what a client is to make of an answer.
type refusal struct {
	status int
	class  string
	text   string // somewhere in its message
}

func checkRefusal(t *testing.T, o outcome, want refusal) {
	t.Helper()
	if o.Client == "sdk" && o.What == "bad date" {
		want.text = "" // it takes no message from a list
	}
	if o.Status != want.status || o.Error != want.class || !strings.Contains(o.Message, want.text) {
		t.Errorf("%+v, want %+v", o, want)
	}
}

// requests is how many creates the server was sent.
func requests(w *handlerstest.World) int {
	return strings.Count(w.Lines.String(), `"route":"/v3/keys"`) + strings.Count(w.Lines.String(), `"route":"/v2/keys"`)
}

// Core sends an empty parameter where null was meant: Honcho refuses an empty expiry, and keeps an empty peer.
func TestClientSendsNull(t *testing.T) {
	w := newWorld(t, secret)
	all := run(t, w, `
		await attempt("core1", "expiry", process.env.ADMIN, { workspace_id: "a", expires_at: null });
		await attempt("core1", "peer", process.env.ADMIN, { workspace_id: "a", peer_id: null });`)
	if all[0].Status != 422 {
		t.Errorf("%+v", all[0])
	}
	if got := claims(t, all[1].Key); got["p"] != "" {
		t.Errorf("%v", got)
	}
	w.Hide(all[1].Key)
}

func TestClientsWithAuthenticationOff(t *testing.T) {
	w := newWorld(t, "")
	all := run(t, w, `for (const name in clients) await attempt(name, "off", process.env.ADMIN, { workspace_id: "a" });`)
	for _, o := range all {
		if o.Status != 405 || !strings.Contains(o.Message, disabled) {
			t.Errorf("%+v", o)
		}
	}
	if n := requests(w); n != 4 || len(all) != 4 {
		t.Errorf("%d requests for %d tries", n, len(all))
	}
}

// An overloaded server is asked again, and one key comes of it.
func TestClientsComeAgain(t *testing.T) {
	for _, client := range []string{"sdk", "core1", "core2"} {
		w := newWorld(t, secret)
		before := w.Events(t)
		w.Log.(*ledgertest.Log).FailNext(ledgertest.OpAppend, ledgertest.Fault{Err: ledger.ErrOverloaded})
		all := run(t, w, `await attempt("`+client+`", "again", process.env.ADMIN, { workspace_id: "a" });`)
		if len(all) != 1 || all[0].Key == "" || w.Events(t) != before+1 || requests(w) != 2 {
			t.Fatalf("%+v, %d events, %d requests", all, w.Events(t)-before, requests(w))
		}
		w.Hide(all[0].Key)
	}
}

// The recorded requests of the sdk, header for header, get keys.
func TestRecordedRequests(t *testing.T) {
	w := newWorld(t, secret)
	type request struct {
		Method, Target, Body string
		RawHeaders           [][2]string
	}
	var recorded []request
	for line := range strings.Lines(string(raw(t, "client-requests.jsonl"))) {
		var r request
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		recorded = append(recorded, r)
	}
	if len(recorded) != 2 {
		t.Fatalf("%d requests", len(recorded))
	}
	for _, r := range recorded {
		in := handlerstest.Request{Method: r.Method, Target: r.Target, Body: r.Body, Header: map[string]string{}}
		for _, h := range r.RawHeaders {
			switch strings.ToLower(h[0]) {
			case "host", "connection", "content-length", "accept-encoding":
			default:
				in.Header[h[0]] = strings.ReplaceAll(h[1], "aaa.bbb.ccc", admin)
			}
		}
		mint(t, w, in)
	}
}
