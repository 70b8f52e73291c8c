package events

import "github.com/google/uuid"

// Subjects of the LEDGER stream.
const (
	KeySubjects   = "ledger.*.*.*.*" // ledger.<workspace>.<org>.<agent>.<key id>
	ClaimSubjects = "claim.*.*"      // claim.<kind>.<hash>
)

// KeySubject is the one literal subject of a key.
func KeySubject(o *Owner, key uuid.UUID) string { panic("not implemented") }

// AgentSubject is the one literal subject of an agent: a key's subject with "~" for the key.
func AgentSubject(workspace, org, agent string) string { panic("not implemented") }

// ClaimSubject is the one literal subject of a claim.
func ClaimSubject(kind, hash string) string { panic("not implemented") }

// OwnerFilter is the subject filter of everything that belongs to an owner: empty parts match all.
func OwnerFilter(workspace, org, agent string) string { panic("not implemented") }
