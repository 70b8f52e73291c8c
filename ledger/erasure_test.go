package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// acme is a workspace with personal data of every kind, and told of it.
type acme struct {
	*world
	key, other, foreign ledger.Key // of acme, of acme, and of umbrella
	agent               ledger.Agent
	hook                ledger.Webhook
}

func newAcme(t *testing.T) *acme {
	t.Helper()
	a := &acme{world: newWorld(t)}
	a.root.Origin = events.Origin{IP: "192.0.2.7", UserAgent: "secret-agent"}
	in := ledger.Create{
		Name: "Ada Lovelace", Metadata: json.RawMessage(`{"mail":"ada@example.com"}`), UniqueName: true,
		Owner: ledger.Owner{Workspace: "acme", Org: "o", AgentID: "bot", AgentName: "Charles Babbage"},
	}
	a.key = a.create(in).Key
	a.key = must(a.Revoke(t.Context(), &a.root, a.key.ID, "Ada has left"))
	in.Name, in.UniqueName = "Grace Hopper", false
	a.other = a.create(in).Key
	in.Owner.Workspace, in.Metadata = "umbrella", nil
	a.foreign = a.create(in).Key
	var err error
	a.agent, _, err = a.RegisterAgent(t.Context(), &a.root, &ledger.RegisterAgent{Name: "Alan Turing", Workspace: "acme"})
	if err == nil {
		a.hook, err = a.CreateWebhook(t.Context(), &a.root, &ledger.CreateWebhook{URL: "https://example.com", Name: "Edsger", Workspace: "acme"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// told is all that a node tells of events, in the exchange form.
func (a *acme) told(s *ledger.Service) string {
	a.t.Helper()
	var text []byte
	for _, e := range must(s.Events(a.ctx(), &a.root.Principal, ledger.Owner{}, 1, ledger.MaxPage)) {
		text = append(must(events.AppendCloudEvent(text, &e, "/test")), '\n')
	}
	return string(text)
}

// shows checks which of some words a text has.
func shows(t *testing.T, text string, want bool, words ...string) {
	t.Helper()
	for _, word := range words {
		if strings.Contains(text, word) != want {
			t.Errorf("%q: want %v in\n%.2000s", word, want, text)
		}
	}
}

func root(t *testing.T, s ledger.State, size uint64) tlog.Hash {
	t.Helper()
	return must(tlog.TreeHash(int64(size), s))
}

func TestErasureOfAKey(t *testing.T) {
	a := newAcme(t)
	size := a.state.Position()
	before := root(t, a.state, size)
	shows(t, a.told(a.Service), true, "Ada Lovelace", "ada@example.com", "Ada has left", "Grace Hopper", "192.0.2.7")

	k := a.changed(1, func() (ledger.Key, error) { return a.EraseKey(a.ctx(), &a.root, a.key.ID) })
	if k.Name != "erased" || string(k.Metadata) != `{"erased":true}` || k.RevokeReason != "erased" || k.Owner.AgentName != "erased" ||
		k.RevokedAt != a.key.RevokedAt || k.Digest != a.key.Digest || k.ErasedAt.IsZero() {
		t.Errorf("%+v", k)
	}
	told := a.told(a.Service)
	shows(t, told, false, "Ada")
	shows(t, told, true, "Grace Hopper", "192.0.2.7", `"type":"keyledger.owner.erased"`)
	if root(t, a.state, size) != before {
		t.Error("the tree has changed")
	}
	a.changed(0, func() (ledger.Key, error) { return a.EraseKey(a.ctx(), &a.root, a.key.ID) })
	if page := must(a.Keys(a.ctx(), &a.root.Principal, &ledger.Query{NamePrefix: "Ada", Limit: 10})); len(page.Keys) > 0 {
		t.Errorf("found by the old name: %+v", page.Keys)
	}
	a.nodesAgree()
}

// nodesAgree holds a node that replays the log after the erasure against the one that was there before.
func (a *acme) nodesAgree() {
	a.t.Helper()
	if err := a.node().state.Diff(a.ctx(), a.state); err != nil {
		a.t.Error(err)
	}
}

// The name of a key that is unique by name is free when it is erased.
func TestErasureReleasesTheName(t *testing.T) {
	a := newAcme(t)
	in := ledger.Create{Name: "Ada Lovelace", UniqueName: true, Owner: a.key.Owner}
	k := a.create(in).Key
	a.changed(2, func() (ledger.Key, error) { return a.EraseKey(a.ctx(), &a.root, k.ID) })
	a.create(in)
	a.nodesAgree()
}

// A key that was erased lives on without personal data.
func TestErasedKeysGetNoPersonalData(t *testing.T) {
	a := newAcme(t)
	id := a.other.ID
	erasedAt := must(a.EraseKey(a.ctx(), &a.root, id)).Sequence
	a.refused(ledger.CodeConflict, func() error {
		_, err := a.Update(a.ctx(), &a.root, id, &ledger.Update{Name: ptr("Grace")})
		return err
	})
	a.refused(ledger.CodeConflict, func() error {
		_, err := a.Update(a.ctx(), &a.root, id, &ledger.Update{Metadata: ptr(json.RawMessage(`{"a":1}`))})
		return err
	})
	a.changed(1, func() (ledger.Key, error) {
		return a.Update(a.ctx(), &a.root, id, &ledger.Update{Scopes: &[]string{"read"}})
	})
	issued := must(a.Rotate(a.ctx(), &a.root, id, &ledger.Rotate{}))
	if v := a.verify(ledger.VerifyRequest{Token: issued.Token.Reveal()}); v.Decision != ledger.Valid {
		t.Errorf("the key is %v", v.Decision)
	}
	k := a.changed(1, func() (ledger.Key, error) { return a.Revoke(a.ctx(), &a.root, id, "Grace has left") })
	a.changed(0, func() (ledger.Key, error) { return a.Revoke(a.ctx(), &a.root, id, "Grace has left") })
	if k.RevokeReason != "" {
		t.Errorf("reason %q", k.RevokeReason)
	}
	for _, m := range must(a.log.Scan(a.ctx(), events.KeySubject(&k.Owner, id), erasedAt, 100)) {
		if e := must(events.Decode(&m, nil)); e.Sealed != 0 || e.Origin != (events.Origin{}) {
			t.Errorf("personal data after the erasure: %+v", e)
		}
	}
	a.nodesAgree()
}

func TestErasureOfAWorkspace(t *testing.T) {
	a := newAcme(t)
	size := a.state.Position()
	before := root(t, a.state, size)
	sub := a.subscribe(ledger.Selection{From: 1})
	x := must(a.EraseWorkspace(a.ctx(), &a.root, "acme"))
	if x.Sequence != size+1 || x.At != a.clock.Now() || a.log.Len() != int(size)+1 {
		t.Errorf("%+v after %d", x, size)
	}
	for _, id := range []uuid.UUID{a.key.ID, a.other.ID} {
		if k := must(a.Key(a.ctx(), &a.root.Principal, id)); k.Name != "erased" || k.Owner.AgentName != "erased" || string(k.Metadata) != `{"erased":true}` {
			t.Errorf("%+v", k)
		}
	}
	if k := must(a.Key(a.ctx(), &a.root.Principal, a.foreign.ID)); k.Name != "Grace Hopper" {
		t.Errorf("a key of another workspace: %+v", k)
	}
	agent := must(a.Agent(a.ctx(), &a.root.Principal, "acme", "", a.agent.ID))
	if hook := must(a.Webhook(a.ctx(), &a.root.Principal, a.hook.ID)); agent.Name != "erased" || hook.Name != "erased" {
		t.Errorf("%+v %+v", agent, hook)
	}
	words := []string{"Ada", "ada@", "Alan", "Edsger"}
	shows(t, a.told(a.Service), false, words...)
	page, streamed := must(sub.Next(a.ctx(), time.Second)), ""
	for _, p := range page {
		streamed += string(must(p.CloudEvent("/test")))
	}
	shows(t, streamed, false, words...)
	if root(t, a.state, size) != before {
		t.Error("the tree has changed")
	}
	a.nodesAgree()
}

// What a workspace gets after its erasure has a secret of its own.
func TestWorkspacesLiveOnAfterErasure(t *testing.T) {
	a := newAcme(t)
	must(a.EraseWorkspace(a.ctx(), &a.root, "acme"))
	k := a.changed(1, func() (ledger.Key, error) {
		return a.Update(a.ctx(), &a.root, a.other.ID, &ledger.Update{Name: ptr("Barbara Liskov")})
	})
	if k.Name != "Barbara Liskov" || string(k.Metadata) != `{"erased":true}` {
		t.Errorf("%+v", k)
	}
	a.create(ledger.Create{Name: "Radia Perlman", Owner: ledger.Owner{Workspace: "acme"}})
	if again, made, err := a.RegisterAgent(a.ctx(), &a.root, &ledger.RegisterAgent{Name: "Alan Turing", Workspace: "acme"}); err != nil || made ||
		again.ID != a.agent.ID {
		t.Errorf("the agent whose name was erased: %+v %v %v", again, made, err)
	}
	if _, made, err := a.RegisterAgent(a.ctx(), &a.root, &ledger.RegisterAgent{Name: "erased", Workspace: "acme"}); err != nil || !made {
		t.Errorf("another agent: %v %v", made, err)
	}
	shows(t, a.told(a.Service), true, "Barbara Liskov", "Radia Perlman")
	a.nodesAgree()
	must(a.EraseWorkspace(a.ctx(), &a.root, "acme"))
	shows(t, a.told(a.Service), false, "Barbara Liskov", "Radia Perlman")
	a.nodesAgree()
}

func TestErasureIsRefused(t *testing.T) {
	a := newAcme(t)
	scopes := []string{ledger.ScopeRead, ledger.ScopeUpdate, ledger.ScopeRevoke, ledger.ScopeAudit}
	without := a.caller(ledger.Create{Scopes: scopes})
	foreign := a.caller(ledger.Create{Owner: ledger.Owner{Workspace: "umbrella"}, Scopes: []string{ledger.ScopeErase}})
	narrow := a.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme", Org: "o"}, Scopes: []string{ledger.ScopeErase}})
	bound := a.caller(ledger.Create{Owner: ledger.Owner{Workspace: "acme"}, Scopes: []string{ledger.ScopeErase}})
	for name, test := range map[string]struct {
		call      *ledger.Call
		workspace string
		code      ledger.Code
	}{
		"without the scope":       {without, "acme", ledger.CodeForbidden},
		"of another":              {foreign, "acme", ledger.CodeNotFound},
		"of a part":               {narrow, "acme", ledger.CodeForbidden},
		"a workspace of nobody":   {&a.root, "none", ledger.CodeNotFound},
		"no workspace":            {&a.root, "", ledger.CodeNotFound},
		"what is no workspace id": {&a.root, "a\nb", ledger.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			a.refused(test.code, func() error {
				_, err := a.EraseWorkspace(t.Context(), test.call, test.workspace)
				return err
			})
		})
	}
	for code, call := range map[ledger.Code]*ledger.Call{ledger.CodeForbidden: without, ledger.CodeNotFound: foreign} {
		a.refused(code, func() error {
			_, err := a.EraseKey(t.Context(), call, a.key.ID)
			return err
		})
	}
	shows(t, a.told(a.Service), true, "Ada Lovelace")
	must(a.EraseKey(t.Context(), narrow, a.key.ID))
	must(a.EraseWorkspace(t.Context(), bound, "acme"))
}

// opens tells whether a node that knows of no erasure could still read the name of a key.
func (a *acme) opens(k ledger.Key) bool {
	a.t.Helper()
	m := must(a.log.Scan(a.ctx(), events.KeySubject(&k.Owner, k.ID), 1, 1))[0]
	e, err := events.Decode(&m, ledgertest.Personal(a.t, a.log))
	if err != nil {
		a.t.Fatal(err)
	}
	return e.Payload.(*events.Created).Name != "erased"
}

// A node that dies between the event of an erasure and the destruction of the secrets leaves it to whoever comes next.
func TestErasuresThatWereCutShortAreCarriedOut(t *testing.T) {
	for name, erase := range map[string]func(*acme) error{
		"a key":       func(a *acme) error { _, err := a.EraseKey(a.ctx(), &a.root, a.key.ID); return err },
		"a workspace": func(a *acme) error { _, err := a.EraseWorkspace(a.ctx(), &a.root, "acme"); return err },
	} {
		for step := range 20 { // of the vault
			t.Run(fmt.Sprint(name, " ", step), func(t *testing.T) {
				a := newAcme(t)
				var kept atomic.Int64 // by several at a time
				a.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
					if op != ledgertest.OpKeep {
						return ledgertest.Fault{}
					}
					if kept.Add(1) <= int64(step) {
						return ledgertest.Fault{}
					}
					return ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: step%2 == 1}
				})
				err := erase(a)
				if step == 0 && ledger.CodeOf(err) != ledger.CodeUnavailable {
					t.Fatalf("the vault is gone: %v", err)
				}
				if step == 0 && !a.opens(a.key) {
					t.Fatal("the secret is destroyed: this test shows nothing")
				}
				shows(t, a.told(a.Service), false, "Ada") // of this node all the same
				a.log.Inject(nil)
				next, state := ledgertest.Personal(t, a.log), a.node().state
				if err := next.DestroyAll(a.ctx(), state); err != nil {
					t.Fatal(err)
				}
				if a.opens(a.key) {
					t.Error("the secret is still there")
				}
				if name == "a key" && !a.opens(a.other) {
					t.Error("the secret of another key is gone")
				}
				a.nodesAgree()
			})
		}
	}
}

