package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/audit"
	"keyledger/ledger/ledgertest"
)

// world is a ledger in memory on which random commands are tried.
type world struct {
	*ledger.Service
	t         *testing.T
	log       *ledgertest.Log
	now       time.Time
	rng       *rand.Rand
	personal  *ledger.Personal // nil: nothing is sealed
	root      ledger.Call
	announcer *ledger.Announcer
	keys      []uuid.UUID
	hooks     []uuid.UUID
	tokens    []string // that were brought
}

func newWorld(t *testing.T, seed uint64, sealed bool) *world {
	t.Helper()
	w := &world{t: t, log: ledgertest.NewLog(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), rng: rand.New(rand.NewPCG(seed, 1))}
	clock := func() time.Time { return w.now }
	if sealed {
		w.personal = ledgertest.Personal(t, w.log)
	}
	state := ledgertest.FollowSealed(t, w.log, clock, w.personal)
	w.Service = ledger.New(ledger.Config{
		Log: w.log, State: state, Now: clock, MaxStaleness: 1 << 62, FirstUses: true, Personal: w.personal,
	})
	w.announcer = ledger.NewAnnouncer(w.Service, ledger.AnnouncerConfig{Horizons: []time.Duration{24 * time.Hour, time.Hour}, FirstUses: 10})
	issued, made, err := w.Bootstrap(t.Context(), ledger.Secret{})
	if err != nil || !made {
		t.Fatal(made, err)
	}
	w.root.Principal, err = w.Authenticate(t.Context(), issued.Token.Reveal(), events.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	w.keys = append(w.keys, issued.Key.ID)
	return w
}

// step tries a command, which may be refused.
func (w *world) step(ctx context.Context) {
	w.now = w.now.Add(time.Duration(w.rng.IntN(3600)) * time.Second)
	key := w.keys[w.rng.IntN(len(w.keys))]
	name := fmt.Sprint("name ", w.rng.IntN(8))
	expiry := w.now.Add(time.Duration(w.rng.IntN(72)-4) * time.Hour)
	switch w.rng.IntN(15) {
	case 0, 1, 2, 3:
		w.create(ctx, name, expiry)
	case 4, 5:
		w.Update(ctx, &w.root, key, &ledger.Update{Name: &name})
	case 6:
		w.Update(ctx, &w.root, key, &ledger.Update{ExpiresAt: &expiry})
	case 7:
		w.Rotate(ctx, &w.root, key, &ledger.Rotate{Grace: time.Duration(w.rng.IntN(100)) * time.Hour, Token: w.bring()})
	case 8:
		w.Disable(ctx, &w.root, key)
	case 9:
		w.Enable(ctx, &w.root, key)
	case 10:
		w.Revoke(ctx, &w.root, key, "")
	case 11:
		w.RegisterAgent(ctx, &w.root, &ledger.RegisterAgent{Name: name, Workspace: "acme"})
	case 12:
		w.announcer.Look(ctx)
	case 13:
		w.webhook(ctx)
	case 14:
		if w.rng.IntN(4) > 0 {
			w.EraseKey(ctx, &w.root, key)
		} else {
			w.EraseWorkspace(ctx, &w.root, "acme")
		}
	}
}

// opener opens what is sealed.
func (w *world) opener() events.Opener {
	if w.personal == nil {
		return nil
	}
	return w.personal
}

func (w *world) create(ctx context.Context, name string, expiry time.Time) {
	in := ledger.Create{Name: name, Owner: ledger.Owner{Workspace: "acme"}, UniqueName: w.rng.IntN(2) == 0, Token: w.bring()}
	if w.rng.IntN(2) == 0 {
		in.ExpiresAt, in.Lapsed = expiry, w.rng.IntN(2) == 0
	}
	if w.rng.IntN(4) == 0 {
		in = ledger.Create{Name: name, Scopes: []string{ledger.ScopeAll}}
	}
	issued, err := w.Create(ctx, &w.root, &in)
	if err != nil {
		return
	}
	w.keys = append(w.keys, issued.Key.ID)
	w.Verify(ctx, &w.root.Principal, &ledger.VerifyRequest{Token: issued.Token.Reveal()})
}

// bring gives a token to bring, which may be one that was brought before, or none.
func (w *world) bring() ledger.Secret {
	switch w.rng.IntN(4) {
	case 0:
		w.tokens = append(w.tokens, "token-"+strings.Repeat("0", 32)+fmt.Sprint(len(w.tokens)))
		return ledger.NewSecret(w.tokens[len(w.tokens)-1])
	case 1:
		if len(w.tokens) > 0 {
			return ledger.NewSecret(w.tokens[w.rng.IntN(len(w.tokens))])
		}
	}
	return ledger.Secret{}
}

func (w *world) webhook(ctx context.Context) {
	if len(w.hooks) == 0 || w.rng.IntN(3) == 0 {
		hook, err := w.CreateWebhook(ctx, &w.root, &ledger.CreateWebhook{Workspace: "acme", URL: "https://example.com/"})
		if err == nil {
			w.hooks = append(w.hooks, hook.ID)
		}
		return
	}
	hook := w.hooks[w.rng.IntN(len(w.hooks))]
	switch w.rng.IntN(4) {
	case 0:
		w.RotateWebhook(ctx, &w.root, hook, time.Hour)
	case 1:
		w.DisableWebhook(ctx, &w.root, hook, "")
	case 2:
		w.EnableWebhook(ctx, &w.root, hook)
	case 3:
		w.DeleteWebhook(ctx, &w.root, hook)
	}
}

// TestWhatTheLedgerStoresIsRight: whatever commands are given, verification finds nothing in what is stored, by itself, nor in
// the lines of an export.
func TestWhatTheLedgerStoresIsRight(t *testing.T) {
	seen := map[events.Type]int{}
	for seed := range uint64(40) {
		w := newWorld(t, seed, seed%2 == 1)
		for range 150 {
			w.step(t.Context())
		}
		messages, err := w.log.Scan(t.Context(), ">", 1, w.log.Len())
		if err != nil {
			t.Fatal(err)
		}
		w.verify(messages, func(m *events.Message) audit.Record {
			seen[m.Type]++
			return audit.LeafRecord(events.AppendLeaf(nil, m))
		})
		w.verify(messages, func(m *events.Message) audit.Record {
			line, err := audit.AppendRecord(nil, events.AppendLeaf(nil, m), w.opener(), "/keyledger/test")
			if err != nil {
				t.Fatal(err)
			}
			return audit.Record{Number: int(m.Sequence) + 1, Line: line[:len(line)-1]}
		})
	}
	for _, typ := range []events.Type{
		events.KeyCreated, events.KeyUpdated, events.KeyRotated, events.KeyDisabled, events.KeyEnabled, events.KeyRevoked, events.KeyExpiring,
		events.KeyExpired, events.KeyFirstUsed, events.AgentRegistered, events.WebhookCreated, events.WebhookUpdated, events.WebhookDeleted,
		events.OwnerErased, events.ClaimTaken, events.ClaimReleased,
	} {
		if seen[typ] == 0 {
			t.Errorf("there was no %s", typ)
		}
	}
}

// verify fails when there is something to find in what record makes of messages.
func (w *world) verify(messages []events.Message, record func(*events.Message) audit.Record) {
	w.t.Helper()
	v, err := audit.NewVerification(audit.Options{
		Source: "/keyledger/test", Now: w.now, Folder: w.t.TempDir(), Most: 5, Found: func(f audit.Finding) { w.t.Errorf("sealed %v: %s", w.personal != nil, &f) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	err = v.Read(w.t.Context(), func(yield func(audit.Record, error) bool) {
		for i := range messages {
			if !yield(record(&messages[i]), nil) {
				return
			}
		}
	})
	if err = errors.Join(err, v.Close()); err != nil || v.Size() != uint64(len(messages)) {
		w.t.Fatal(v.Size(), err)
	}
}
