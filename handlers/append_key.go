package handlers

import (
	"time"

	"keyledger/ledger"
)

// appendKey appends the JSON of a key as every answer shows it: all members, in one order, absent ones null. It is
// written by hand because lists and verifications spend most of their time here.
func appendKey(b []byte, k *ledger.Key, now time.Time) []byte {
	b = append(b, `{"id":"`...)
	b = appendUUID(b, k.ID)
	b = appendStringMember(b, `","name":null`, k.Name)
	b = append(b, `,"hint":`...)
	b = appendString(b, k.Hint)
	b = appendStringMember(b, `,"workspace_id":null`, k.Owner.Workspace)
	b = appendStringMember(b, `,"org_id":null`, k.Owner.Org)
	b = appendStringMember(b, `,"agent_id":null`, k.Owner.AgentID)
	b = appendStringMember(b, `,"agent_name":null`, k.Owner.AgentName)
	b = appendStringMember(b, `,"peer_id":null`, k.Owner.Peer)
	b = appendStringMember(b, `,"session_id":null`, k.Owner.Session)
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
	b = appendTimeMember(b, `","created_at":null`, k.CreatedAt)
	b = appendStringMember(b, `,"created_by":null`, k.CreatedBy)
	b = appendTimeMember(b, `,"updated_at":null`, k.UpdatedAt)
	b = appendTimeMember(b, `,"not_before":null`, k.NotBefore)
	b = appendTimeMember(b, `,"expires_at":null`, k.ExpiresAt)
	b = appendTimeMember(b, `,"rotated_at":null`, k.RotatedAt)
	b = appendTimeMember(b, `,"previous_expires_at":null`, k.PreviousExpiresAt)
	b = appendTimeMember(b, `,"disabled_at":null`, k.DisabledAt)
	b = appendTimeMember(b, `,"revoked_at":null`, k.RevokedAt)
	b = appendStringMember(b, `,"revoked_by":null`, k.RevokedBy)
	b = appendStringMember(b, `,"revoke_reason":null`, k.RevokeReason)
	b = appendTimeMember(b, `,"last_used_at":null`, k.Use.LastAt)
	b = appendUintMember(b, `,"use_count":`, k.Use.Count)
	b = appendUintMember(b, `,"sequence":`, k.Revision)
	return append(b, '}')
}
