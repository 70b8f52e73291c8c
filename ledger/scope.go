package ledger

import "iter"

// Scopes is a set of scopes, space-delimited (RFC 6749 section 3.3), in the order given, without repeats.
type Scopes string

// The scopes that the ledger itself understands. Every other scope is the users' own.
const (
	ScopeCreate   = "ledger:keys:create"
	ScopeRead     = "ledger:keys:read"
	ScopeUpdate   = "ledger:keys:update"
	ScopeRevoke   = "ledger:keys:revoke"
	ScopeVerify   = "ledger:keys:verify"
	ScopeEvents   = "ledger:events:read"
	ScopeWebhooks = "ledger:webhooks"
	ScopeAudit    = "ledger:audit"
	ScopeAll      = "ledger:*"
)

// All iterates over the scopes.
func (s Scopes) All() iter.Seq[string] { panic("not implemented") }

// Has tells whether the set holds scope, or "ledger:*" and scope begins with "ledger:". It does not allocate.
func (s Scopes) Has(scope string) bool { panic("not implemented") }
