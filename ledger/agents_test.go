package ledger_test

import (
	"context"
	"reflect"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"keyledger/ledger"
)

func TestRegisterAgent(t *testing.T) {
	w := newWorld(t)
	register := func(c *ledger.Call, in ledger.RegisterAgent) (ledger.Agent, bool) {
		t.Helper()
		before := w.log.Len()
		a, created, err := w.RegisterAgent(w.ctx(), c, &in)
		if err != nil {
			t.Fatal(err)
		}
		if n := w.log.Len() - before; created && n != 2 || !created && n != 0 {
			t.Fatalf("created %v, with %d events", created, n)
		}
		return a, created
	}
	bot := ledger.RegisterAgent{Name: "bot", Workspace: "acme"}
	a, created := register(&w.root, bot)
	if !created || uuid.Validate(a.ID) != nil || a.Name != "bot" || a.Workspace != "acme" || a.CreatedBy != w.first.Key.ID.String() || !a.CreatedAt.Equal(w.clock.Now()) {
		t.Fatalf("got %+v", a)
	}
	for _, in := range []ledger.RegisterAgent{bot, {ID: a.ID, Name: "bot", Workspace: "acme"}} {
		if again, created := register(&w.root, in); created || again != a {
			t.Fatalf("again: %+v, created %v", again, created)
		}
	}
	// Elsewhere the same name is another agent, and so is the same id.
	for _, in := range []ledger.RegisterAgent{
		{Name: "bot"}, {Name: "bot", Workspace: "other"}, {Name: "bot", Workspace: "acme", Org: "o"}, {Name: "bot", Org: "acme"},
		{ID: a.ID, Name: "Bot", Workspace: "other"},
	} {
		if another, created := register(&w.root, in); !created || another.Sequence == a.Sequence {
			t.Fatalf("%+v: %+v, created %v", in, another, created)
		}
	}
	for _, in := range []ledger.RegisterAgent{
		{ID: "b7", Name: "bot", Workspace: "acme"},
		{ID: a.ID, Name: "bot 2", Workspace: "acme"},
	} {
		w.refused(ledger.CodeConflict, func() error { _, _, err := w.RegisterAgent(w.ctx(), &w.root, &in); return err })
	}
	w.refused(ledger.CodeInvalid, func() error { _, _, err := w.RegisterAgent(w.ctx(), &w.root, &ledger.RegisterAgent{}); return err })
}

// forgetful is a State that shows the agents a moment later than their claims.
type forgetful struct {
	ledger.State
	asked int
}

func (s *forgetful) AgentByName(ctx context.Context, workspace, org, name string) (ledger.Agent, bool, error) {
	if s.asked++; s.asked == 1 {
		return ledger.Agent{}, false, nil
	}
	return s.State.AgentByName(ctx, workspace, org, name)
}

// The claim decides, also when it is seen before the agent it is for.
func TestRegisterAgentByItsClaim(t *testing.T) {
	w := newWorld(t)
	in := ledger.RegisterAgent{Name: "bot", Workspace: "acme"}
	first, _, err := w.RegisterAgent(w.ctx(), &w.root, &in)
	if err != nil {
		t.Fatal(err)
	}
	before := w.log.Len()
	s := ledger.New(ledger.Config{Log: w.log, State: &forgetful{State: w.state}, Now: w.clock.Now})
	a, created, err := s.RegisterAgent(w.ctx(), &w.root, &in)
	if err != nil || created || a != first || w.log.Len() != before {
		t.Fatalf("got %+v, created %v, %v", a, created, err)
	}
}

func TestRegisterAgentNeedsRights(t *testing.T) {
	w := newWorld(t)
	acme := ledger.Owner{Workspace: "acme"}
	all := []string{ledger.ScopeAll}
	bound := w.caller(ledger.Create{Owner: acme, Scopes: all})
	agent := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme", AgentID: "b7"}, Scopes: all})
	lacking := w.caller(ledger.Create{Owner: acme, Scopes: []string{ledger.ScopeRead}})
	for _, c := range []struct {
		call *ledger.Call
		in   ledger.RegisterAgent
		want ledger.Code
	}{
		{bound, ledger.RegisterAgent{Name: "bot"}, ledger.CodeForbidden},
		{bound, ledger.RegisterAgent{Name: "bot", Workspace: "other"}, ledger.CodeNotFound},
		{lacking, ledger.RegisterAgent{Name: "bot", Workspace: "acme"}, ledger.CodeForbidden},
		{lacking, ledger.RegisterAgent{Name: "bot", Workspace: "other"}, ledger.CodeNotFound},
		{agent, ledger.RegisterAgent{Name: "bot", Workspace: "acme"}, ledger.CodeForbidden},
		{agent, ledger.RegisterAgent{ID: "b8", Name: "bot", Workspace: "acme"}, ledger.CodeNotFound},
	} {
		w.refused(c.want, func() error { _, _, err := w.RegisterAgent(w.ctx(), c.call, &c.in); return err })
	}
	if _, created, err := w.RegisterAgent(w.ctx(), agent, &ledger.RegisterAgent{ID: "b7", Name: "bot", Workspace: "acme"}); err != nil || !created {
		t.Fatalf("its own agent: created %v, %v", created, err)
	}
}

