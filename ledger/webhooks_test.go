package ledger_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

const hookURL = "https://example.com/hook"

// hook makes an endpoint and checks that the State has it as it was returned.
func (w *world) hook(c *ledger.Call, in ledger.CreateWebhook) ledger.Webhook {
	w.t.Helper()
	in.URL = hookURL
	h, err := w.CreateWebhook(w.ctx(), c, &in)
	if err != nil {
		w.t.Fatal(err)
	}
	w.shown(h)
	return h
}

func (w *world) shown(h ledger.Webhook) {
	w.t.Helper()
	stored, ok, err := w.state.Webhook(w.ctx(), h.ID)
	if err != nil || !ok || stored != h {
		w.t.Fatalf("the command returned\n%+v\nbut the log holds\n%+v, %v", h, stored, err)
	}
}

func TestWebhookCommands(t *testing.T) {
	w := newWorld(t)
	h := w.hook(&w.root, ledger.CreateWebhook{Workspace: "acme", Types: []string{"key.*"}, Name: "ci"})
	if h.From != h.Sequence+1 || h.SecretVersion != 1 || !h.DisabledAt.IsZero() {
		t.Errorf("created: %+v", h)
	}
	step := func(appended int, do func() (ledger.Webhook, error)) ledger.Webhook {
		t.Helper()
		before := w.log.Len()
		h, err := do()
		if err != nil {
			t.Fatal(err)
		}
		if n := w.log.Len() - before; n != appended {
			t.Errorf("%d events were appended, want %d", n, appended)
		}
		w.shown(h)
		return h
	}
	ctx, c := w.ctx(), &w.root
	h = step(1, func() (ledger.Webhook, error) {
		return w.UpdateWebhook(ctx, c, h.ID, &ledger.UpdateWebhook{Name: ptr("cd"), Types: ptr([]string{})})
	})
	step(0, func() (ledger.Webhook, error) {
		return w.UpdateWebhook(ctx, c, h.ID, &ledger.UpdateWebhook{Name: ptr("cd")})
	})
	h = step(1, func() (ledger.Webhook, error) { return w.RotateWebhook(ctx, c, h.ID, time.Hour) })
	if h.SecretVersion != 2 || !h.PreviousUntil.Equal(w.clock.Now().Add(time.Hour)) {
		t.Errorf("rotated: %+v", h)
	}
	h = step(1, func() (ledger.Webhook, error) { return w.RotateWebhook(ctx, c, h.ID, 0) })
	if h.SecretVersion != 3 || !h.PreviousUntil.IsZero() {
		t.Errorf("rotated without an overlap: %+v", h)
	}
	step(1, func() (ledger.Webhook, error) { return w.DisableWebhook(ctx, c, h.ID, "r") })
	step(0, func() (ledger.Webhook, error) { return w.DisableWebhook(ctx, c, h.ID, "other") })
	step(1, func() (ledger.Webhook, error) { return w.EnableWebhook(ctx, c, h.ID) })
	step(0, func() (ledger.Webhook, error) { return w.EnableWebhook(ctx, c, h.ID) })
	if err := w.DeleteWebhook(ctx, c, h.ID); err != nil {
		t.Fatal(err)
	}
	w.refused(ledger.CodeNotFound, func() error { return w.DeleteWebhook(ctx, c, h.ID) })
	w.refused(ledger.CodeNotFound, func() error { _, err := w.Webhook(ctx, &c.Principal, h.ID); return err })
}

