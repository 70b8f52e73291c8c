package agentex_test

import (
	"strings"
	"testing"

	"keyledger/handlers/handlerstest"
)

// TestClient runs the vendor's own client: what it makes of each answer, and how many requests it takes for that.
func TestClient(t *testing.T) {
	w := newWorld(t, true)
	const script = `
		import Agentex from "agentex";
		const client = new Agentex({ baseURL: process.env.BASE, apiKey: process.env.KEY });
		const nobody = new Agentex({ baseURL: process.env.BASE, apiKey: "nobody" });
		const show = (what, value) => console.log(what + ": " + JSON.stringify(value));
		const body = { agent_name: "test-agent", name: "ci" };
		const created = await client.post("/agent_api_keys", { body });
		show("created", [created.name, created.api_key_type, created.api_key.length]);
		show("list", (await client.get("/agent_api_keys", { query: { agent_name: "test-agent" } })).map((k) => k.name));
		show("get", (await client.get("/agent_api_keys/" + created.id)).id === created.id);
		const failing = [
			["conflict", () => client.post("/agent_api_keys", { body })],
			["unknown agent", () => client.post("/agent_api_keys", { body: { name: "a", agent_name: "nope" } })],
			["no agent", () => client.post("/agent_api_keys", { body: { name: "a" } })],
			["invalid", () => client.post("/agent_api_keys", { body: {} })],
			["unknown key", () => client.get("/agent_api_keys/nope")],
			["unauthorized", () => nobody.get("/agent_api_keys", { query: { agent_name: "test-agent" } })],
		];
		for (const [what, call] of failing) {
			try {
				await call();
				show(what, "no error");
			} catch (e) {
				show(what, [e.constructor.name, e.status, e.error.code ?? e.error.status_code ?? e.error.detail]);
			}
		}
		show("deleted", await client.delete("/agent_api_keys/" + created.id) === "Agent API key with ID " + created.id + " deleted");
		const agent = { name: "sdk", description: "", acp_url: "http://a:1", acp_type: "sync" };
		const registered = await client.post("/agents/register", { body: agent });
		const itself = new Agentex({ baseURL: process.env.BASE, defaultHeaders: { "x-agent-api-key": registered.agent_api_key } });
		show("agent", (await itself.get("/agent_api_keys", { query: { agent_id: registered.id } })).map((k) => k.name));`
	const want = `created: ["ci","external",64]
list: ["ci"]
get: true
conflict: ["ConflictError",409,409]
unknown agent: ["NotFoundError",404,404]
no agent: ["BadRequestError",400,400]
invalid: ["UnprocessableEntityError",422,10422]
unknown key: ["NotFoundError",404,404]
unauthorized: ["AuthenticationError",401,"Unauthorized"]
deleted: true
agent: ["sdk-api-key"]
`
	out := string(handlerstest.Node(t, handlerstest.Clients, script, "BASE="+w.URL, "KEY="+w.Root))
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if asked, lines := w.requests.Load(), strings.Count(want, "\n"); asked != int64(lines)+1 { // the agent takes two
		t.Errorf("%d lines took %d requests: something was repeated", lines, asked)
	}
}
