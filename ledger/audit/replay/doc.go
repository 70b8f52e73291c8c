// Package replay tells the history of the ledger, event by event: who did what and when, and what it changed, from what to
// what. It folds the events of each key as the ledger does, so it must be given all events of whatever it is asked to tell of.
//
// # Memory
//
// A replay takes the same memory for any number of events. What the keys are at is kept packed, the most recent ones in
// memory, up to Options.Memory, and the others in a temporary folder that is removed at the end. A packed key is what the
// exchange form shows of it, about 100 bytes and its metadata: there is no digest in it.
//
// # Records in JSON
//
// NDJSON is one object a line, JSON an array of the same objects. What is absent is null, an empty array or an empty object.
//
//	sequence      number: place in the ledger
//	time          RFC 3339, UTC, 6 decimals: when the command was decided
//	type          key.created, key.updated, …
//	event_id      UUID
//	subject       id of the key, agent or webhook
//	name          its name after the event
//	workspace_id  its owner
//	org_id
//	agent_id
//	actor         {"id": key id of who did it, or "system", "name": of that key}
//	origin        {"ip", "user_agent"} of the request
//	request_id    of the request
//	changes       [{"field", "old", "new"}, …]; the fields are those of the exchange form of events, and disabled, revoked,
//	              revoke_reason and deleted
//	facts         {…}: what the event tells besides: expires_at and horizon_seconds of a notice, used_at of a first use,
//	              secret_rotated of a webhook
//
// # Records in CSV
//
// RFC 4180, with a header. There is a row for each change of an event, and one for an event without any, with the columns
// sequence, time, type, event_id, subject, name, workspace_id, org_id, agent_id, actor_id, actor_name, ip, user_agent,
// request_id, field, old and new. A fact is a change without an old value. Lists are space-delimited, flags true or false. A value that a
// spreadsheet would take for a formula, because it begins with = + - @ or a control character, has a ' before it.
package replay