// A repeat with the same entropy is the first one again, whatever came after it.
func TestWebhookRepeats(t *testing.T) {
	w := newWorld(t)
	drawn := func(entropy string) *ledger.Call {
		c := w.root
		c.Entropy, c.Drawn = strings.NewReader(strings.Repeat(entropy, 64)), w.clock.Now()
		return &c
	}
	first := w.hook(drawn("of the create"), ledger.CreateWebhook{Workspace: "acme"})
	before := w.log.Len()
	if again := w.hook(drawn("of the create"), ledger.CreateWebhook{Workspace: "acme"}); again != first || w.log.Len() != before {
		t.Errorf("created again: %+v", again)
	}
	other := w.hook(&w.root, ledger.CreateWebhook{})
	rotated, err := w.RotateWebhook(w.ctx(), drawn("of the rotation"), other.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.DisableWebhook(w.ctx(), &w.root, other.ID, ""); err != nil {
		t.Fatal(err)
	}
	before = w.log.Len()
	again, err := w.RotateWebhook(w.ctx(), drawn("of the rotation"), other.ID, 0)
	if err != nil || again != rotated || w.log.Len() != before {
		t.Errorf("rotated again: %+v, %v, want %+v", again, err, rotated)
	}
}

func TestWebhookRefusals(t *testing.T) {
	w := newWorld(t)
	bound := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeWebhooks}})
	foreign := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "other"}, Scopes: []string{ledger.ScopeAll}})
	poor := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeCreate}})
	session := w.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme", Session: "s"}, Scopes: []string{ledger.ScopeAll}})
	h := w.hook(bound, ledger.CreateWebhook{Workspace: "acme"})
	create := func(c *ledger.Call, in ledger.CreateWebhook) func() error {
		if in.URL == "" {
			in.URL = hookURL
		}
		return func() error { _, err := w.CreateWebhook(w.ctx(), c, &in); return err }
	}
	w.refused(ledger.CodeForbidden, create(bound, ledger.CreateWebhook{}))
	w.refused(ledger.CodeNotFound, create(bound, ledger.CreateWebhook{Workspace: "other"}))
	w.refused(ledger.CodeForbidden, create(poor, ledger.CreateWebhook{Workspace: "acme"}))
	w.refused(ledger.CodeForbidden, create(session, ledger.CreateWebhook{Workspace: "acme"}))
	w.refused(ledger.CodeInvalid, create(bound, ledger.CreateWebhook{Workspace: "acme", URL: "http://example.com"}))
	for c, code := range map[*ledger.Call]ledger.Code{foreign: ledger.CodeNotFound, session: ledger.CodeNotFound, poor: ledger.CodeForbidden} {
		w.refused(code, func() error { _, err := w.Webhook(w.ctx(), &c.Principal, h.ID); return err })
		w.refused(code, func() error { _, err := w.RotateWebhook(w.ctx(), c, h.ID, 0); return err })
		w.refused(code, func() error { return w.DeleteWebhook(w.ctx(), c, h.ID) })
	}
	late := *bound
	late.IfSequence = h.Sequence - 1
	w.refused(ledger.CodePrecondition, func() error { return w.DeleteWebhook(w.ctx(), &late, h.ID) })
	w.refused(ledger.CodeInvalid, func() error { _, err := w.RotateWebhook(w.ctx(), bound, h.ID, ledger.MaxOverlap+1); return err })
	w.refused(ledger.CodeInvalid, func() error { _, err := w.DisableWebhook(w.ctx(), bound, h.ID, "\x00"); return err })
	w.refused(ledger.CodeNotFound, func() error { _, err := w.EnableWebhook(w.ctx(), bound, uuid.New()); return err })
}

