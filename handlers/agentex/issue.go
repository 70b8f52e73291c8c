package agentex

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers"
	"keyledger/ledger"
)

// apiKey is a key on the wire, and createdKey one with its token.
type (
	apiKey struct {
		ID        string `json:"id"`
		AgentID   string `json:"agent_id"`
		CreatedAt string `json:"created_at"`
		Name      string `json:"name"`
		Type      string `json:"api_key_type"`
	}
	createdKey struct {
		apiKey
		Value string `json:"api_key"`
	}
)

func wireKey(k *ledger.Key) apiKey {
	return apiKey{k.ID.String(), k.Owner.AgentID, wireTime(k.CreatedAt), k.Name, k.Type}
}

// wireTime is a time with microseconds, as Python writes it.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// keyTypes are the types of keys, in the order in which the original names them.
func keyTypes() []string {
	return []string{ledger.TypeInternal, ledger.TypeExternal, ledger.TypeGitHub, ledger.TypeSlack}
}

// member is a type of keys as Python writes it.
func member(keyType string) string { return "AgentAPIKeyType." + strings.ToUpper(keyType) }

// errTaken is that the agent has a key of this name and type.
var errTaken = errors.New("agentex: the name is taken")

func isTaken(err error) bool { return errors.Is(err, errTaken) }

// mint makes a token as the original does: 32 random bytes in hex.
func mint(_ uuid.UUID, random [32]byte) (string, error) { return hex.EncodeToString(random[:]), nil }

// issue creates a key of an agent: errTaken when its name is. It cannot outlive the key that creates it. member is the
// member of the input that the token came in.
func (d *dialect) issue(x *handlers.Exchange, agent *ledger.Agent, in *ledger.Create, member string) (ledger.Issued, error) {
	in.Owner, in.UniqueName, in.ExpiresAt = ownerOf(agent), true, x.Principal.ExpiresAt
	if in.ShortToken = !in.Token.IsZero(); !in.ShortToken && in.Mint == nil {
		in.Mint = mint
	}
	issued, err := d.Service.Create(x.Context(), x.Call(), in)
	var e *ledger.Error
	if !errors.As(err, &e) {
		return issued, err
	}
	switch e.Code {
	case ledger.CodeConflict:
		if e.Field == "name" || d.holds(x, in) {
			return issued, errTaken
		}
		return issued, taken("The " + member + " is in use already.")
	case ledger.CodeInvalid:
		if e.Field == "token" {
			e.Field = member
		}
		return issued, wrong(problem{[]any{"body", e.Field}, "Value error, it " + e.Detail, "value_error"})
	case ledger.CodeUnavailable:
		noRetry(x) // it may be stored: a repeat would meet the name, and not tell the token
	}
	return issued, err
}

// holds tells whether there is a key of the name and type that were asked for: the first thing the original looks at.
func (d *dialect) holds(x *handlers.Exchange, in *ledger.Create) bool {
	_, err := d.Service.KeyByName(x.Context(), &x.Principal, in.Owner, in.Type, in.Name)
	return err == nil
}
