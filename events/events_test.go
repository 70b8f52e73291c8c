package events

import (
	"encoding/json"
	"math"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
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
		"key.created-confined": {onKey, &Created{
			KeyID: key, Owner: owner, Name: "deploy key", Environment: "live", KeyType: "external",
			Digest: Digest([]byte(testDigest)), UniqueName: true, Confined: true,
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
		"key.expiring":     {onKey, &Expiring{KeyID: key, ExpiresAt: later, Horizon: 7 * 24 * time.Hour}},
		"key.expired":      {onKey, &Expired{KeyID: key, ExpiresAt: later}},
		"key.first_used":   {onKey, &FirstUsed{KeyID: key, At: later}},
		"agent.registered": {AgentSubject("acme", "r&d", "bot7"), &Agent{
			ID: "bot7", Name: "Böt seven", Workspace: "acme", Org: "r&d",
		}},
		"agent.registered-bare": {AgentSubject("", "", "bot7"), &Agent{ID: "bot7", Name: "b"}},
		"webhook.created": {WebhookSubject("acme", "r&d", "bot7", key), &Webhook{
			ID: key, Workspace: "acme", Org: "r&d", Agent: "bot7", URL: "https://hooks.example.com/in?key=3",
			Types: "key.created key.revoked", Name: "deploy key", From: 300,
		}},
		"webhook.created-bare": {WebhookSubject("", "", "", key), &Webhook{ID: key, URL: "https://hooks.example.com"}},
		"webhook.updated": {WebhookSubject("acme", "", "", key), &WebhookUpdate{
			ID: key, URL: new("https://hooks.example.com/in?key=4"), Types: new("key.*"), Name: new("new name"),
			Disabled: new(true), Reason: "leaked", SecretVersion: 2, PreviousUntil: later,
		}},
		"webhook.updated-enabled": {WebhookSubject("", "", "", key), &WebhookUpdate{ID: key, Disabled: new(false), Types: new("")}},
		"webhook.deleted":         {WebhookSubject("acme", "", "", key), &WebhookDelete{ID: key}},
		"owner.erased":            {WorkspaceSubject("acme"), &Erasure{Workspace: "acme", Generation: 3}},
		"owner.erased-key":        {onKey, &Erasure{Workspace: "acme", KeyID: key}},
		"claim.taken":             {ClaimSubject("agent", testHash), &Claim{Kind: "agent", Hash: testHash, Holder: "bot7"}},
		"claim.released":          {ClaimSubject("agent", testHash), &Release{Kind: "agent", Hash: testHash}},
	}
	all := make(map[string]Event, len(payloads))
	for name, p := range payloads {
		all[name] = Event{
			Header: Header{
				Type: p.payload.Type(), Version: clearVersion, ID: uuid.MustParse("01978d2c-8f00-7b00-8000-0000000000e1"),
				Time: testTime("2026-01-02T03:04:05.000006Z"), Actor: "system", RequestID: "req-42",
			},
			Sequence: 7, Subject: p.subject, Payload: p.payload,
			Origin: Origin{IP: "2001:db8::1", UserAgent: "curl/8.5.0"},
		}
	}
	for _, name := range []string{"key.created-bare", "key.updated-bare", "key.rotated-bare", "key.revoked-bare", "agent.registered-bare",
		"key.expiring", "key.expired", "key.first_used", "webhook.created-bare", "owner.erased", "owner.erased-key"} {
		e := all[name]
		e.Origin, e.RequestID = Origin{}, ""
		all[name] = e
	}
	return all
}

// drawEvent draws an event as any command could make it.
func drawEvent(t *rapid.T) Event {
	subject, p := drawPayload(t)
	return Event{
		Header: Header{
			Type: p.Type(), Version: clearVersion, ID: drawUUID(t, "event id"), Time: drawTime(t, "time"),
			Actor:     rapid.StringMatching(`[!-~]{1,128}`).Draw(t, "actor"),
			RequestID: rapid.StringMatching(`[!-~]{0,128}`).Draw(t, "request id"),
		},
		Sequence: rapid.Uint64().Draw(t, "sequence"), Subject: subject, Payload: p,
		Origin: Origin{IP: drawText(t, "ip", 0, maxIP), UserAgent: drawText(t, "user agent", 0, maxUserAgent)},
	}
}

func drawPayload(t *rapid.T) (subject string, p Payload) {
	key := drawUUID(t, "key id")
	owner := Owner{
		Workspace: drawText(t, "workspace", 0, MaxID), Org: drawText(t, "org", 0, MaxID), AgentID: drawText(t, "agent", 0, MaxID),
		AgentName: drawText(t, "agent name", 0, 200), Peer: drawText(t, "peer", 0, 200), Session: drawText(t, "session", 0, 200),
	}
	subject = KeySubject(&owner, key)
	switch rapid.SampledFrom(allTypes()).Draw(t, "type") {
	case KeyCreated:
		return subject, &Created{
			KeyID: key, Owner: owner, Name: drawText(t, "name", 0, 200), Scopes: drawText(t, "scopes", 0, 2000),
			Environment: drawText(t, "environment", 1, 10), KeyType: drawText(t, "key type", 1, 10),
			Metadata: drawMetadata(t), NotBefore: drawTimeOrZero(t, "not before"), ExpiresAt: drawTimeOrZero(t, "expiry"),
			Digest: drawDigest(t), Hint: drawText(t, "hint", 0, 20),
			UniqueName: rapid.Bool().Draw(t, "unique name"), Confined: rapid.Bool().Draw(t, "confined"),
		}
	case KeyUpdated:
		return subject, &Updated{
			KeyID:     key,
			Name:      rapid.Ptr(rapid.Just(drawText(t, "name", 0, 200)), true).Draw(t, "name"),
			Scopes:    rapid.Ptr(rapid.Just(drawText(t, "scopes", 0, 200)), true).Draw(t, "scopes"),
			Metadata:  rapid.Ptr(rapid.Just(drawMetadata(t)), true).Draw(t, "metadata"),
			ExpiresAt: rapid.Ptr(rapid.Just(drawTimeOrZero(t, "expiry")), true).Draw(t, "expiry"),
		}
	case KeyRotated:
		return subject, &Rotated{
			KeyID: key, Digest: drawDigest(t), Hint: drawText(t, "hint", 0, 20),
			PreviousExpiresAt: drawTimeOrZero(t, "previous expiry"),
			ExpiresAt:         rapid.Ptr(rapid.Just(drawTimeOrZero(t, "expiry")), true).Draw(t, "expiry"),
		}
	case KeyDisabled:
		return subject, &Disabled{KeyID: key}
	case KeyEnabled:
		return subject, &Enabled{KeyID: key}
	case KeyRevoked:
		return subject, &Revoked{KeyID: key, Reason: drawText(t, "reason", 0, 500)}
	case KeyExpiring:
		horizon := time.Duration(rapid.Int64Range(1, int64(math.MaxInt64/time.Second)).Draw(t, "horizon")) * time.Second
		return subject, &Expiring{KeyID: key, ExpiresAt: drawTime(t, "expiry"), Horizon: horizon}
	case KeyExpired:
		return subject, &Expired{KeyID: key, ExpiresAt: drawTime(t, "expiry")}
	case KeyFirstUsed:
		return subject, &FirstUsed{KeyID: key, At: drawTime(t, "use")}
	case AgentRegistered:
		a := &Agent{ID: drawText(t, "id", 1, MaxID), Name: drawText(t, "name", 1, 200), Workspace: owner.Workspace, Org: owner.Org}
		return AgentSubject(a.Workspace, a.Org, a.ID), a
	case WebhookCreated:
		w := &Webhook{
			ID: key, Workspace: owner.Workspace, Org: owner.Org, Agent: owner.AgentID, URL: drawText(t, "url", 1, 200),
			Types: drawText(t, "types", 0, 200), Name: drawText(t, "name", 0, 200), From: rapid.Uint64().Draw(t, "from"),
		}
		return WebhookSubject(w.Workspace, w.Org, w.Agent, key), w
	case WebhookUpdated:
		return WebhookSubject(owner.Workspace, owner.Org, owner.AgentID, key), &WebhookUpdate{
			ID:            key,
			URL:           rapid.Ptr(rapid.Just(drawText(t, "url", 0, 200)), true).Draw(t, "url"),
			Types:         rapid.Ptr(rapid.Just(drawText(t, "types", 0, 200)), true).Draw(t, "types"),
			Name:          rapid.Ptr(rapid.Just(drawText(t, "name", 0, 200)), true).Draw(t, "name"),
			Disabled:      rapid.Ptr(rapid.Bool(), true).Draw(t, "disabled"),
			Reason:        drawText(t, "reason", 0, 500),
			SecretVersion: rapid.Uint64().Draw(t, "secret"),
			PreviousUntil: drawTimeOrZero(t, "previous until"),
		}
	case WebhookDeleted:
		return WebhookSubject(owner.Workspace, owner.Org, owner.AgentID, key), &WebhookDelete{ID: key}
	case OwnerErased:
		if owner.Workspace == "" || rapid.Bool().Draw(t, "one key") {
			return subject, &Erasure{Workspace: owner.Workspace, KeyID: key, Generation: rapid.Uint64().Draw(t, "generation")}
		}
		return WorkspaceSubject(owner.Workspace), &Erasure{Workspace: owner.Workspace, Generation: rapid.Uint64().Draw(t, "generation")}
	case ClaimTaken:
		c := &Claim{Kind: drawText(t, "kind", 1, MaxID), Hash: drawText(t, "hash", 1, MaxID), Holder: drawText(t, "holder", 1, MaxID)}
		return ClaimSubject(c.Kind, c.Hash), c
	default:
		r := &Release{Kind: drawText(t, "kind", 1, MaxID), Hash: drawText(t, "hash", 1, MaxID)}
		return ClaimSubject(r.Kind, r.Hash), r
	}
}

// drawText draws a text of that many bytes.
func drawText(t *rapid.T, label string, least, most int) string {
	return rapid.StringN(least, -1, most).Draw(t, label)
}

func drawUUID(t *rapid.T, label string) uuid.UUID {
	return uuid.UUID(append(rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(t, label), 1))
}

func drawDigest(t *rapid.T) Digest {
	return Digest(append(rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(t, "digest"), 1))
}

func drawTime(t *rapid.T, label string) time.Time {
	return time.UnixMicro(rapid.Int64Range(1, maxMicros).Draw(t, label)).UTC()
}

func drawTimeOrZero(t *rapid.T, label string) time.Time {
	if rapid.Bool().Draw(t, "no "+label) {
		return time.Time{}
	}
	return drawTime(t, label)
}

func drawMetadata(t *rapid.T) json.RawMessage {
	m := rapid.MapOfN(rapid.String(), rapid.Int(), 0, 5).Draw(t, "metadata")
	if len(m) == 0 {
		return nil
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func allTypes() []Type {
	return []Type{
		KeyCreated, KeyUpdated, KeyRotated, KeyDisabled, KeyEnabled, KeyRevoked, KeyExpiring, KeyExpired, KeyFirstUsed,
		AgentRegistered, WebhookCreated, WebhookUpdated, WebhookDeleted, OwnerErased, ClaimTaken,
		ClaimReleased,
	}
}
