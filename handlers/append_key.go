package handlers

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// appendKey appends the JSON of a key as every answer shows it: all members, in one order, absent ones null. It is
// written by hand because lists and verifications spend most of their time here.
func appendKey(b []byte, k *ledger.Key, now time.Time) []byte {
	b = append(b, `{"id":"`...)
	b = appendUUID(b, k.ID)
	b = appendStringMember(b, `","name":`, k.Name)
	b = append(b, `,"hint":`...)
	b = appendString(b, k.Hint)
	b = appendStringMember(b, `,"workspace_id":`, k.Owner.Workspace)
	b = appendStringMember(b, `,"org_id":`, k.Owner.Org)
	b = appendStringMember(b, `,"agent_id":`, k.Owner.AgentID)
	b = appendStringMember(b, `,"agent_name":`, k.Owner.AgentName)
	b = appendStringMember(b, `,"peer_id":`, k.Owner.Peer)
	b = appendStringMember(b, `,"session_id":`, k.Owner.Session)
	b = append(b, `,"scopes":`...)
	b = appendScopes(b, k.Scopes)
	b = append(b, `,"environment":`...)
	b = appendString(b, k.Environment)
	b = append(b, `,"type":`...)
	b = appendString(b, k.Type)
	b = append(b, `,"metadata":`...)
	if len(k.Metadata) == 0 {
		b = append(b, '{', '}')
	} else {
		b = append(b, k.Metadata...)
	}
	b = append(b, `,"status":"`...)
	b = append(b, k.Status(now)...)
	b = appendTimeMember(b, `","created_at":`, k.CreatedAt)
	b = appendStringMember(b, `,"created_by":`, k.CreatedBy)
	b = appendTimeMember(b, `,"updated_at":`, k.UpdatedAt)
	b = appendTimeMember(b, `,"not_before":`, k.NotBefore)
	b = appendTimeMember(b, `,"expires_at":`, k.ExpiresAt)
	b = appendTimeMember(b, `,"rotated_at":`, k.RotatedAt)
	b = appendTimeMember(b, `,"previous_expires_at":`, k.PreviousExpiresAt)
	b = appendTimeMember(b, `,"disabled_at":`, k.DisabledAt)
	b = appendTimeMember(b, `,"revoked_at":`, k.RevokedAt)
	b = appendStringMember(b, `,"revoked_by":`, k.RevokedBy)
	b = appendStringMember(b, `,"revoke_reason":`, k.RevokeReason)
	b = appendTimeMember(b, `,"last_used_at":`, k.Use.LastAt)
	b = appendUintMember(b, `,"use_count":`, k.Use.Count)
	b = appendUintMember(b, `,"sequence":`, k.Sequence)
	return append(b, '}')
}

// appendStringMember appends a member whose value is a string: null when it is empty.
func appendStringMember(b []byte, name, value string) []byte {
	b = append(b, name...)
	if value == "" {
		return append(b, `null`...)
	}
	return appendString(b, value)
}

// appendTimeMember appends a member whose value is a time in RFC 3339, UTC: null when it is zero.
func appendTimeMember(b []byte, name string, t time.Time) []byte {
	b = append(b, name...)
	if t.IsZero() {
		return append(b, `null`...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

func appendUintMember(b []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(b, name...), n, 10)
}

func appendScopes(b []byte, scopes ledger.Scopes) []byte {
	b = append(b, '[')
	for scope := range scopes.All() {
		b = append(appendString(b, scope), ',')
	}
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, ']')
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(b, id[:4])
	b = hex.AppendEncode(append(b, '-'), id[4:6])
	b = hex.AppendEncode(append(b, '-'), id[6:8])
	b = hex.AppendEncode(append(b, '-'), id[8:10])
	return hex.AppendEncode(append(b, '-'), id[10:])
}
