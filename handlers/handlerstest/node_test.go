package handlerstest_test

import (
	"strings"
	"testing"

	"keyledger/handlers/handlerstest"
)

// The vendors' packages can be imported by their names here, each in its version.
func TestNode(t *testing.T) {
	const script = `
		import { readFileSync } from "node:fs";
		import "@honcho-ai/sdk";
		import "agentex";
		for (const name of ["@honcho-ai/sdk", "honcho-core-1", "honcho-core-2", "agentex"]) {
			console.log(name, JSON.parse(readFileSync("node_modules/" + name + "/package.json")).version);
		}
		const one = await import("honcho-core-1");
		console.log(typeof new one.default({ apiKey: process.env.KEY, baseURL: "http://127.0.0.1:1" }).keys.create);
		await import("honcho-core-2");`
	const want = `@honcho-ai/sdk 2.5.0
honcho-core-1 1.8.0
honcho-core-2 2.2.0
agentex 0.1.0-alpha.9
function
`
	if got := string(handlerstest.Node(t, "clients", script, "KEY=a")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(want))
	}
}
