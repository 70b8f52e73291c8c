package ledger

import (
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Agent is a registered agent.
type Agent struct {
	ID        string
	Name      string
	Workspace string
	Org       string
	CreatedAt time.Time
	CreatedBy string
	Sequence  uint64
	Erased    bool // its name was destroyed
}

// RegisterAgent is the input of an agent's registration.
type RegisterAgent struct {
	ID        string // a UUID when empty
	Name      string
	Workspace string
	Org       string
}

// DecideRegister decides on the registration of an agent that is not registered yet. It gets id when it has none.
func DecideRegister(in *RegisterAgent, id uuid.UUID) (*events.Agent, error) {
	owner := Owner{Workspace: in.Workspace, Org: in.Org, AgentID: orDefault(in.ID, id.String())}
	if err := CheckOwner(&owner); err != nil {
		return nil, err
	}
	if in.Name == "" {
		return nil, invalid("name", "must not be empty")
	}
	if err := checkName("name", in.Name); err != nil {
		return nil, err
	}
	return &events.Agent{ID: owner.AgentID, Name: in.Name, Workspace: in.Workspace, Org: in.Org}, nil
}

// NewAgent is the agent of its registration.
func NewAgent(e *events.Event, p *events.Agent) Agent {
	return Agent{
		ID:        p.ID,
		Name:      p.Name,
		Workspace: p.Workspace,
		Org:       p.Org,
		CreatedAt: e.Time,
		CreatedBy: e.Actor,
		Sequence:  e.Sequence,
	}
}

// agentClaim is the hash under which the name of an agent is claimed within its owner.
func agentClaim(workspace, org, name string) string { return claimHash(workspace, org, name) }