func TestAgents(t *testing.T) {
	w := newWorld(t)
	var all []ledger.Agent // newest first
	for i := range 7 {
		in := ledger.RegisterAgent{ID: "b" + strconv.Itoa(i), Name: "bot " + strconv.Itoa(i), Workspace: []string{"acme", "other"}[i%2]}
		a, _, err := w.RegisterAgent(w.ctx(), &w.root, &in)
		if err != nil {
			t.Fatal(err)
		}
		all = append([]ledger.Agent{a}, all...)
	}
	var acme []ledger.Agent
	for _, a := range all {
		if a.Workspace == "acme" {
			acme = append(acme, a)
		}
	}
	read := []string{ledger.ScopeRead}
	bound := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: read})
	agent := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme", AgentID: "b2"}, Scopes: read})
	lacking := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}})
	for name, c := range map[string]struct {
		call  *ledger.Call
		query ledger.AgentQuery
		want  []ledger.Agent
	}{
		"all":                {&w.root, ledger.AgentQuery{Limit: 2}, all},
		"of a workspace":     {&w.root, ledger.AgentQuery{Limit: 3, Workspace: "acme"}, acme},
		"by name":            {&w.root, ledger.AgentQuery{Limit: 3, Name: "bot 3"}, all[3:4]},
		"bound":              {bound, ledger.AgentQuery{Limit: 2}, acme},
		"bound, and stated":  {bound, ledger.AgentQuery{Limit: 9, Workspace: "acme"}, acme},
		"only itself":        {agent, ledger.AgentQuery{Limit: 9}, acme[2:3]},
		"only itself, named": {agent, ledger.AgentQuery{Limit: 9, Name: "bot 0"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []ledger.Agent
			for q := c.query; ; {
				page := must(w.Agents(w.ctx(), &c.call.Principal, &q))
				got = append(got, page.Agents...)
				if q.After = page.Next; page.Next == "" {
					break
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got\n%+v\nwant\n%+v", got, c.want)
			}
		})
	}
	agents := func(c *ledger.Call, q ledger.AgentQuery) func() error {
		return func() error { _, err := w.Agents(w.ctx(), &c.Principal, &q); return err }
	}
	w.refused(ledger.CodeNotFound, agents(bound, ledger.AgentQuery{Limit: 1, Workspace: "other"}))
	w.refused(ledger.CodeForbidden, agents(lacking, ledger.AgentQuery{Limit: 1}))
	w.refused(ledger.CodeInvalid, agents(&w.root, ledger.AgentQuery{}))
	w.refused(ledger.CodeInvalid, agents(&w.root, ledger.AgentQuery{Limit: 1001}))

	one := func(c *ledger.Call, workspace, id string) (ledger.Agent, error) {
		return w.Agent(w.ctx(), &c.Principal, workspace, "", id)
	}
	for _, c := range []struct {
		call      *ledger.Call
		workspace string
	}{{&w.root, "acme"}, {bound, "acme"}, {bound, ""}, {agent, ""}} {
		if a := must(one(c.call, c.workspace, "b2")); a != acme[2] {
			t.Errorf("in %q: %+v", c.workspace, a)
		}
	}
	named := func(c *ledger.Call, workspace, name string) func() error {
		return func() error {
			a, err := w.AgentNamed(w.ctx(), &c.Principal, workspace, "", name)
			if err == nil && a != acme[2] {
				t.Errorf("%s in %q: %+v", name, workspace, a)
			}
			return err
		}
	}
	for _, c := range []struct {
		call      *ledger.Call
		workspace string
	}{{&w.root, "acme"}, {bound, "acme"}, {bound, ""}, {agent, ""}} {
		if err := named(c.call, c.workspace, "bot 2")(); err != nil {
			t.Errorf("named in %q: %v", c.workspace, err)
		}
	}
	w.refused(ledger.CodeForbidden, named(lacking, "acme", "bot 2"))
	w.refused(ledger.CodeNotFound, named(&w.root, "", "bot 2"))
	w.refused(ledger.CodeNotFound, named(&w.root, "acme", "bot 3"))
	w.refused(ledger.CodeNotFound, named(bound, "other", "bot 2"))
	w.refused(ledger.CodeNotFound, named(agent, "acme", "bot 0"))
	w.refused(ledger.CodeForbidden, func() error { _, err := one(lacking, "acme", "b2"); return err })
	for _, c := range []struct {
		call          *ledger.Call
		workspace, id string
	}{{&w.root, "", "b2"}, {&w.root, "acme", "b1"}, {bound, "other", "b1"}, {bound, "", "b1"}, {agent, "", "b0"}, {lacking, "other", "b1"}, {lacking, "", "b1"}} {
		w.refused(ledger.CodeNotFound, func() error { _, err := one(c.call, c.workspace, c.id); return err })
	}
}

// lateNames is a state in which an agent is not there yet when its name is looked up for the first time.
type lateNames struct {
	ledger.State
	looked bool
}

func (l *lateNames) AgentByName(ctx context.Context, workspace, org, name string) (ledger.Agent, bool, error) {
	if !l.looked {
		l.looked = true
		return ledger.Agent{}, false, nil
	}
	return l.State.AgentByName(ctx, workspace, org, name)
}

// A registration that becomes visible between the look for its name and that for its id is the one that is asked for.
func TestRegisterAgentThatJustCame(t *testing.T) {
	w := newWorld(t)
	in := ledger.RegisterAgent{ID: "b-1", Name: "bot", Workspace: "acme"}
	a, _, err := w.RegisterAgent(w.ctx(), &w.root, &in)
	if err != nil {
		t.Fatal(err)
	}
	late := ledger.New(ledger.Config{Log: w.log, State: &lateNames{State: w.state}, Now: w.clock.Now})
	if again, created, err := late.RegisterAgent(w.ctx(), &w.root, &in); err != nil || created || again != a {
		t.Errorf("%+v, created %v, %v", again, created, err)
	}
}
