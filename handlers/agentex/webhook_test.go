package agentex_test

import (
	"testing"

	"keyledger/handlers/handlerstest"
)

func TestWebhookTrigger(t *testing.T) {
	w := newWorld(t, false)
	post := func(members string) handlerstest.Request {
		return root("POST", "/agent_api_keys/webhook-trigger", `{"agent_name":"test-agent",`+members+`}`)
	}
	r := w.do(t, post(`"name":"acme/widgets","forward_path":"/github-pr/1","base_url":"https://a.example/"`), 200)
	if len(r.Field("secret").(string)) != 64 || r.Field("source") != "github" || r.Field("name") != "acme/widgets" ||
		r.Field("webhook_path") != "/agents/forward/name/test-agent/github-pr/1" ||
		r.Field("webhook_url") != "https://a.example/agents/forward/name/test-agent/github-pr/1" {
		t.Errorf("%s", r.Body)
	}
	r = w.do(t, post(`"name":"app","source":"slack","secret":"given","forward_path":"slack"`), 200)
	if r.Field("secret") != "given" || r.Field("webhook_url") != nil {
		t.Errorf("%s", r.Body)
	}
	keys := keysIn(t, w.do(t, root("GET", "/agent_api_keys?agent_name=test-agent", ""), 200))
	if len(keys) != 2 || keys[0].Type != "github" || keys[1].Type != "slack" || keys[1].ID != r.Field("key_id") {
		t.Errorf("%v", keys)
	}

	says(t, w.do(t, post(`"name":"acme/widgets","forward_path":"p"`), 409),
		message("409", "A AgentAPIKeyType.GITHUB webhook key named 'acme/widgets' already exists for this agent."))
	says(t, w.do(t, post(`"name":"x","secret":"given","forward_path":"p"`), 409), message("409", "The secret is in use already."))
	for _, source := range []string{"internal", "external"} {
		says(t, w.do(t, post(`"name":"x","source":"`+source+`","forward_path":"p"`), 400),
			message("400", "source must be 'github' or 'slack' for a webhook trigger."))
	}
	for _, secret := range []string{"", `"secret":"",`, `"secret":null,`} {
		says(t, w.do(t, post(secret+`"name":"x","source":"slack","forward_path":"p"`), 400), message("400",
			"Slack triggers must supply 'secret' set to the Slack app's Signing Secret (from your app credentials); it can't be generated."))
	}
	says(t, w.do(t, post(`"name":"x","forward_path":"a\nb"`), 400), message("400", "forward_path must not contain control characters."))
	says(t, w.do(t, root("POST", "/agent_api_keys/webhook-trigger", `{"agent_name":"nope","name":"x","forward_path":"p"}`), 404), message("404", noAgent))
	finds(t, w.do(t, root("POST", "/agent_api_keys/webhook-trigger", `{"source":"GitHub"}`), 422),
		"missing body.agent_name", "enum body.source", "missing body.name", "missing body.forward_path")
	finds(t, w.do(t, post(`"name":"x","forward_path":"p","secret":"a\tb"`), 422), "value_error body.secret")
}
