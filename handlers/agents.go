package handlers

import (
	"net/http"
	"net/url"

	"keyledger/ledger"
)

// registerAgent is POST /v1/agents: 201 for a new agent, 200 for the one of this owner and name that exists.
func (a *api) registerAgent(x *Exchange) error {
	var in struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		WorkspaceID string `json:"workspace_id"`
		OrgID       string `json:"org_id"`
	}
	if err := x.Decode(&in); err != nil {
		return err
	}
	agent, created, err := a.service.RegisterAgent(x.Context(), x.Call(), &ledger.RegisterAgent{
		ID:        in.ID,
		Name:      in.Name,
		Workspace: in.WorkspaceID,
		Org:       in.OrgID,
	})
	if err != nil {
		return err
	}
	if created {
		x.Status = http.StatusCreated
		x.Header()["Location"] = []string{"/v1/agents/" + url.PathEscape(agent.ID)}
	}
	a.answerAgent(x, &agent)
	return nil
}

// getAgent is GET /v1/agents/{id}. An id means an agent only within its owner, which the query states.
func (a *api) getAgent(x *Exchange) error {
	return a.asOf(x, func(then *api) error { return then.agent(x) })
}

func (a *api) agent(x *Exchange) error {
	agent, err := a.service.Agent(x.Context(), &x.Principal, x.Query["workspace_id"], x.Query["org_id"], x.Var("id"))
	if err != nil {
		return err
	}
	a.answerAgent(x, &agent)
	return nil
}

// listAgents is GET /v1/agents.
func (a *api) listAgents(x *Exchange) error {
	p := x.Query
	limit, err := p.limit()
	if err != nil {
		return err
	}
	here := list(x.route.Path, "", p)
	place, err := a.cursors.open(here, p["cursor"])
	if err != nil {
		return err
	}
	q := &ledger.AgentQuery{
		Workspace: p["workspace_id"],
		Org:       p["org_id"],
		Name:      p["name"],
		Limit:     limit,
		After:     string(place),
	}
	return a.asOf(x, func(then *api) error { return then.agents(x, q, here) })
}

// agents answers one page of agents. here names the list in cursors.
func (a *api) agents(x *Exchange, q *ledger.AgentQuery, here []byte) error {
	page, err := a.service.Agents(x.Context(), &x.Principal, q)
	if err != nil {
		return err
	}
	b := append(x.Body, `{"data":[`...)
	for i := range page.Agents {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendAgent(b, &page.Agents[i])
	}
	var next []byte
	if page.Next != "" {
		next = []byte(page.Next)
	}
	x.Body = a.appendNext(b, here, next)
	return nil
}

func (a *api) answerAgent(x *Exchange, agent *ledger.Agent) {
	x.Saw(agent.Sequence)
	x.Body = append(appendAgent(x.Body, agent), '\n')
}

func appendAgent(b []byte, a *ledger.Agent) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, a.ID)
	b = append(b, `,"name":`...)
	b = appendString(b, a.Name)
	b = appendStringMember(b, `,"workspace_id":null`, a.Workspace)
	b = appendStringMember(b, `,"org_id":null`, a.Org)
	b = appendTimeMember(b, `,"created_at":null`, a.CreatedAt)
	b = appendStringMember(b, `,"created_by":null`, a.CreatedBy)
	b = appendUintMember(b, `,"sequence":`, a.Sequence)
	return append(b, '}')
}
