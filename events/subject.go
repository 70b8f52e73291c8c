package events

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Subjects of the LEDGER stream.
const (
	KeySubjects   = "ledger.*.*.*.*" // ledger.<workspace>.<org>.<agent>.<key id>
	ClaimSubjects = "claim.*.*"      // claim.<kind>.<hash>
)

// MaxID is how many bytes an id in a subject has at most, before it is escaped.
const MaxID = 128

const (
	ledgerPrefix = "ledger."
	claimPrefix  = "claim."
	absent       = "~"
	hexDigits    = "0123456789ABCDEF"
)

// KeySubject is the one literal subject of a key.
func KeySubject(o *Owner, key uuid.UUID) string {
	var buf [subjectSize]byte
	b := appendOwner(buf[:0], o.Workspace, o.Org, o.AgentID)
	return string(appendUUID(append(b, '.'), key))
}

// AgentSubject is the one literal subject of an agent: a key's subject with "~" for the key.
func AgentSubject(workspace, org, agent string) string {
	var buf [subjectSize]byte
	return string(append(appendOwner(buf[:0], workspace, org, agent), "."+absent...))
}

// WorkspaceSubject is the one literal subject of a workspace: an agent's subject with "~" for the agent.
func WorkspaceSubject(workspace string) string { return AgentSubject(workspace, "", "") }

// WebhookSubject is the one literal subject of a webhook: a key's subject with "~" before the id. An endpoint of several
// agents, orgs or workspaces has "~" for what it leaves open.
func WebhookSubject(workspace, org, agent string, id uuid.UUID) string {
	var buf [subjectSize]byte
	return string(appendUUID(append(appendOwner(buf[:0], workspace, org, agent), "."+absent...), id))
}

// ClaimSubject is the one literal subject of a claim.
func ClaimSubject(kind, hash string) string {
	var buf [subjectSize]byte
	b := appendToken(append(buf[:0], claimPrefix...), kind)
	return string(appendToken(append(b, '.'), hash))
}

// OwnerFilter is the subject filter of everything that belongs to an owner: empty parts match all.
func OwnerFilter(workspace, org, agent string) string {
	var buf [subjectSize]byte
	b := append(buf[:0], "ledger"...)
	for _, id := range [...]string{workspace, org, agent} {
		b = append(b, '.')
		if id == "" {
			b = append(b, '*')
		} else {
			b = appendToken(b, id)
		}
	}
	return string(append(b, ".*"...))
}

// subjectSize is room for a usual subject without a look at the heap.
const subjectSize = 192

func appendOwner(b []byte, workspace, org, agent string) []byte {
	b = appendToken(append(b, ledgerPrefix...), workspace)
	b = appendToken(append(b, '.'), org)
	return appendToken(append(b, '.'), agent)
}

// appendToken appends an id as one token of a subject: "~" when it is empty, and =XX for a byte that is not plain.
func appendToken(b []byte, id string) []byte {
	if id == "" {
		return append(b, absent...)
	}
	for i := range len(id) {
		if c := id[i]; isPlain(c) {
			b = append(b, c)
		} else {
			b = append(b, '=', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(b, id[:4])
	b = hex.AppendEncode(append(b, '-'), id[4:6])
	b = hex.AppendEncode(append(b, '-'), id[6:8])
	b = hex.AppendEncode(append(b, '-'), id[8:10])
	return hex.AppendEncode(append(b, '-'), id[10:])
}

// isPlain tells that a byte of an id stands for itself in a subject.
func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// Subject is what a subject of the LEDGER stream names: a key when Key is set, a webhook when Webhook is, a claim when
// ClaimKind is, the agent Agent when that is, else the workspace.
type Subject struct {
	Workspace, Org, Agent string // of a key, an agent or a webhook; empty when absent
	Key                   uuid.UUID
	Webhook               uuid.UUID
	ClaimKind, ClaimHash  string
}

// ParseSubject gives what a subject names. It accepts what KeySubject, AgentSubject, WorkspaceSubject, WebhookSubject and
// ClaimSubject give for ids of 1 to MaxID bytes, and nothing else.
func ParseSubject(subject string) (Subject, error) {
	s, err := parseSubject(subject)
	if err != nil {
		return Subject{}, fmt.Errorf("subject %q: %w", subject, err)
	}
	return s, nil
}

func parseSubject(subject string) (s Subject, err error) {
	if rest, ok := strings.CutPrefix(subject, claimPrefix); ok {
		kind, hash, _ := strings.Cut(rest, ".")
		if s.ClaimKind, err = parseToken(kind); err != nil {
			return s, err
		}
		if s.ClaimHash, err = parseToken(hash); err != nil {
			return s, err
		}
		if s.ClaimKind == "" || s.ClaimHash == "" {
			return s, errors.New("a claim without kind or hash")
		}
		return s, nil
	}
	rest, ok := strings.CutPrefix(subject, ledgerPrefix)
	if !ok {
		return s, errors.New("not of the ledger")
	}
	for _, part := range [...]*string{&s.Workspace, &s.Org, &s.Agent} {
		var token string
		if token, rest, ok = strings.Cut(rest, "."); !ok {
			return s, errors.New("too few tokens")
		}
		if *part, err = parseToken(token); err != nil {
			return s, err
		}
	}
	id := &s.Key
	if rest != absent {
		if hook, ok := strings.CutPrefix(rest, absent); ok {
			rest, id = hook, &s.Webhook
		}
		if *id, err = parseUUID(rest); err == nil && *id == uuid.Nil {
			err = errors.New("the nil UUID")
		}
		return s, err
	}
	if s.Agent == "" && (s.Workspace == "" || s.Org != "") {
		return s, errors.New("neither a key nor an agent nor a workspace")
	}
	return s, nil
}

// parseToken is the inverse of appendToken.
func parseToken(token string) (string, error) {
	if token == absent {
		return "", nil
	}
	plain := 0
	for plain < len(token) && isPlain(token[plain]) {
		plain++
	}
	id := token
	if plain < len(token) {
		var err error
		if id, err = unescape(token, plain); err != nil {
			return "", err
		}
	}
	if len(id) == 0 || len(id) > MaxID {
		return "", fmt.Errorf("an id of %d bytes, not 1 to %d", len(id), MaxID)
	}
	return id, nil
}

// unescape gives the id of a token whose first plain bytes are.
func unescape(token string, plain int) (string, error) {
	b := make([]byte, 0, min(len(token), MaxID))
	b = append(b, token[:min(plain, MaxID)]...)
	for i := plain; i < len(token); i++ {
		c := token[i]
		if !isPlain(c) {
			if c != '=' || len(token)-i < 3 {
				return "", fmt.Errorf("byte %q in an id", c)
			}
			high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if high < 0 || low < 0 || isPlain(byte(high<<4|low)) {
				return "", fmt.Errorf("escape %q in an id", token[i:i+3])
			}
			c = byte(high<<4 | low)
			i += 2
		}
		b = append(b, c)
	}
	return string(b), nil
}