// Each owner has its own limit, whatever others within it or around it have.
func TestWebhookLimit(t *testing.T) {
	w := newWorld(t)
	for range ledger.MaxWebhooks {
		w.hook(&w.root, ledger.CreateWebhook{Workspace: "acme"})
	}
	w.refused(ledger.CodeConflict, func() error {
		_, err := w.CreateWebhook(w.ctx(), &w.root, &ledger.CreateWebhook{Workspace: "acme", URL: hookURL})
		return err
	})
	w.hook(&w.root, ledger.CreateWebhook{Workspace: "acme", Org: "eu"})
	w.hook(&w.root, ledger.CreateWebhook{})
	page, err := w.Webhooks(w.ctx(), &w.root.Principal, &ledger.WebhookQuery{Workspace: "acme", Limit: 60})
	if err != nil || len(page.Webhooks) != 60 || page.Next == uuid.Nil {
		t.Fatalf("%d, %v", len(page.Webhooks), err)
	}
	rest, err := w.Webhooks(w.ctx(), &w.root.Principal, &ledger.WebhookQuery{Workspace: "acme", Limit: 60, After: page.Next})
	if err != nil || len(rest.Webhooks) != ledger.MaxWebhooks+1-60 || rest.Next != uuid.Nil {
		t.Errorf("%d, %v", len(rest.Webhooks), err)
	}
}

// The policy is asked about a URL once it is known that the caller may set it, and about none that stays.
func TestWebhookPolicy(t *testing.T) {
	w := newWorld(t)
	asked := 0
	refuse := &ledger.Error{Code: ledger.CodeInvalid, Field: "url", Detail: "no"}
	strict := ledger.New(ledger.Config{Log: w.log, State: w.state, Now: w.clock.Now, MaxStaleness: ages, Webhooks: ledger.WebhookPolicy{
		Target: func(context.Context, string) error { asked++; return refuse },
	}})
	h := w.hook(&w.root, ledger.CreateWebhook{})
	poor := w.caller(ledger.Create{})
	w.refused(ledger.CodeForbidden, func() error {
		_, err := strict.CreateWebhook(w.ctx(), poor, &ledger.CreateWebhook{URL: hookURL})
		return err
	})
	if asked != 0 {
		t.Error("it was asked for one who may not")
	}
	w.refused(ledger.CodeInvalid, func() error {
		_, err := strict.CreateWebhook(w.ctx(), &w.root, &ledger.CreateWebhook{URL: hookURL})
		return err
	})
	w.refused(ledger.CodeInvalid, func() error {
		_, err := strict.UpdateWebhook(w.ctx(), &w.root, h.ID, &ledger.UpdateWebhook{URL: ptr(hookURL + "2")})
		return err
	})
	if _, err := strict.UpdateWebhook(w.ctx(), &w.root, h.ID, &ledger.UpdateWebhook{URL: ptr(hookURL)}); err != nil || asked != 2 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

func TestWebhookWants(t *testing.T) {
	for types, want := range map[string]string{
		"":                        "key.created agent.registered",
		"key.created":             "key.created",
		"key.*":                   "key.created",
		"agent.* webhook.updated": "agent.registered",
		"webhook.*":               "",
	} {
		h := ledger.Webhook{Types: types}
		var got []string
		for _, t := range []events.Type{events.KeyCreated, events.AgentRegistered} {
			if h.Wants(t) {
				got = append(got, string(t))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q wants %v", types, got)
		}
	}
}

// FuzzCheckWebhookURL holds that what passes is a URL of https with a host and nothing that is shown or lost.
func FuzzCheckWebhookURL(f *testing.F) {
	for _, s := range []string{hookURL, "http://a", "https://a:b@c", "https://[::1]:8443/?a=b", "https://a#b", "https:///a", "https:a", "//a", "https://a:0", "https://ü"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, plain bool) {
		if ledger.CheckWebhookURL(s, plain) != nil {
			return
		}
		rest, secure := strings.CutPrefix(strings.ToLower(s), "https://")
		if !secure {
			if rest, plain = strings.CutPrefix(strings.ToLower(s), "http://"); !plain {
				t.Fatalf("%q passes", s)
			}
		}
		host, _, _ := strings.Cut(strings.ReplaceAll(rest, "?", "/"), "/")
		if host == "" || strings.ContainsAny(s, "# \x00\r\n") || strings.Contains(host, "@") || len(s) > ledger.MaxURL {
			t.Fatalf("%q passes", s)
		}
	})
}