// What a node seals that has not heard of an erasure yet is lost, and all nodes say so.
func TestWhatALateNodeSealsIsLost(t *testing.T) {
	a := newAcme(t)
	late := ledgertest.Personal(t, a.log)
	state := ledgertest.NewSealedState(a.clock.Now, late)
	n := ledger.New(ledger.Config{Log: a.log, State: state, Now: a.clock.Now, Personal: late})
	follow := func() {
		t.Helper()
		err := a.log.Tail(a.ctx(), state.Position()+1, func(b ledger.Batch) error {
			if err := state.Apply(b); err != nil || b.Pending > 0 {
				return err
			}
			return errLevel
		})
		if !errors.Is(err, errLevel) {
			t.Fatal(err)
		}
	}
	follow()
	if !a.opens(a.key) {
		t.Fatal("it cannot be opened")
	}
	shows(t, a.told(n), true, "Ada")
	must(a.EraseWorkspace(a.ctx(), &a.root, "acme"))
	created := make(chan error)
	go func() {
		_, err := n.Create(a.ctx(), &a.root, &ledger.Create{Name: "Radia Perlman", Owner: ledger.Owner{Workspace: "acme"}})
		created <- err
	}()
	size := uint64(a.log.Len())
	for uint64(a.log.Len()) == size {
		must(0, a.ctx().Err())
	}
	follow()
	if err := <-created; err != nil {
		t.Fatal(err)
	}
	shows(t, a.told(a.Service)+a.told(n), false, "Radia", "Ada")
	if err := a.state.WaitFor(a.ctx(), size+1); err != nil {
		t.Fatal(err)
	}
	if err := state.Diff(a.ctx(), a.state); err != nil {
		t.Error(err)
	}
	a.nodesAgree()
}

