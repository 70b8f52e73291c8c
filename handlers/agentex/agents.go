package agentex

import (
	"cmp"

	"keyledger/handlers"
	"keyledger/ledger"
)

// chosen is how an input names an agent.
type chosen struct{ id, name string }

func agentOf(f *form) chosen { return chosen{f.optional("agent_id"), f.optional("agent_name")} }

// agent is the agent that is named by its id or its name. doing is what is done, for the refusals: "create an".
func (d *dialect) agent(x *handlers.Exchange, by chosen, doing string) (ledger.Agent, error) {
	what := " " + doing + " agent api_key."
	if doing == "list" {
		what = " list agent api_keys."
	}
	switch {
	case by.id == "" && by.name == "":
		return ledger.Agent{}, bad("Either 'agent_id' or 'agent_name' must be provided to" + what)
	case by.id != "" && by.name != "":
		return ledger.Agent{}, bad("Only one of 'agent_id' or 'agent_name' should be provided to" + what)
	}
	var agent ledger.Agent
	var err error
	workspace := workspaceOf(x)
	if by.id != "" {
		agent, err = d.Service.Agent(x.Context(), &x.Principal, workspace, "", by.id)
	} else {
		agent, err = d.Service.AgentNamed(x.Context(), &x.Principal, workspace, "", by.name)
	}
	if ledger.CodeOf(err) == ledger.CodeNotFound {
		what := "name"
		if by.id != "" {
			what = "id"
		}
		return agent, absent("Item with " + what + " '" + cmp.Or(by.id, by.name) + "' does not exist.")
	}
	return agent, err
}

// workspaceOf is the workspace of the agents that a request means: that of the principal, else the account that the
// original's hosted product is told. Without both they are those without a workspace.
func workspaceOf(x *handlers.Exchange) string {
	if x.Principal.Owner.Workspace != "" || x.Principal.Actor == openActor {
		return x.Principal.Owner.Workspace
	}
	return x.Request.Header.Get("X-Selected-Account-Id")
}

// ownerOf is whom the keys of an agent belong to.
func ownerOf(a *ledger.Agent) ledger.Owner {
	return ledger.Owner{Workspace: a.Workspace, Org: a.Org, AgentID: a.ID, AgentName: a.Name}
}

// isOf tells whether a key belongs to an agent. An id means an agent only within its workspace and org.
func isOf(a *ledger.Agent, k *ledger.Key) bool {
	return k.Owner.Workspace == a.Workspace && k.Owner.Org == a.Org && k.Owner.AgentID == a.ID
}
