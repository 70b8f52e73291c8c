package events

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestSubjects(t *testing.T) {
	key := uuid.MustParse(testKey)
	long := strings.Repeat("\x00", MaxID)
	for got, want := range map[string]string{
		KeySubject(new(Owner), key): "ledger.~.~.~." + testKey,
		KeySubject(&Owner{Workspace: "acme", Org: "R-1_a", AgentID: "bot7"}, key): "ledger.acme.R-1_a.bot7." + testKey,
		KeySubject(&Owner{Workspace: "a.b", Org: "*", AgentID: ">"}, key):         "ledger.a=2Eb.=2A.=3E." + testKey,
		KeySubject(&Owner{Workspace: "~", Org: "=7E", AgentID: "ü\xff "}, key):    "ledger.=7E.=3D7E.=C3=BC=FF=20." + testKey,
		KeySubject(&Owner{Org: long}, key):                                        "ledger.~." + strings.Repeat("=00", MaxID) + ".~." + testKey,
		KeySubject(&Owner{Peer: "p", Session: "s", AgentName: "n"}, key):          "ledger.~.~.~." + testKey,
		WebhookSubject("acme", "", "bot.7", key):                                  "ledger.acme.~.bot=2E7.~" + testKey,
		WebhookSubject("", "", "", key):                                           "ledger.~.~.~.~" + testKey,
		AgentSubject("acme", "", "bot.7"):                                         "ledger.acme.~.bot=2E7.~",
		WorkspaceSubject("acme.com"):                                              "ledger.acme=2Ecom.~.~.~",
		ClaimSubject("token", testHash):                                           "claim.token." + testHash,
		ClaimSubject("a.b", "c d"):                                                "claim.a=2Eb.c=20d",
		OwnerFilter("", "", ""):                                                   KeySubjects,
		OwnerFilter("acme", "", ""):                                               "ledger.acme.*.*.*",
		OwnerFilter("", "r&d", ""):                                                "ledger.*.r=26d.*.*",
		OwnerFilter("*", "", "~"):                                                 "ledger.=2A.*.=7E.*",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// drawID draws an id of bytes, often of those that mean something in a subject.
func drawID(t *rapid.T, label string, least int) string {
	b := rapid.OneOf(rapid.SampledFrom([]byte(".*>~= \x00=7Eaz")), rapid.Byte())
	return string(rapid.SliceOfN(b, least, MaxID).Draw(t, label))
}

func drawSubject(t *rapid.T, label string) (Subject, string) {
	s := Subject{Workspace: drawID(t, label+" workspace", 0), Org: drawID(t, label+" org", 0)}
	switch rapid.SampledFrom([]string{"key", "agent", "webhook", "claim"}).Draw(t, label) {
	case "key":
		s.Agent, s.Key = drawID(t, label+" agent", 0), drawUUID(t, label+" key")
		return s, KeySubject(&Owner{Workspace: s.Workspace, Org: s.Org, AgentID: s.Agent}, s.Key)
	case "agent":
		s.Agent = drawID(t, label+" agent", 1)
		return s, AgentSubject(s.Workspace, s.Org, s.Agent)
	case "webhook":
		s.Agent, s.Webhook = drawID(t, label+" agent", 0), drawUUID(t, label+" webhook")
		return s, WebhookSubject(s.Workspace, s.Org, s.Agent, s.Webhook)
	default:
		s = Subject{ClaimKind: drawID(t, label+" kind", 1), ClaimHash: drawID(t, label+" hash", 1)}
		return s, ClaimSubject(s.ClaimKind, s.ClaimHash)
	}
}

func TestParseSubjectIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, subject := drawSubject(t, "subject")
		got, err := ParseSubject(subject)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestSubjectsAreLiteralAndInTheirStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, subject := drawSubject(t, "subject")
		for _, c := range []byte(subject) {
			if !isPlain(c) && !strings.ContainsRune(".=~", rune(c)) {
				t.Fatalf("byte %q in %s", c, subject)
			}
		}
		if matches(KeySubjects, subject) == matches(ClaimSubjects, subject) {
			t.Errorf("%s is on both or neither of the stream's subjects", subject)
		}
		if matches(ClaimSubjects, subject) != (s.ClaimKind != "") {
			t.Errorf("%s is on the wrong one of the stream's subjects", subject)
		}
	})
}

func TestSubjectsAreInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, subjectA := drawSubject(t, "a")
		b, subjectB := drawSubject(t, "b")
		if rapid.Bool().Draw(t, "nearly alike") { // differ in one part only
			b, a.Key = a, uuid.MustParse(testKey)
			b.Key = a.Key
			b.Workspace = drawID(t, "b workspace", 0)
			subjectA = KeySubject(&Owner{Workspace: a.Workspace, Org: a.Org, AgentID: a.Agent}, a.Key)
			subjectB = KeySubject(&Owner{Workspace: b.Workspace, Org: b.Org, AgentID: b.Agent}, b.Key)
			a.ClaimKind, a.ClaimHash, b.ClaimKind, b.ClaimHash = "", "", "", ""
		}
		if (a == b) != (subjectA == subjectB) {
			t.Errorf("%+v is %s, %+v is %s", a, subjectA, b, subjectB)
		}
	})
}

