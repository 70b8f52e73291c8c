package ledger_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

var (
	now   = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	keyID = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	token = ledger.NewSecret("a-token-that-was-brought-by-the-caller-0001")
)

// scenario is a key as its events made it, and what a Decide function says to it.
type scenario struct {
	t   *testing.T
	key ledger.Key
	got events.Payload
	err error
}

// given is the key after these events, a minute apart, the last of them a minute ago.
func given(t *testing.T, history ...events.Payload) *scenario {
	t.Helper()
	s := &scenario{t: t}
	for i, p := range history {
		s.key = ledger.Evolve(s.key, event(p, i+1, now.Add(time.Duration(i-len(history))*time.Minute)))
	}
	return s
}

// event is a fact by "admin".
func event(p events.Payload, sequence int, at time.Time) *events.Event {
	return &events.Event{
		Header:   events.Header{Type: p.Type(), ID: uuid.New(), Time: at, Actor: "admin"},
		Sequence: uint64(sequence),
		Payload:  p,
	}
}

// when decides at now.
func when[P interface {
	*T
	events.Payload
}, T any](s *scenario, decide func(k *ledger.Key) (P, error)) *scenario {
	got, err := decide(&s.key)
	if got != nil {
		s.got = got
	}
	s.err = err
	return s
}

func (s *scenario) then(want events.Payload) {
	s.t.Helper()
	if s.err != nil || !reflect.DeepEqual(s.got, want) {
		s.t.Fatalf("got %+v, %v, want %+v", s.got, s.err, want)
	}
}

func (s *scenario) thenNothing() {
	s.t.Helper()
	if s.err != nil || s.got != nil {
		s.t.Fatalf("got %+v, %v, want no event and no error", s.got, s.err)
	}
}

func (s *scenario) thenRefused(code ledger.Code, field string) {
	s.t.Helper()
	var e *ledger.Error
	if !errors.As(s.err, &e) || e.Code != code || e.Field != field || e.Detail == "" || s.got != nil {
		s.t.Fatalf("got %+v, %v, want %s of %q", s.got, s.err, code, field)
	}
}

