package events

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// The events that the tests share: one of every type with every field, and the bare ones.

const (
	testKey    = "01978d2c-8f00-7a00-8000-000000000001"
	testDigest = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff"
	testHash   = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

func testTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func testOwner() Owner {
	return Owner{
		Workspace: "acme", Org: "r&d", AgentID: "bot7", AgentName: "Böt seven", Peer: "peer-1", Session: "session-1",
	}
}

// testEvents gives full and bare events by the name of their golden file.
func testEvents() map[string]Event {
	key, owner := uuid.MustParse(testKey), testOwner()
	never, later := time.Time{}, testTime("2027-01-02T03:04:05.678901Z")
	emptied := json.RawMessage(nil)
	onKey := KeySubject(&owner, key)
	payloads := map[string]struct {
		subject string
		payload Payload
	}{
		"key.created": {onKey, &Created{
			KeyID: key, Owner: owner, Name: "deploy key", Scopes: "models:read models:write", Environment: "live",
			KeyType: "external", Metadata: json.RawMessage(`{"team":"bl\u00fc","tier":3}`),
			NotBefore: testTime("2026-02-03T04:05:06Z"), ExpiresAt: later, Digest: Digest([]byte(testDigest)),
			Hint: "kl_3f…9z",
		}},
		"key.created-bare": {KeySubject(new(Owner), key), &Created{
			KeyID: key, Environment: "test", KeyType: "internal", Digest: Digest([]byte(testDigest)),
		}},
		"key.updated": {onKey, &Updated{
			KeyID: key, Name: new("new name"), Scopes: new("models:read"), Metadata: new(json.RawMessage(`{"a":[1,2]}`)),
			ExpiresAt: &later,
		}},
		"key.updated-emptied": {onKey, &Updated{
			KeyID: key, Name: new(""), Scopes: new(""), Metadata: &emptied, ExpiresAt: &never,
		}},
		"key.updated-bare": {onKey, &Updated{KeyID: key}},
		"key.rotated": {onKey, &Rotated{
			KeyID: key, Digest: Digest([]byte(testDigest)), Hint: "kl_77…ab", PreviousExpiresAt: later, ExpiresAt: &later,
		}},
		"key.rotated-bare": {onKey, &Rotated{KeyID: key, Digest: Digest([]byte(testDigest))}},
		"key.disabled":     {onKey, &Disabled{KeyID: key}},
		"key.enabled":      {onKey, &Enabled{KeyID: key}},
		"key.revoked":      {onKey, &Revoked{KeyID: key, Reason: "leaked in a log"}},
		"key.revoked-bare": {onKey, &Revoked{KeyID: key}},
		"agent.registered": {AgentSubject("acme", "r&d", "bot7"), &Agent{
			ID: "bot7", Name: "Böt seven", Workspace: "acme", Org: "r&d",
		}},
		"agent.registered-bare": {AgentSubject("", "", "bot7"), &Agent{ID: "bot7", Name: "b"}},
		"claim.taken":           {ClaimSubject("agent", testHash), &Claim{Kind: "agent", Hash: testHash, Holder: "bot7"}},
		"claim.released":        {ClaimSubject("agent", testHash), &Release{Kind: "agent", Hash: testHash}},
	}
	all := make(map[string]Event, len(payloads))
	for name, p := range payloads {
		all[name] = Event{
			Header: Header{
				Type: p.payload.Type(), Version: p.payload.version(), ID: uuid.MustParse("01978d2c-8f00-7b00-8000-0000000000e1"),
				Time: testTime("2026-01-02T03:04:05.000006Z"), Actor: "system", RequestID: "req-42",
			},
			Sequence: 7, Subject: p.subject, Payload: p.payload,
			Origin: Origin{IP: "2001:db8::1", UserAgent: "curl/8.5.0"},
		}
	}
	for _, name := range []string{"key.created-bare", "key.updated-bare", "key.rotated-bare", "key.revoked-bare", "agent.registered-bare"} {
		e := all[name]
		e.Origin, e.RequestID = Origin{}, ""
		all[name] = e
	}
	return all
}