func TestOwnerFilterMatchesItsOwnerOnly(t *testing.T) {
	some := rapid.SampledFrom([]string{"", "a", "a.b", "*", "~"})
	rapid.Check(t, func(t *rapid.T) {
		s := Subject{Workspace: some.Draw(t, "workspace"), Org: some.Draw(t, "org"), Agent: some.Draw(t, "agent")}
		of := Subject{Workspace: some.Draw(t, "of workspace"), Org: some.Draw(t, "of org"), Agent: some.Draw(t, "of agent")}
		want := (of.Workspace == "" || of.Workspace == s.Workspace) && (of.Org == "" || of.Org == s.Org) &&
			(of.Agent == "" || of.Agent == s.Agent)
		filter := OwnerFilter(of.Workspace, of.Org, of.Agent)
		key := KeySubject(&Owner{Workspace: s.Workspace, Org: s.Org, AgentID: s.Agent}, drawUUID(t, "key"))
		for _, subject := range []string{key, AgentSubject(s.Workspace, s.Org, s.Agent)} {
			if matches(filter, subject) != want {
				t.Errorf("%s and %s: want %v", filter, subject, want)
			}
		}
		if claim := ClaimSubject("a", "b"); matches(filter, claim) {
			t.Errorf("%s matches %s", filter, claim)
		}
	})
}

// matches is how NATS matches a literal subject with a filter of "*" wildcards.
func matches(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	if len(f) != len(s) {
		return false
	}
	for i := range f {
		if f[i] != "*" && f[i] != s[i] {
			return false
		}
	}
	return true
}

func TestParseSubjectRefuses(t *testing.T) {
	for _, subject := range []string{
		"", "ledger", "ledger.", "claim", "claim.", "claim.token", "claim.token.", "claim..x", "claim.~.x", "claim.token.~",
		"claim.a.b.c", "usage.batch", "ledger.a.b.c", "ledger.a.b.c." + testKey + ".d", "ledger..b.c." + testKey,
		"Ledger.a.b.c." + testKey, "ledger.a.b.c.", "ledger.a.b.c.x", "ledger.~.~.~.~", "ledger.a.b.~.~", "ledger.~.a.~.~",
		"ledger.a.b.c.~~", "ledger.a.b.c.~x", "ledger.a.b.c.~~" + testKey, "ledger.a.b.c.~00000000-0000-0000-0000-000000000000", "ledger.a.b.~.~",
		"ledger.a.b.c." + strings.ToUpper(testKey), "ledger.a.b.c.00000000-0000-0000-0000-000000000000",
		"ledger.*.b.c." + testKey, "ledger.a.>." + testKey, "ledger.a b.b.c." + testKey, "ledger.ü.b.c." + testKey,
		"ledger.=.b.c." + testKey, "ledger.=2.b.c." + testKey, "ledger.=2e.b.c." + testKey, "ledger.=GG.b.c." + testKey,
		"ledger.=61.b.c." + testKey, "ledger.=2D.b.c." + testKey, "ledger.a~.b.c." + testKey, "ledger.~~.b.c." + testKey,
		"ledger." + strings.Repeat("a", MaxID+1) + ".b.c." + testKey,
		"ledger." + strings.Repeat("=00", MaxID+1) + ".b.c." + testKey,
		"ledger." + strings.Repeat("a", MaxID) + "=00.b.c." + testKey,
	} {
		if s, err := ParseSubject(subject); err == nil {
			t.Errorf("%q gave %+v", subject, s)
		} else if s != (Subject{}) {
			t.Errorf("%q gave %+v beside %v", subject, s, err)
		}
	}
}

func TestSubjectsOfUsualIDsAllocateOnce(t *testing.T) {
	owner, key := &Owner{Workspace: "acme", Org: "r.d", AgentID: "bot7"}, uuid.MustParse(testKey)
	subject := KeySubject(&Owner{Workspace: "acme"}, key)
	for name, f := range map[string]struct {
		most float64
		run  func()
	}{
		"KeySubject":   {1, func() { _ = KeySubject(owner, key) }},
		"AgentSubject": {1, func() { _ = AgentSubject("acme", "r.d", "bot7") }},
		"ClaimSubject": {1, func() { _ = ClaimSubject("token", testHash) }},
		"OwnerFilter":  {1, func() { _ = OwnerFilter("acme", "r.d", "") }},
		"ParseSubject": {0, func() { _, _ = ParseSubject(subject) }},
	} {
		if got := testing.AllocsPerRun(100, f.run); got > f.most {
			t.Errorf("%s: %v allocations, at most %v wanted", name, got, f.most)
		}
	}
}

func BenchmarkKeySubject(b *testing.B) {
	owner, key := testOwner(), uuid.MustParse(testKey)
	b.ReportAllocs()
	for b.Loop() {
		_ = KeySubject(&owner, key)
	}
}

func BenchmarkParseSubject(b *testing.B) {
	subject := testEvents()["key.created"].Subject
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseSubject(subject); err != nil {
			b.Fatal(err)
		}
	}
}
