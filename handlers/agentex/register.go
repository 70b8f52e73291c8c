package agentex

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"keyledger/handlers"
	"keyledger/ledger"
)

// registration is an agent on the wire. The ledger has its id, name and times; the rest is what the caller has said.
type registration struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Description  string         `json:"description"`
	Status       string         `json:"status"`
	StatusReason *string        `json:"status_reason"`
	ACPType      string         `json:"acp_type"`
	CreatedAt    string         `json:"created_at"`
	UpdatedAt    string         `json:"updated_at"`
	Metadata     jsontext.Value `json:"registration_metadata"`
	RegisteredAt string         `json:"registered_at"`
	APIKey       *string        `json:"agent_api_key"`
}

// internalSuffix makes the name of an agent's internal key of that of the agent.
const internalSuffix = "-api-key"

// register is POST /agents/register: it gets or creates an agent and its internal key.
func (d *dialect) register(x *handlers.Exchange) error {
	f, err := readBody(x)
	if err != nil {
		return err
	}
	out := registration{Status: "Ready", Name: f.limited("name", ledger.MaxName-len(internalSuffix))}
	if len(f.problems) == 0 {
		f.matching("name", out.Name, "^[a-z0-9-]+$")
	}
	out.Description = f.text("description")
	f.text("acp_url")
	id := f.optional("agent_id")
	out.ACPType = f.choice("acp_type", "", "sync", "async", "agentic")
	out.Metadata = f.object("registration_metadata")
	if err := f.err(); err != nil {
		return err
	}
	// The internal key is read too: who may not should not leave an agent without one behind.
	if err := ledger.Allow(&x.Principal, ledger.ScopeRead, &x.Principal.Owner); err != nil {
		return err
	}
	return x.Once(func() error {
		agent, _, err := d.Service.RegisterAgent(x.Context(), x.Call(), &ledger.RegisterAgent{
			ID: id, Name: out.Name, Workspace: workspaceOf(x), Org: x.Principal.Owner.Org,
		})
		if err != nil {
			return unregistered(err)
		}
		x.Saw(agent.Sequence)
		if out.APIKey, err = d.internalKey(x, &agent); err != nil {
			return err
		}
		out.ID, out.CreatedAt, out.UpdatedAt = agent.ID, wireTime(agent.CreatedAt), wireTime(agent.CreatedAt)
		out.RegisteredAt = wireTime(d.Now())
		return x.WriteJSON(http.StatusOK, &out)
	})
}

// unregistered says which input the ledger has refused: the name is looked at before.
func unregistered(err error) error {
	e := handlers.AsError(err)
	if e.Code != ledger.CodeInvalid {
		return err
	}
	place := []any{"body", "agent_id"}
	if e.Field == "workspace_id" {
		place = []any{"header", "x-selected-account-id"}
	}
	return wrong(problem{place, "Value error, it " + e.Detail, "value_error"})
}

// internalKey is the token of an agent's internal key, the same at each registration, until the key is revoked or has
// expired: then there is a new one. It is nil when the token is not what mintInternal makes, because someone has rotated
// the key or brought a token: they have it.
func (d *dialect) internalKey(x *handlers.Exchange, agent *ledger.Agent) (*string, error) {
	name := agent.Name + internalSuffix
	for x.Context().Err() == nil {
		k, err := d.Service.KeyByName(x.Context(), &x.Principal, ownerOf(agent), ledger.TypeInternal, name)
		var issued ledger.Issued
		switch {
		case ledger.CodeOf(err) == ledger.CodeNotFound:
			issued, err = d.issue(x, agent, &ledger.Create{
				Name: name, Type: ledger.TypeInternal, Scopes: []string{ledger.ScopeRead}, Mint: d.mintInternal,
			}, "")
			if isTaken(err) {
				continue // by another registration at the same time
			}
		case err == nil && k.Status(d.Now()) == ledger.Expired:
			if err = d.revoke(x, &k); err == nil {
				continue
			}
		case err == nil:
			issued, err = d.Service.Reveal(x.Context(), &x.Principal, k.ID, d.mintInternal)
			if ledger.CodeOf(err) == ledger.CodeConflict {
				return nil, nil
			}
		}
		if err != nil {
			return nil, err
		}
		x.Shows(&issued.Key)
		token := issued.Token.Reveal()
		return &token, nil
	}
	return nil, x.Context().Err()
}

// mintInternal makes the token of an internal key of its id alone: so it can be told again, and is kept nowhere.
func (d *dialect) mintInternal(id uuid.UUID, _ [32]byte) (string, error) {
	mac := hmac.New(sha256.New, d.Secret)
	mac.Write([]byte("agentex internal key "))
	mac.Write(id[:])
	return hex.EncodeToString(mac.Sum(nil)), nil
}
