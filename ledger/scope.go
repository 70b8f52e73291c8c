package ledger

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

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
	ScopeErase    = "ledger:erase"
	ScopeAll      = "ledger:*"
)

// ledgerScope is how the scopes of the ledger begin. Users' scopes may not.
const ledgerScope = "ledger:"

// NewScopes makes a set of a list: at most MaxScopes, each 1 to MaxScope bytes of printable ASCII without space, quote
// and backslash (scope-token of RFC 6749 section 3.3), and none that begins with "ledger:" unless the ledger knows it.
func NewScopes(list []string) (Scopes, error) {
	unique := make([]string, 0, min(len(list), MaxScopes))
	for i, scope := range list {
		if flaw := checkScope(scope); flaw != "" {
			return "", invalid("scopes."+strconv.Itoa(i), "%s", flaw)
		}
		if slices.Contains(unique, scope) {
			continue
		}
		if len(unique) == MaxScopes {
			return "", invalid("scopes", "must be at most %d", MaxScopes)
		}
		unique = append(unique, scope)
	}
	return Scopes(strings.Join(unique, " ")), nil
}

// checkScope says what is wrong with a scope, or nothing.
func checkScope(scope string) string {
	switch {
	case scope == "" || len(scope) > MaxScope:
		return "must be 1 to " + strconv.Itoa(MaxScope) + " bytes"
	case !isVisible(scope) || strings.ContainsAny(scope, `"\`):
		return "must be printable ASCII without space, quote and backslash"
	case !isLedgerScope(scope):
		return ""
	}
	switch scope {
	case ScopeCreate, ScopeRead, ScopeUpdate, ScopeRevoke, ScopeVerify, ScopeEvents, ScopeWebhooks, ScopeAudit, ScopeErase,
		ScopeAll:
		return ""
	}
	return "is not a scope of the ledger"
}

// All iterates over the scopes.
func (s Scopes) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := string(s); rest != ""; {
			var scope string
			scope, rest, _ = strings.Cut(rest, " ")
			if scope != "" && !yield(scope) {
				return
			}
		}
	}
}

// Has tells whether the set holds scope, or "ledger:*" and scope begins with "ledger:". It does not allocate.
func (s Scopes) Has(scope string) bool {
	if s.holds(scope) {
		return true
	}
	return isLedgerScope(scope) && s.holds(ScopeAll)
}

// isLedgerScope tells whether a scope is one of the ledger, which grants rights here.
func isLedgerScope(scope string) bool { return strings.HasPrefix(scope, ledgerScope) }

// holds tells whether scope is one of the set, letter by letter.
func (s Scopes) holds(scope string) bool {
	if scope == "" {
		return false
	}
	for rest := string(s); len(rest) >= len(scope); {
		var first string
		first, rest, _ = strings.Cut(rest, " ")
		if first == scope {
			return true
		}
	}
	return false
}
