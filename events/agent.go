package events

// Agent is the body of agent.registered.
type Agent struct {
	ID        string // at most 128 bytes
	Name      string // personal data
	Workspace string
	Org       string
}

// Type is AgentRegistered.
func (*Agent) Type() Type { return AgentRegistered }

func (a *Agent) encode(e *encoder) {
	e.text("agent", a.ID)
	e.text("org", a.Org)
	e.personal(personal{name: a.Name})
	e.text("ws", a.Workspace)
}

func (a *Agent) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "agent":
			a.ID = d.text()
		case "org":
			a.Org = d.text()
		case "p":
			a.Name = d.personal().name
		case "ws":
			a.Workspace = d.text()
		default:
			d.skip()
		}
	}
}

func (a *Agent) missing() string {
	switch {
	case a.ID == "":
		return "agent"
	case a.Name == "":
		return "name"
	}
	return ""
}

func (a *Agent) fits(s Subject) bool {
	return s == Subject{Workspace: a.Workspace, Org: a.Org, Agent: a.ID}
}

func (a *Agent) id() string { return a.ID }

func (a *Agent) appendJSON(o *jsonObject) {
	o.text("agent_id", a.ID)
	o.text("name", a.Name)
	o.textOrNull("workspace_id", a.Workspace)
	o.textOrNull("org_id", a.Org)
}