var errLevel = errors.New("level")

// What was stored before there were secrets is masked.
func TestErasureOfWhatIsInTheClear(t *testing.T) {
	a := newAcme(t)
	before := ledger.New(ledger.Config{Log: a.log, State: a.state, Now: a.clock.Now})
	k := must(before.Create(a.ctx(), &a.root, &ledger.Create{Name: "Linus", Owner: ledger.Owner{Workspace: "old"}})).Key
	shows(t, a.told(a.Service), true, "Linus")
	must(a.EraseKey(a.ctx(), &a.root, k.ID))
	shows(t, a.told(a.Service), false, "Linus")
	must(before.Create(a.ctx(), &a.root, &ledger.Create{Name: "Margaret", Owner: ledger.Owner{Workspace: "old"}}))
	must(a.EraseWorkspace(a.ctx(), &a.root, "old"))
	shows(t, a.told(a.Service), false, "Margaret")
	shows(t, a.told(a.node().Service), false, "Margaret", "Linus")
	a.nodesAgree()
}

// A ledger without the vault it was sealed with still reads, but for what is sealed.
func TestALedgerWithoutItsVault(t *testing.T) {
	a := newAcme(t)
	a.log.LoseVault()
	n := a.node()
	shows(t, a.told(n.Service), false, "Ada", "192.0.2.7")
	shows(t, a.told(n.Service), true, `"name":"sealed"`)
	must(n.Create(a.ctx(), &a.root, &ledger.Create{Name: "Radia Perlman", Owner: ledger.Owner{Workspace: "acme"}}))
	shows(t, a.told(n.Service), true, `"name":"sealed"`, "Radia Perlman")

	// What was erased is not mistaken for what comes after.
	must(n.EraseWorkspace(a.ctx(), &a.root, "acme"))
	a.log.LoseVault()
	n = a.node()
	must(n.Create(a.ctx(), &a.root, &ledger.Create{Name: "Barbara Liskov", Owner: ledger.Owner{Workspace: "acme"}}))
	shows(t, a.told(n.Service), false, "Radia Perlman")
	shows(t, a.told(n.Service), true, "Barbara Liskov")
}

