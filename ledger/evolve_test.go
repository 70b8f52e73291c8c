package ledger_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/events"
	"keyledger/ledger"
)

func TestEvolve(t *testing.T) {
	at := func(minute int) time.Time { return now.Add(time.Duration(minute) * time.Minute) }
	first, second := ledger.Digest{1}, ledger.Digest{2}
	history := []events.Payload{
		birth(func(c *events.Created) { c.Metadata = json.RawMessage(`{"a":1}`) }),
		&events.Rotated{KeyID: keyID, Digest: first, Hint: "1", PreviousExpiresAt: at(60)},
		&events.Rotated{KeyID: keyID, Digest: second, Hint: "2", PreviousExpiresAt: at(70), ExpiresAt: ptr(at(600))},
		&events.Updated{KeyID: keyID, Name: ptr("new"), Metadata: ptr(json.RawMessage(nil)), ExpiresAt: ptr(at(65))},
		&events.Updated{KeyID: keyID, Scopes: ptr("read"), ExpiresAt: ptr(time.Time{})},
		&events.Claim{Kind: "root", Hash: "00", Holder: keyID.String()},
		pause,
	}
	var k ledger.Key
	var last *events.Event
	for i, p := range history {
		e := event(p, i+1, at(i))
		k, last = ledger.Evolve(k, e), e
	}
	want := ledger.Key{
		ID:                keyID,
		Name:              "new",
		Hint:              "2",
		Scopes:            "read",
		Environment:       ledger.Live,
		Type:              ledger.TypeExternal,
		Digest:            second,
		PreviousDigest:    first,
		CreatedAt:         at(0),
		CreatedBy:         "admin",
		UpdatedAt:         at(6),
		RotatedAt:         at(2),
		PreviousExpiresAt: at(65), // as the shorter expiry left it
		DisabledAt:        at(6),
		Sequence:          7,
		Revision:          7,
		LastEvent:         last.ID,
	}
	if !reflect.DeepEqual(k, want) {
		t.Fatalf("got\n%+v\nwant\n%+v", k, want)
	}
	k = ledger.Evolve(k, event(resumption, 8, at(7)))
	if !k.DisabledAt.IsZero() || k.Sequence != 8 {
		t.Fatalf("an enabled key: %+v", k)
	}
}

// Notices are noted of the expiry that they are about, the latest mark of it, and of nothing else.
func TestEvolveNotices(t *testing.T) {
	first, second := now.Add(week), now.Add(2*week)
	expiring := func(at time.Time, horizon time.Duration) events.Payload {
		return &events.Expiring{KeyID: keyID, ExpiresAt: at, Horizon: horizon}
	}
	var k ledger.Key
	for i, step := range []struct {
		payload                 events.Payload
		setAt, announced        time.Time
		revision, firstUsedFrom int
	}{
		{birth(func(c *events.Created) { c.ExpiresAt = first }), now.Add(1), time.Time{}, 1, 9},
		{expiring(first, 2*day), now.Add(1), first.Add(-2 * day), 1, 9},
		{expiring(first, 3*day), now.Add(1), first.Add(-2 * day), 1, 9},
		{expiring(second, day), now.Add(1), first.Add(-2 * day), 1, 9},
		{&events.FirstUsed{KeyID: keyID, At: now}, now.Add(1), first.Add(-2 * day), 1, 5},
		{&events.Expired{KeyID: keyID, ExpiresAt: first}, now.Add(1), first, 1, 5},
		{&events.Updated{KeyID: keyID, ExpiresAt: &second}, now.Add(7), time.Time{}, 7, 5},
		{&events.Expired{KeyID: keyID, ExpiresAt: first}, now.Add(7), time.Time{}, 7, 5},
		{pause, now.Add(7), time.Time{}, 9, 5},
		{&events.Revoked{KeyID: keyID}, now.Add(7), time.Time{}, 10, 5},
		{&events.Expired{KeyID: keyID, ExpiresAt: second}, now.Add(7), time.Time{}, 10, 5},
	} {
		n := i + 1
		k = ledger.Evolve(k, event(step.payload, n, now.Add(time.Duration(n))))
		if !k.ExpirySetAt.Equal(step.setAt) || !k.Announced.Equal(step.announced) ||
			k.FirstUsed != (n >= step.firstUsedFrom) || k.Revision != uint64(step.revision) || k.Sequence != uint64(n) {
			t.Fatalf("after event %d: %+v", n, k)
		}
	}
}

