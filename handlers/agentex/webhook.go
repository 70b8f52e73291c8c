package agentex

import (
	"net/http"
	"strings"
	"unicode"

	"keyledger/handlers"
	"keyledger/ledger"
)

// webhook is what a webhook's source is to be told.
type webhook struct {
	KeyID     string  `json:"key_id"`
	AgentName string  `json:"agent_name"`
	Source    string  `json:"source"`
	Name      string  `json:"name"`
	Secret    string  `json:"secret"`
	Path      string  `json:"webhook_path"`
	URL       *string `json:"webhook_url"`
}

// createWebhook is POST /agent_api_keys/webhook-trigger: a signing secret of GitHub or Slack.
func (d *dialect) createWebhook(x *handlers.Exchange) error {
	f, err := readBody(x)
	if err != nil {
		return err
	}
	agentName := f.text("agent_name")
	source := f.choice("source", ledger.TypeGitHub, keyTypes()...)
	name := f.limited("name", ledger.MaxName)
	path := f.text("forward_path")
	secret := ledger.NewSecret(f.optional("secret"))
	base := f.optional("base_url")
	if err := f.err(); err != nil {
		return err
	}
	switch {
	case source != ledger.TypeGitHub && source != ledger.TypeSlack:
		return bad("source must be 'github' or 'slack' for a webhook trigger.")
	case source == ledger.TypeSlack && secret.IsZero():
		return bad("Slack triggers must supply 'secret' set to the Slack app's Signing Secret (from your app credentials); " +
			"it can't be generated.")
	case strings.IndexFunc(path, unicode.IsControl) >= 0:
		return bad("forward_path must not contain control characters.")
	}
	agent, err := d.agent(x, chosen{name: agentName}, "create an")
	if err != nil {
		return err
	}
	return x.Once(func() error {
		issued, err := d.issue(x, &agent, &ledger.Create{Name: name, Type: source, Token: secret}, "secret")
		if isTaken(err) {
			return taken("A " + member(source) + " webhook key named '" + name + "' already exists for this agent.")
		}
		if err != nil {
			return err
		}
		x.Shows(&issued.Key)
		out := webhook{
			KeyID:     issued.Key.ID.String(),
			AgentName: agent.Name,
			Source:    source,
			Name:      name,
			Secret:    issued.Token.Reveal(),
			Path:      "/agents/forward/name/" + agent.Name + "/" + strings.TrimLeft(path, "/"),
		}
		if base != "" {
			url := strings.TrimRight(base, "/") + out.Path
			out.URL = &url
		}
		return x.WriteJSON(http.StatusOK, &out)
	})
}
