package ledger_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// Reported uses are uses, of the keys that the reporter may see, and none lies ahead. Nothing is appended to the ledger.
func TestReport(t *testing.T) {
	w := newWorld(t)
	usage := ledger.NewUsage(w.log, time.Millisecond)
	s := ledger.New(ledger.Config{Log: w.log, State: w.state, Now: w.clock.Now, MaxStaleness: ages, Usage: usage})
	m := &meter{usage, w.log, w.state}
	stop := m.run()
	acme := ledger.Owner{Workspace: "acme"}
	own := w.create(ledger.Create{Owner: acme}).Key.ID
	foreign := w.create(ledger.Create{Owner: ledger.Owner{Workspace: "other"}}).Key.ID
	reporter := w.caller(ledger.Create{Owner: acme, Scopes: []string{ledger.ScopeVerify}})
	poor := w.caller(ledger.Create{Owner: acme, Scopes: []string{ledger.ScopeRead}})
	last := must(w.log.Last(w.ctx()))
	now := w.clock.Now()
	from := events.Origin{IP: "192.0.2.9", UserAgent: "app"}
	uses := []ledger.ReportedUse{
		{KeyID: own, Count: 3, Last: now.Add(-time.Hour), Origin: from},
		{KeyID: foreign, Count: 5, Last: now},
		{KeyID: uuid.New(), Count: 5, Last: now},
		{KeyID: own, Count: 2, Last: now.Add(time.Hour), Origin: from},
	}
	if accepted := must(s.Report(w.ctx(), &reporter.Principal, uses)); accepted != 2 {
		t.Fatalf("%d were accepted, not 2", accepted)
	}
	m.sees(t, own, 5)
	want := ledger.LastUse{Use: ledger.Use{LastAt: now, Count: 5}, IP: "192.0.2.9", UserAgent: "app"}
	if got := must(s.LastUse(w.ctx(), &w.root.Principal, own)); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := s.Report(w.ctx(), &poor.Principal, uses); ledger.CodeOf(err) != ledger.CodeForbidden {
		t.Errorf("without the scope: %v", err)
	}
	for name, bad := range map[string][]ledger.ReportedUse{
		"no count":     {{KeyID: own, Last: now}},
		"no time":      {{KeyID: own, Count: 1}},
		"beyond count": {{KeyID: own, Count: 1 << 41, Last: now}},
		"too many":     make([]ledger.ReportedUse, ledger.MaxReport+1),
		"the last bad": {{KeyID: own, Count: 7, Last: now}, {KeyID: own}},
	} {
		if accepted, err := s.Report(w.ctx(), &reporter.Principal, bad); ledger.CodeOf(err) != ledger.CodeInvalid || accepted != 0 {
			t.Errorf("%s: %d %v", name, accepted, err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := must(s.LastUse(w.ctx(), &w.root.Principal, own)); got.Count != 5 {
		t.Errorf("a refused report counts: %d", got.Count)
	}
	if got := must(s.LastUse(w.ctx(), &w.root.Principal, foreign)); got.Count != 0 {
		t.Errorf("a foreign key was used %d times", got.Count)
	}
	if now := must(w.log.Last(w.ctx())); now != last {
		t.Errorf("%d events were appended", now-last)
	}
}

// A reported use is announced when it is the first of its key, once.
func TestReportAnnouncesFirstUse(t *testing.T) {
	w := newUsedWorld(t)
	a := announcer(w.Service)
	key := w.create(ledger.Create{}).Key.ID
	for range 2 {
		uses := []ledger.ReportedUse{{KeyID: key, Count: 3, Last: w.clock.Now().Add(-time.Minute)}}
		if accepted := must(w.Report(w.ctx(), &w.root.Principal, uses)); accepted != 1 {
			t.Fatalf("%d were accepted", accepted)
		}
		w.look(a)
		w.noticed(key, "used")
	}
}
