package events

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

const testSource = "/keyledger/main"

func TestAppendCloudEvent(t *testing.T) {
	const (
		head = `{"specversion":"1.0","id":"01978d2c-8f00-7b00-8000-0000000000e1","source":"/keyledger/main","type":"keyledger.`
		when = `","time":"2026-01-02T03:04:05.000006Z","sequence":"7","actor":"system",`
		rest = when + `"requestid":"req-42","datacontenttype":"application/json","data":{`
		bare = when + `"datacontenttype":"application/json","data":{`
		key  = `"key_id":"01978d2c-8f00-7a00-8000-000000000001"`
		hook = `"webhook_id":"01978d2c-8f00-7a00-8000-000000000001"`
		from = `,"origin":{"ip":"2001:db8::1","user_agent":"curl/8.5.0"}}}`
		none = `,"origin":{"ip":null,"user_agent":null}}}`
	)
	tests := map[string]string{
		"key.created": head + `key.created","subject":"` + testKey + rest + key + `,"name":"deploy key","hint":"kl_3f…9z",` +
			`"workspace_id":"acme","org_id":"r&d","agent_id":"bot7","agent_name":"Böt seven","peer_id":"peer-1",` +
			`"session_id":"session-1","scopes":["models:read","models:write"],"environment":"live","type":"external",` +
			`"metadata":{"team":"bl\u00fc","tier":3},"not_before":"2026-02-03T04:05:06.000000Z",` +
			`"expires_at":"2027-01-02T03:04:05.678901Z"` + from,
		"key.created-bare": head + `key.created","subject":"` + testKey + bare + key + `,"name":null,"hint":null,` +
			`"workspace_id":null,"org_id":null,"agent_id":null,"agent_name":null,"peer_id":null,"session_id":null,` +
			`"scopes":[],"environment":"test","type":"internal","metadata":{},"not_before":null,"expires_at":null` + none,
		"key.created-confined": head + `key.created","subject":"` + testKey + rest + key + `,"name":"deploy key","hint":null,` +
			`"workspace_id":"acme","org_id":"r&d","agent_id":"bot7","agent_name":"Böt seven","peer_id":"peer-1",` +
			`"session_id":"session-1","scopes":[],"environment":"live","type":"external","metadata":{},"not_before":null,` +
			`"expires_at":null,"unique_name":true,"confined":true` + from,
		"key.updated": head + `key.updated","subject":"` + testKey + rest + key + `,"name":"new name",` +
			`"scopes":["models:read"],"metadata":{"a":[1,2]},"expires_at":"2027-01-02T03:04:05.678901Z"` + from,
		"key.updated-emptied": head + `key.updated","subject":"` + testKey + rest + key +
			`,"name":null,"scopes":[],"metadata":{},"expires_at":null` + from,
		"key.updated-bare": head + `key.updated","subject":"` + testKey + bare + key + none,
		"key.rotated": head + `key.rotated","subject":"` + testKey + rest + key + `,"hint":"kl_77…ab",` +
			`"previous_expires_at":"2027-01-02T03:04:05.678901Z","expires_at":"2027-01-02T03:04:05.678901Z"` + from,
		"key.rotated-bare": head + `key.rotated","subject":"` + testKey + bare + key +
			`,"hint":null,"previous_expires_at":null` + none,
		"key.disabled":     head + `key.disabled","subject":"` + testKey + rest + key + from,
		"key.enabled":      head + `key.enabled","subject":"` + testKey + rest + key + from,
		"key.revoked":      head + `key.revoked","subject":"` + testKey + rest + key + `,"reason":"leaked in a log"` + from,
		"key.revoked-bare": head + `key.revoked","subject":"` + testKey + bare + key + `,"reason":null` + none,
		"key.expiring": head + `key.expiring","subject":"` + testKey + bare + key +
			`,"expires_at":"2027-01-02T03:04:05.678901Z","horizon_seconds":604800` + none,
		"key.expired": head + `key.expired","subject":"` + testKey + bare + key +
			`,"expires_at":"2027-01-02T03:04:05.678901Z"` + none,
		"key.first_used": head + `key.first_used","subject":"` + testKey + bare + key +
			`,"used_at":"2027-01-02T03:04:05.678901Z"` + none,
		"agent.registered": head + `agent.registered","subject":"bot7` + rest + `"agent_id":"bot7","name":"Böt seven",` +
			`"workspace_id":"acme","org_id":"r&d"` + from,
		"agent.registered-bare": head + `agent.registered","subject":"bot7` + bare + `"agent_id":"bot7","name":"b",` +
			`"workspace_id":null,"org_id":null` + none,
		"webhook.created": head + `webhook.created","subject":"` + testKey + rest + hook + `,"name":"deploy key",` +
			`"workspace_id":"acme","org_id":"r&d","agent_id":"bot7","target":"https://hooks.example.com",` +
			`"types":["key.created","key.revoked"]` + from,
		"webhook.created-bare": head + `webhook.created","subject":"` + testKey + bare + hook + `,"name":null,` +
			`"workspace_id":null,"org_id":null,"agent_id":null,"target":"https://hooks.example.com","types":[]` + none,
		"webhook.updated": head + `webhook.updated","subject":"` + testKey + rest + hook + `,"name":"new name",` +
			`"target":"https://hooks.example.com","types":["key.*"],"disabled":true,"reason":"leaked","secret_rotated":true,` +
			`"previous_secret_until":"2027-01-02T03:04:05.678901Z"` + from,
		"webhook.updated-enabled": head + `webhook.updated","subject":"` + testKey + rest + hook +
			`,"types":[],"disabled":false,"reason":null` + from,
		"webhook.deleted":  head + `webhook.deleted","subject":"` + testKey + rest + hook + from,
		"owner.erased":     head + `owner.erased","subject":"acme` + bare + `"workspace_id":"acme"` + none,
		"owner.erased-key": head + `owner.erased","subject":"` + testKey + bare + key + `,"workspace_id":"acme"` + none,
		"claim.taken": head + `claim.taken","subject":"agent.` + testHash + rest + `"kind":"agent","hash":"` + testHash +
			`","holder":"bot7"` + from,
		"claim.released": head + `claim.released","subject":"agent.` + testHash + rest + `"kind":"agent","hash":"` +
			testHash + `"` + from,
	}
	for name, e := range testEvents() {
		want, ok := tests[name]
		if !ok {
			t.Errorf("%s: not expected here", name)
		}
		got, err := AppendCloudEvent([]byte("before "), &e, testSource)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != "before "+want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestCloudEventsAreValid holds any event to the rules of CloudEvents 1.0: section 3.1 on attribute names, and 3.2.
func TestCloudEventsAreValid(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]{1,20}$`)
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		text, err := AppendCloudEvent(nil, &e, testSource)
		if err != nil {
			t.Fatal(err)
		}
		if !jsontext.Value(text).IsValid() {
			t.Fatalf("not valid JSON: %s", text)
		}
		var attributes map[string]any
		if err := json.Unmarshal(text, &attributes); err != nil {
			t.Fatal(err)
		}
		for attribute, value := range attributes {
			_, isText := value.(string)
			if !name.MatchString(attribute) || !isText && attribute != "data" {
				t.Errorf("attribute %q: %v", attribute, value)
			}
		}
		for _, required := range []string{"id", "source", "specversion", "type", "subject"} {
			if attributes[required] == "" || attributes[required] == nil {
				t.Errorf("attribute %q: %v", required, attributes[required])
			}
		}
	})
}

// TestNoDigestLeaves looks for a token's digest, in any usual spelling, in what is made of the events that hold one.
func TestNoDigestLeaves(t *testing.T) {
	digest := []byte(testDigest)
	inHex := hex.EncodeToString(digest)
	all := []Event{testEvents()["key.created"], testEvents()["key.rotated"]}
	for _, p := range []Payload{
		&Claim{Kind: TokenClaim, Hash: inHex, Holder: testKey}, &Release{Kind: TokenClaim, Hash: inHex},
	} {
		e := testEvents()["claim.taken"]
		e.Payload, e.Subject = p, ClaimSubject(TokenClaim, inHex)
		all = append(all, e)
	}
	for _, e := range all {
		text, err := AppendCloudEvent(nil, &e, testSource)
		if err != nil {
			t.Fatal(err)
		}
		for _, spelling := range []string{
			string(digest), inHex, base64.StdEncoding.EncodeToString(digest), base64.RawURLEncoding.EncodeToString(digest),
		} {
			if bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(spelling))) {
				t.Errorf("%T: %s", e.Payload, text)
			}
		}
	}
}

func TestAppendCloudEventRefuses(t *testing.T) {
	for name, change := range map[string]func(*Event){
		"no payload":   func(e *Event) { e.Payload = nil },
		"bad UTF-8":    func(e *Event) { e.Payload.(*Created).Name = "\xff" },
		"bad metadata": func(e *Event) { e.Payload.(*Created).Metadata = []byte(`{"a":1},"x":{}`) },
	} {
		e := testEvents()["key.created"]
		change(&e)
		before := []byte("before")
		got, err := AppendCloudEvent(before, &e, testSource)
		if err == nil || !reflect.DeepEqual(got, before) {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func BenchmarkAppendCloudEvent(b *testing.B) {
	e := testEvents()["key.created"]
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = AppendCloudEvent(dst[:0], &e, testSource); err != nil {
			b.Fatal(err)
		}
	}
}