func TestStatus(t *testing.T) {
	hour := time.Hour
	for _, c := range []struct {
		name string
		key  ledger.Key
		want ledger.Status
	}{
		{"nothing", ledger.Key{}, ledger.Active},
		{"before its not-before", ledger.Key{NotBefore: now.Add(1)}, ledger.Scheduled},
		{"at its not-before", ledger.Key{NotBefore: now}, ledger.Active},
		{"before its expiry", ledger.Key{ExpiresAt: now.Add(1)}, ledger.Active},
		{"at its expiry", ledger.Key{ExpiresAt: now}, ledger.Expired},
		{"disabled", ledger.Key{DisabledAt: now, ExpiresAt: now.Add(-hour)}, ledger.Disabled},
		{"revoked", ledger.Key{RevokedAt: now, DisabledAt: now, ExpiresAt: now.Add(-hour), NotBefore: now.Add(hour)}, ledger.Revoked},
		{"expired before it began", ledger.Key{ExpiresAt: now.Add(-hour), NotBefore: now.Add(hour)}, ledger.Expired},
	} {
		if got := c.key.Status(now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestIsRoot(t *testing.T) {
	root := ledger.Key{Scopes: "a ledger:*"}
	if !root.IsRoot() {
		t.Fatal("a key with ledger:* and nothing else is no root")
	}
	for name, change := range map[string]func(k *ledger.Key){
		"all scopes but one name": func(k *ledger.Key) { k.Scopes = "ledger:keys:create ledger:audit" },
		"a longer scope":          func(k *ledger.Key) { k.Scopes = "ledger:*x" },
		"a workspace":             func(k *ledger.Key) { k.Owner.Workspace = "w" },
		"an org":                  func(k *ledger.Key) { k.Owner.Org = "o" },
		"an agent":                func(k *ledger.Key) { k.Owner.AgentID = "a" },
		"a peer":                  func(k *ledger.Key) { k.Owner.Peer = "p" },
		"a session":               func(k *ledger.Key) { k.Owner.Session = "s" },
		"an expiry":               func(k *ledger.Key) { k.ExpiresAt = now },
		"disabled":                func(k *ledger.Key) { k.DisabledAt = now },
		"revoked":                 func(k *ledger.Key) { k.RevokedAt = now },
	} {
		k := root
		if change(&k); k.IsRoot() {
			t.Errorf("a key with %s is a root", name)
		}
	}
}

// payloads draws any body, whether it can follow the ones before or not.
func payloads() *rapid.Generator[events.Payload] {
	texts := rapid.StringMatching(`[a-z]{0,5}`)
	times := rapid.Custom(func(t *rapid.T) time.Time {
		seconds := rapid.IntRange(0, 1000).Draw(t, "seconds")
		if seconds == 0 {
			return time.Time{}
		}
		return now.Add(time.Duration(seconds) * time.Second)
	})
	digests := rapid.Custom(func(t *rapid.T) ledger.Digest { return ledger.Digest{rapid.Byte().Draw(t, "digest")} })
	return rapid.Custom(func(t *rapid.T) events.Payload {
		switch rapid.IntRange(0, 11).Draw(t, "type") {
		case 0:
			return birth(expiring(times.Draw(t, "expiry")))
		case 1:
			return &events.Updated{
				KeyID:     keyID,
				Name:      rapid.Ptr(texts, true).Draw(t, "name"),
				Scopes:    rapid.Ptr(texts, true).Draw(t, "scopes"),
				ExpiresAt: rapid.Ptr(times, true).Draw(t, "expiry"),
			}
		case 2:
			return &events.Rotated{
				KeyID:             keyID,
				Digest:            digests.Draw(t, "digest"),
				PreviousExpiresAt: times.Draw(t, "grace"),
				ExpiresAt:         rapid.Ptr(times, true).Draw(t, "expiry"),
			}
		case 3:
			return pause
		case 4:
			return resumption
		case 5:
			return &events.Revoked{KeyID: keyID, Reason: texts.Draw(t, "reason")}
		case 6:
			return &events.Agent{ID: "a", Name: "b"}
		case 7:
			return &events.Claim{Kind: "root", Hash: "00", Holder: "a"}
		case 8:
			return &events.Expiring{KeyID: keyID, ExpiresAt: now.Add(500 * time.Second), Horizon: 7 * time.Second}
		case 9:
			return &events.Expired{KeyID: keyID, ExpiresAt: now.Add(500 * time.Second)}
		case 10:
			return &events.FirstUsed{KeyID: keyID, At: now}
		default:
			return nil
		}
	})
}

func TestEvolveIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k ledger.Key
		for i, p := range rapid.SliceOf(payloads()).Draw(t, "history") {
			e := &events.Event{
				Header:   events.Header{ID: uuid.New(), Time: now.Add(time.Duration(i) * time.Second), Actor: "admin"},
				Sequence: uint64(i + 1),
				Payload:  p,
			}
			before := k
			k = ledger.Evolve(k, e)
			checkStep(t, &before, &k, e)
		}
	})
}