// A node that knows of an erasure seals with the next secret, whether the last one is destroyed yet or not.
func TestWhatIsSealedAfterAnErasureStays(t *testing.T) {
	a := newAcme(t)
	a.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpKeep {
			return ledgertest.Fault{Err: ledger.ErrUnavailable}
		}
		return ledgertest.Fault{}
	})
	if _, err := a.EraseWorkspace(a.ctx(), &a.root, "acme"); ledger.CodeOf(err) != ledger.CodeUnavailable {
		t.Fatalf("the vault is gone: %v", err)
	}
	in := ledger.Create{Name: "Radia Perlman", Owner: ledger.Owner{Workspace: "acme"}}
	a.refused(ledger.CodeUnavailable, func() error {
		_, err := a.Create(a.ctx(), &a.root, &in)
		return err
	})
	a.log.Inject(nil)
	a.create(in)
	shows(t, a.told(a.Service), true, "Radia Perlman")
	a.nodesAgree()
	shows(t, a.told(a.node().Service), true, "Radia Perlman")
}

// The first create of a workspace waits for its secret; those after it do not ask the vault.
func TestSecretsAreDurableFirst(t *testing.T) {
	w := newWorld(t)
	var calls []ledgertest.Op
	w.log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		switch op {
		case ledgertest.OpSecret, ledgertest.OpKeep, ledgertest.OpAppend:
			calls = append(calls, op)
		}
		return ledgertest.Fault{}
	})
	create := func() []ledgertest.Op {
		calls = nil
		must(w.Create(w.ctx(), &w.root, &ledger.Create{Name: "a", Owner: ledger.Owner{Workspace: "acme"}}))
		return calls
	}
	if first := fmt.Sprint(create()); first != "[secret keep append]" {
		t.Errorf("the first: %v", first)
	}
	if second := fmt.Sprint(create()); second != "[append]" {
		t.Errorf("the second: %v", second)
	}
	w.log.FailNext(ledgertest.OpKeep, ledgertest.Fault{Err: ledger.ErrUnavailable})
	w.refused(ledger.CodeUnavailable, func() error {
		_, err := w.Create(w.ctx(), &w.root, &ledger.Create{Name: "a", Owner: ledger.Owner{Workspace: "other"}})
		return err
	})
}

func TestVaultOfAnotherSecret(t *testing.T) {
	a := newAcme(t)
	other, err := ledger.NewPersonal(bytes.Repeat([]byte("x"), 32))
	if err == nil {
		err = other.Use(t.Context(), a.log)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := must(a.log.Read(t.Context(), a.key.Sequence))[0]
	if e, err := events.Decode(&m, other); err == nil {
		t.Errorf("opened with another secret: %+v", e)
	}
}

// BenchmarkSeal is what sealing adds to a create in a workspace that is known.
func BenchmarkSeal(b *testing.B) {
	p := ledgertest.Personal(b, ledgertest.NewLog())
	m := events.Message{Header: events.Header{Type: events.KeyCreated}, Subject: "ledger.acme.~.~." + uuid.NewString()}
	plain := bytes.Repeat([]byte("p"), 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Seal(&m, 0, plain); err != nil {
			b.Fatal(err)
		}
	}
}