// birth is the event of a plain key; each change is made to it.
func birth(changes ...func(*events.Created)) *events.Created {
	c := &events.Created{
		KeyID:       keyID,
		Name:        "ci",
		Scopes:      "read write",
		Environment: ledger.Live,
		KeyType:     ledger.TypeExternal,
		Digest:      token.Digest(),
		Hint:        token.Hint(),
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func expiring(at time.Time) func(*events.Created) {
	return func(c *events.Created) { c.ExpiresAt = at }
}

func create(in ledger.Create) func(*ledger.Key) (*events.Created, error) {
	return func(*ledger.Key) (*events.Created, error) { return ledger.DecideCreate(&in, keyID, token, now) }
}

func update(in ledger.Update) func(*ledger.Key) (*events.Updated, error) {
	return func(k *ledger.Key) (*events.Updated, error) { return ledger.DecideUpdate(k, &in, now) }
}

func rotate(in ledger.Rotate, token ledger.Secret) func(*ledger.Key) (*events.Rotated, error) {
	return func(k *ledger.Key) (*events.Rotated, error) { return ledger.DecideRotate(k, &in, token, now) }
}

func revoke(reason string) func(*ledger.Key) (*events.Revoked, error) {
	return func(k *ledger.Key) (*events.Revoked, error) { return ledger.DecideRevoke(k, reason) }
}

var (
	revocation = &events.Revoked{KeyID: keyID, Reason: "leaked"}
	pause      = &events.Disabled{KeyID: keyID}
	resumption = &events.Enabled{KeyID: keyID}
)

func TestDecideCreate(t *testing.T) {
	t.Run("with nothing stated", func(t *testing.T) {
		when(given(t), create(ledger.Create{})).then(birth(func(c *events.Created) { c.Name, c.Scopes = "", "" }))
	})
	t.Run("with everything stated", func(t *testing.T) {
		owner := ledger.Owner{Workspace: "w", Org: "o", AgentID: "a", AgentName: "A", Peer: "p", Session: "s"}
		zone := time.FixedZone("east", 7200)
		when(given(t), create(ledger.Create{
			Name:        "ci",
			Owner:       owner,
			Scopes:      []string{"b", "a", "b", "ledger:keys:read"},
			Environment: ledger.Test,
			Type:        ledger.TypeGitHub,
			Metadata:    json.RawMessage(` { "a" : [ 1 , 2.50 ] , "ä" : " x " } `),
			NotBefore:   now.Add(time.Hour + 123*time.Nanosecond).In(zone),
			ExpiresAt:   now.Add(2*time.Hour + 1999*time.Nanosecond).In(zone),
		})).then(&events.Created{
			KeyID:       keyID,
			Owner:       owner,
			Name:        "ci",
			Scopes:      "b a ledger:keys:read",
			Environment: ledger.Test,
			KeyType:     ledger.TypeGitHub,
			Metadata:    json.RawMessage(`{"a":[1,2.50],"ä":" x "}`),
			NotBefore:   now.Add(time.Hour),
			ExpiresAt:   now.Add(2*time.Hour + time.Microsecond),
			Digest:      token.Digest(),
			Hint:        token.Hint(),
		})
	})
	t.Run("at every limit", func(t *testing.T) {
		for _, in := range atLimits() {
			if s := when(given(t), create(in)); s.err != nil {
				t.Errorf("%+v is refused: %v", in, s.err)
			}
		}
	})
	for field, list := range beyondLimits() {
		t.Run(field, func(t *testing.T) {
			for _, in := range list {
				when(given(t), create(in)).thenRefused(ledger.CodeInvalid, field)
			}
		})
	}
}

// atLimits are creates that just pass.
func atLimits() []ledger.Create {
	id := strings.Repeat("ä", 64)
	return []ledger.Create{
		{Name: strings.Repeat("語", 120)},
		{Owner: ledger.Owner{Workspace: id, Org: id, AgentID: id, AgentName: strings.Repeat("語", 120), Peer: id, Session: id}},
		{Owner: ledger.Owner{Workspace: "a b/c=~*>.é"}},
		{Scopes: []string{strings.Repeat("x", 128), "!#[]~", "a'b"}},
		{Scopes: append(numbered(64), numbered(64)...)},
		{Metadata: metadata(4096)},
		{Metadata: json.RawMessage("{ }")},
		{Metadata: json.RawMessage("null")},
		{NotBefore: time.Unix(1, 0)},
		{NotBefore: now, ExpiresAt: now.Add(time.Microsecond)},
		{ExpiresAt: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	}
}

// beyondLimits are creates that just fail, by the field that is named.
func beyondLimits() map[string][]ledger.Create {
	long := strings.Repeat("x", 129)
	return map[string][]ledger.Create{
		"name":         {{Name: strings.Repeat("語", 121)}, {Name: "a\nb"}, {Name: "\x7f"}, {Name: "\u0085"}, {Name: "\xff"}},
		"workspace_id": {{Owner: ledger.Owner{Workspace: long}}, {Owner: ledger.Owner{Workspace: "\xff"}}, {Owner: ledger.Owner{Workspace: "a\x00"}}},
		"org_id":       {{Owner: ledger.Owner{Org: long}}, {Owner: ledger.Owner{Org: "\t"}}},
		"agent_id":     {{Owner: ledger.Owner{AgentID: long}}, {Owner: ledger.Owner{AgentID: "\u0080"}}},
		"agent_name":   {{Owner: ledger.Owner{AgentName: strings.Repeat("x", 121)}}, {Owner: ledger.Owner{AgentName: "\r"}}},
		"peer_id":      {{Owner: ledger.Owner{Peer: long}}},
		"session_id":   {{Owner: ledger.Owner{Session: long}}},
		"scopes.0":     {{Scopes: []string{""}}, {Scopes: []string{long}}, {Scopes: []string{"a b"}}, {Scopes: []string{`a"b`}}, {Scopes: []string{`a\b`}}, {Scopes: []string{"é"}}, {Scopes: []string{"\x7f"}}},
		"scopes.1":     {{Scopes: []string{"a", "ledger:"}}, {Scopes: []string{"a", "ledger:keys"}}, {Scopes: []string{"a", "ledger:keys:*"}}, {Scopes: []string{"a", "ledger:keys:create "}}},
		"scopes":       {{Scopes: numbered(65)}},
		"environment":  {{Environment: "Live"}, {Environment: "prod"}},
		"type":         {{Type: "External"}},
		"metadata": {
			{Metadata: metadata(4097)}, {Metadata: json.RawMessage(`[]`)}, {Metadata: json.RawMessage(`"x"`)},
			{Metadata: json.RawMessage(`{"a":1,"a":2}`)}, {Metadata: json.RawMessage("{\"a\":\"\xff\"}")},
			{Metadata: json.RawMessage(`{"a":1}{}`)}, {Metadata: json.RawMessage(`{"a":1`)}, {Metadata: json.RawMessage(` `)},
		},
		"not_before": {{NotBefore: time.Unix(0, 0)}, {NotBefore: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"expires_at": {
			{ExpiresAt: now}, {ExpiresAt: now.Add(999 * time.Nanosecond)}, {ExpiresAt: now.Add(-time.Hour)},
			{ExpiresAt: now.Add(time.Hour), NotBefore: now.Add(time.Hour)},
			{ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		},
	}
}

// numbered are n different scopes.
func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "s" + strings.Repeat("x", i)
	}
	return list
}

// metadata is an object of this size.
func metadata(size int) json.RawMessage {
	return json.RawMessage(`{"a":"` + strings.Repeat("x", size-8) + `"}`)
}

func TestDecideUpdate(t *testing.T) {
	later := now.Add(time.Hour)
	t.Run("of everything", func(t *testing.T) {
		when(given(t, birth()), update(ledger.Update{
			Name:      ptr("new"),
			Scopes:    ptr([]string{"write", "write"}),
			Metadata:  ptr(json.RawMessage(`{ "a": 1 }`)),
			ExpiresAt: ptr(later.Add(5 * time.Nanosecond)),
		})).then(&events.Updated{
			KeyID:     keyID,
			Name:      ptr("new"),
			Scopes:    ptr("write"),
			Metadata:  ptr(json.RawMessage(`{"a":1}`)),
			ExpiresAt: ptr(later),
		})
	})
	t.Run("of one thing names only that", func(t *testing.T) {
		when(given(t, birth()), update(ledger.Update{Name: ptr("new"), Scopes: ptr([]string{"read", "write"})})).
			then(&events.Updated{KeyID: keyID, Name: ptr("new")})
	})
	t.Run("that empties", func(t *testing.T) {
		full := birth(expiring(later), func(c *events.Created) { c.Metadata = json.RawMessage(`{"a":1}`) })
		when(given(t, full), update(ledger.Update{
			Name:      ptr(""),
			Scopes:    ptr([]string{}),
			Metadata:  ptr(json.RawMessage(`{}`)),
			ExpiresAt: ptr(time.Time{}),
		})).then(&events.Updated{
			KeyID:     keyID,
			Name:      ptr(""),
			Scopes:    ptr(""),
			Metadata:  ptr(json.RawMessage(nil)),
			ExpiresAt: ptr(time.Time{}),
		})
	})
	t.Run("that changes nothing", func(t *testing.T) {
		past := now.Add(-time.Second)
		old := birth(expiring(past), func(c *events.Created) { c.Metadata = json.RawMessage(`{"a":1}`) })
		when(given(t, old), update(ledger.Update{
			Name:      ptr("ci"),
			Scopes:    ptr([]string{"read", "read", "write"}),
			Metadata:  ptr(json.RawMessage(` {"a":1}`)),
			ExpiresAt: &past,
		})).thenNothing()
		when(given(t, birth()), update(ledger.Update{})).thenNothing()
		when(given(t, birth()), update(ledger.Update{Metadata: ptr(json.RawMessage(nil))})).thenNothing()
	})
	t.Run("revives an expired key", func(t *testing.T) {
		when(given(t, birth(expiring(now))), update(ledger.Update{ExpiresAt: &later})).
			then(&events.Updated{KeyID: keyID, ExpiresAt: &later})
	})
	t.Run("of a disabled key", func(t *testing.T) {
		when(given(t, birth(), pause), update(ledger.Update{Name: ptr("new")})).
			then(&events.Updated{KeyID: keyID, Name: ptr("new")})
	})
	t.Run("of a revoked key", func(t *testing.T) {
		when(given(t, birth(), revocation), update(ledger.Update{})).thenRefused(ledger.CodeConflict, "")
		when(given(t, birth(), revocation), update(ledger.Update{Name: ptr("new")})).thenRefused(ledger.CodeConflict, "")
	})
	t.Run("that breaks a rule", func(t *testing.T) {
		scheduled := birth(func(c *events.Created) { c.NotBefore = later })
		for field, in := range map[string]ledger.Update{
			"name":       {Name: ptr("\n")},
			"scopes.0":   {Scopes: ptr([]string{"a b"})},
			"metadata":   {Metadata: ptr(json.RawMessage(`1`))},
			"expires_at": {ExpiresAt: &later},
		} {
			when(given(t, scheduled), update(in)).thenRefused(ledger.CodeInvalid, field)
		}
		when(given(t, birth()), update(ledger.Update{ExpiresAt: ptr(now)})).thenRefused(ledger.CodeInvalid, "expires_at")
	})
}

func TestDecideRotate(t *testing.T) {
	fresh := ledger.NewSecret("another-token-that-was-brought-by-the-caller")
	rotated := func(end time.Time) *events.Rotated {
		return &events.Rotated{KeyID: keyID, Digest: fresh.Digest(), Hint: fresh.Hint(), PreviousExpiresAt: end}
	}
	hour, day := now.Add(time.Hour), now.Add(24*time.Hour)
	t.Run("at once", func(t *testing.T) {
		when(given(t, birth()), rotate(ledger.Rotate{}, fresh)).then(rotated(now))
	})
	t.Run("with a grace", func(t *testing.T) {
		when(given(t, birth()), rotate(ledger.Rotate{Grace: ledger.MaxGrace}, fresh)).then(rotated(now.Add(7 * 24 * time.Hour)))
	})
	t.Run("the old secret never outlives the expiry, new or old", func(t *testing.T) {
		when(given(t, birth(expiring(hour))), rotate(ledger.Rotate{Grace: 2 * time.Hour}, fresh)).then(rotated(hour))

		want := rotated(hour)
		want.ExpiresAt = &day
		when(given(t, birth(expiring(hour))), rotate(ledger.Rotate{Grace: 2 * time.Hour, ExpiresAt: &day}, fresh)).then(want)

		want = rotated(hour)
		want.ExpiresAt = &hour
		when(given(t, birth(expiring(day))), rotate(ledger.Rotate{Grace: 2 * time.Hour, ExpiresAt: &hour}, fresh)).then(want)

		want = rotated(hour)
		want.ExpiresAt = ptr(time.Time{})
		when(given(t, birth(expiring(hour))), rotate(ledger.Rotate{Grace: 2 * time.Hour, ExpiresAt: ptr(time.Time{})}, fresh)).then(want)
	})
	t.Run("with the expiry that it has", func(t *testing.T) {
		when(given(t, birth(expiring(hour))), rotate(ledger.Rotate{ExpiresAt: &hour}, fresh)).then(rotated(now))
	})
	t.Run("of a disabled or a scheduled key", func(t *testing.T) {
		when(given(t, birth(), pause), rotate(ledger.Rotate{}, fresh)).then(rotated(now))
		when(given(t, birth(func(c *events.Created) { c.NotBefore = hour })), rotate(ledger.Rotate{}, fresh)).then(rotated(now))
	})
	t.Run("of a revoked or an expired key", func(t *testing.T) {
		when(given(t, birth(), revocation), rotate(ledger.Rotate{}, fresh)).thenRefused(ledger.CodeConflict, "")
		when(given(t, birth(expiring(now))), rotate(ledger.Rotate{ExpiresAt: &hour}, fresh)).thenRefused(ledger.CodeConflict, "")
	})
	t.Run("that breaks a rule", func(t *testing.T) {
		when(given(t, birth()), rotate(ledger.Rotate{Grace: -1}, fresh)).thenRefused(ledger.CodeInvalid, "grace_seconds")
		when(given(t, birth()), rotate(ledger.Rotate{Grace: ledger.MaxGrace + 1}, fresh)).thenRefused(ledger.CodeInvalid, "grace_seconds")
		when(given(t, birth()), rotate(ledger.Rotate{ExpiresAt: ptr(now)}, fresh)).thenRefused(ledger.CodeInvalid, "expires_at")
	})
}

func TestDecideRevoke(t *testing.T) {
	for name, history := range map[string][]events.Payload{
		"active":   {birth()},
		"disabled": {birth(), pause},
		"expired":  {birth(expiring(now))},
	} {
		t.Run("of a key that is "+name, func(t *testing.T) {
			when(given(t, history...), revoke("leaked")).then(revocation)
			when(given(t, history...), revoke("")).then(&events.Revoked{KeyID: keyID})
		})
	}
	t.Run("again", func(t *testing.T) {
		when(given(t, birth(), revocation), revoke("leaked")).thenNothing()
		when(given(t, birth(), revocation), revoke("")).thenNothing()
		when(given(t, birth(), revocation), revoke("lost")).thenRefused(ledger.CodeConflict, "")
		when(given(t, birth(), &events.Revoked{KeyID: keyID}), revoke("lost")).thenRefused(ledger.CodeConflict, "")
	})
	t.Run("with a reason at its limits", func(t *testing.T) {
		long := strings.Repeat("語", 499) + "\n"
		when(given(t, birth()), revoke(long)).then(&events.Revoked{KeyID: keyID, Reason: long})
		for _, reason := range []string{long + "x", "\x00", "\xff", "\x1b[2J"} {
			when(given(t, birth()), revoke(reason)).thenRefused(ledger.CodeInvalid, "reason")
		}
	})
}

func TestDecideDisableEnable(t *testing.T) {
	when(given(t, birth()), ledger.DecideDisable).then(pause)
	when(given(t, birth(expiring(now))), ledger.DecideDisable).then(pause)
	when(given(t, birth(), pause), ledger.DecideDisable).thenNothing()
	when(given(t, birth(), revocation), ledger.DecideDisable).thenRefused(ledger.CodeConflict, "")
	when(given(t, birth(), pause, revocation), ledger.DecideDisable).thenRefused(ledger.CodeConflict, "")

	when(given(t, birth(), pause), ledger.DecideEnable).then(resumption)
	when(given(t, birth()), ledger.DecideEnable).thenNothing()
	when(given(t, birth(), pause, resumption), ledger.DecideEnable).thenNothing()
	when(given(t, birth(), pause, revocation), ledger.DecideEnable).thenRefused(ledger.CodeConflict, "")
}

func TestDecideRegister(t *testing.T) {
	register := func(in ledger.RegisterAgent) func(*ledger.Key) (*events.Agent, error) {
		return func(*ledger.Key) (*events.Agent, error) { return ledger.DecideRegister(&in, keyID) }
	}
	when(given(t), register(ledger.RegisterAgent{Name: "bot"})).then(&events.Agent{ID: keyID.String(), Name: "bot"})
	when(given(t), register(ledger.RegisterAgent{ID: "b7", Name: "bot", Workspace: "w", Org: "o"})).
		then(&events.Agent{ID: "b7", Name: "bot", Workspace: "w", Org: "o"})
	for field, in := range map[string]ledger.RegisterAgent{
		"name":         {},
		"agent_id":     {Name: "bot", ID: strings.Repeat("x", 129)},
		"workspace_id": {Name: "bot", Workspace: "\n"},
		"org_id":       {Name: "bot", Org: "\xff"},
	} {
		when(given(t), register(in)).thenRefused(ledger.CodeInvalid, field)
	}
	when(given(t), register(ledger.RegisterAgent{Name: strings.Repeat("x", 121)})).thenRefused(ledger.CodeInvalid, "name")
}