// checkStep checks what holds from any key to the next.
func checkStep(t *rapid.T, before, after *ledger.Key, e *events.Event) {
	switch e.Payload.(type) {
	case nil, *events.Agent, *events.Claim:
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%T changed a key to %+v", e.Payload, after)
		}
		return
	case *events.Expiring, *events.Expired, *events.FirstUsed:
		same := *before
		same.Sequence, same.LastEvent = after.Sequence, after.LastEvent
		same.Announced, same.FirstUsed = after.Announced, after.FirstUsed
		if !reflect.DeepEqual(&same, after) {
			t.Fatalf("%T changed more than notices do, from\n%+v to\n%+v", e.Payload, before, after)
		}
	default:
		if before.RevokedAt.IsZero() && after.Revision != e.Sequence {
			t.Fatalf("after change %d the revision is %d", e.Sequence, after.Revision)
		}
	}
	if after.Announced.After(after.ExpiresAt) || after.ExpiresAt.IsZero() != after.ExpirySetAt.IsZero() {
		t.Fatalf("the expiry at %s was set at %s and announced up to %s", after.ExpiresAt, after.ExpirySetAt, after.Announced)
	}
	if after.Sequence != e.Sequence || after.LastEvent != e.ID {
		t.Fatalf("after event %d the key says %d", e.Sequence, after.Sequence)
	}
	if !before.RevokedAt.IsZero() {
		final := *before
		final.Sequence, final.LastEvent = after.Sequence, after.LastEvent
		if !reflect.DeepEqual(&final, after) {
			t.Fatalf("%T changed a revoked key from\n%+v to\n%+v", e.Payload, before, after)
		}
		if after.Status(now.Add(1000*time.Hour)) != ledger.Revoked {
			t.Fatal("a revoked key is not revoked any more")
		}
	}
	if _, ok := e.Payload.(*events.Revoked); ok && after.Status(now) != ledger.Revoked {
		t.Fatal("a key is not revoked after its revocation")
	}
	if !after.CreatedAt.IsZero() && before.CreatedAt.IsZero() && after.ID != keyID {
		t.Fatalf("a created key has id %s", after.ID)
	}
}
