package projections_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// TestRandomHistories makes random histories through the ledger and holds the views against the plain fold of the log:
// the views the ledger ran on, in memory and on disk; views built from the finished log; and views that crashed in the
// middle, lost whatever was not on disk, and went on.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		t.Repeat(map[string]func(*rapid.T){
			"create": h.create, "update": h.update, "rotate": h.rotate, "disable": h.disable, "revoke": h.revoke,
			"agent": h.agent, "use": h.use, "announce": h.announce, "wait": h.wait, "flush": h.flush, "crash": h.crash,
			"webhook": h.webhook, "erase": h.erase,
		})
		h.check(t)
	})
}

// history is a ledger on views, and what is known of it.
type history struct {
	now     time.Time
	log     *ledgertest.Log
	service *ledger.Service
	other   *ledger.Service // of a node that never learns of erasures, and seals with the keys it has
	crier   *ledger.Announcer
	call    *ledger.Call
	live    []*running   // in memory, on disk
	disks   []*vfs.MemFS // of these
	crashes []projections.Options

	keys    []uuid.UUID
	hooks   []uuid.UUID
	digests []ledger.Digest
	brought int
	batches uint64 // of uses
}

func newHistory(t *rapid.T) *history {
	h := &history{now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), log: ledgertest.NewLog()}
	for _, diskIndex := range []bool{false, true} {
		fs := vfs.NewCrashableMem()
		h.disks = append(h.disks, fs)
		o := projections.Options{FS: fs, DiskIndex: diskIndex, Personal: h.personal(t)}
		h.live = append(h.live, run(t, open(t, o), h.log))
		c := ledger.Config{
			Log: h.log, State: h.live[len(h.live)-1], Now: func() time.Time { return h.now }, FirstUses: true, Personal: o.Personal,
		}
		if diskIndex {
			c.Personal = h.personal(t) // which learns of nothing
			h.other = ledger.New(c)
		} else {
			h.service = ledger.New(c)
		}
	}
	h.call = bootstrap(t, h.service)
	h.call.Principal.Scopes = ledger.ScopeAll
	h.crier = ledger.NewAnnouncer(h.service, ledger.AnnouncerConfig{
		Horizons: []time.Duration{time.Second, 5 * time.Minute}, FirstUses: 2,
	})
	h.learn(t, h.call.Principal.KeyID)
	return h
}

// personal is what opens personal data on one node.
func (h *history) personal(t *rapid.T) *ledger.Personal {
	p, err := ledger.NewPersonal([]byte("a secret of the server"))
	if err == nil {
		err = p.Use(t.Context(), h.log)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

// either is one of both nodes.
func (h *history) either(t *rapid.T) *ledger.Service {
	h.level(t)
	if rapid.Bool().Draw(t, "late node") {
		return h.other
	}
	return h.service
}

// level waits until each node has what the other one did.
func (h *history) level(t *rapid.T) {
	last, err := h.log.Last(t.Context())
	for _, v := range h.live {
		if err == nil {
			err = v.WaitFor(t.Context(), last)
		}
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// learn notes a key and its digests.
func (h *history) learn(t *rapid.T, id uuid.UUID) {
	h.level(t)
	k, ok, err := h.live[0].Key(t.Context(), id)
	if err != nil || !ok {
		t.Fatalf("key %s: %v %v", id, ok, err)
	}
	if !slices.Contains(h.keys, id) {
		h.keys = append(h.keys, id)
	}
	h.digests = append(h.digests, k.Digest)
}

// done takes what a command answers: a refusal is as good as a success.
func done(t *rapid.T, err error) bool {
	if err != nil && ledger.CodeOf(err) != ledger.CodeConflict && ledger.CodeOf(err) != ledger.CodeInvalid {
		t.Fatalf("%v", err)
	}
	return err == nil
}

func (h *history) token(t *rapid.T) ledger.Secret {
	if rapid.Bool().Draw(t, "minted") {
		return ledger.Secret{}
	}
	h.brought++
	return ledger.NewSecret(fmt.Sprintf("a-token-that-was-brought-%020d", h.brought-rapid.IntRange(0, 1).Draw(t, "again")))
}

func metadata() *rapid.Generator[json.RawMessage] {
	return rapid.Map(rapid.SampledFrom([]int{0, 0, 10, 100, 300, 3000}), func(n int) json.RawMessage {
		if n == 0 {
			return nil
		}
		return fmt.Appendf(nil, `{"note":"%s"}`, strings.Repeat("n", n))
	})
}

func names() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "a", "abc", "b/ü", "deploy"})
}

func owners() *rapid.Generator[ledger.Owner] {
	id := func(ids ...string) *rapid.Generator[string] { return rapid.SampledFrom(append(ids, "")) }
	return rapid.Custom(func(t *rapid.T) ledger.Owner {
		return ledger.Owner{
			Workspace: id("acme", "acme.sub", "w").Draw(t, "workspace"),
			Org:       id("o1", "o2").Draw(t, "org"),
			AgentID:   id("bot", "w").Draw(t, "agent"),
			AgentName: id("Bot").Draw(t, "agent name"),
			Peer:      id("p").Draw(t, "peer"),
			Session:   id("s").Draw(t, "session"),
		}
	})
}

func scopes() *rapid.Generator[[]string] {
	return rapid.SampledFrom([][]string{nil, {"read"}, {"read", "write"}, {ledger.ScopeAll}, {ledger.ScopeRead, "read"}})
}

// expiry draws a time that lies ahead, or zero.
func (h *history) expiry(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "for ever") {
		return time.Time{}
	}
	return h.now.Add(time.Duration(rapid.IntRange(1, 1e6).Draw(t, "life")) * time.Millisecond)
}

func (h *history) create(t *rapid.T) {
	issued, err := h.either(t).Create(t.Context(), h.call, &ledger.Create{
		Name:        names().Draw(t, "name"),
		Owner:       owners().Draw(t, "owner"),
		Scopes:      scopes().Draw(t, "scopes"),
		Environment: rapid.SampledFrom([]string{ledger.Live, ledger.Test}).Draw(t, "environment"),
		Type:        rapid.SampledFrom([]string{ledger.TypeInternal, ledger.TypeGitHub}).Draw(t, "type"),
		Metadata:    metadata().Draw(t, "metadata"),
		ExpiresAt:   h.expiry(t),
		Token:       h.token(t),
		UniqueName:  rapid.Bool().Draw(t, "unique name"),
		Confined:    rapid.Bool().Draw(t, "confined"),
	})
	if done(t, err) {
		h.learn(t, issued.Key.ID)
	}
}

func (h *history) any(t *rapid.T) uuid.UUID {
	h.level(t)
	return rapid.SampledFrom(h.keys).Draw(t, "key")
}

func (h *history) update(t *rapid.T) {
	var in ledger.Update
	if rapid.Bool().Draw(t, "rename") {
		name := names().Draw(t, "name")
		in.Name = &name
	}
	if rapid.Bool().Draw(t, "rescope") {
		list := scopes().Draw(t, "scopes")
		in.Scopes = &list
	}
	if rapid.Bool().Draw(t, "annotate") {
		raw := metadata().Draw(t, "metadata")
		if raw == nil {
			raw = json.RawMessage("null")
		}
		in.Metadata = &raw
	}
	if rapid.Bool().Draw(t, "prolong") {
		at := h.expiry(t)
		in.ExpiresAt = &at
	}
	_, err := h.either(t).Update(t.Context(), h.call, h.any(t), &in)
	done(t, err)
}

func (h *history) rotate(t *rapid.T) {
	grace := time.Duration(rapid.SampledFrom([]int{0, 1, 1000}).Draw(t, "grace")) * time.Second
	issued, err := h.service.Rotate(t.Context(), h.call, h.any(t), &ledger.Rotate{Grace: grace, Token: h.token(t)})
	if done(t, err) {
		h.learn(t, issued.Key.ID)
	}
}

func (h *history) disable(t *rapid.T) {
	switching := h.service.Enable
	if rapid.Bool().Draw(t, "off") {
		switching = h.service.Disable
	}
	_, err := switching(t.Context(), h.call, h.any(t))
	done(t, err)
}

func (h *history) revoke(t *rapid.T) {
	_, err := h.service.Revoke(t.Context(), h.call, h.any(t), rapid.SampledFrom([]string{"", "lost"}).Draw(t, "reason"))
	done(t, err)
}

func (h *history) agent(t *rapid.T) {
	o := owners().Draw(t, "owner")
	_, _, err := h.either(t).RegisterAgent(t.Context(), h.call, &ledger.RegisterAgent{
		ID:        o.AgentID,
		Name:      rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name"),
		Workspace: o.Workspace,
		Org:       o.Org,
	})
	done(t, err)
}

// erase erases a key, or all that a workspace has.
func (h *history) erase(t *rapid.T) {
	var err error
	if workspace := rapid.SampledFrom([]string{"", "acme", "acme.sub", "w"}).Draw(t, "workspace"); workspace != "" {
		_, err = h.service.EraseWorkspace(t.Context(), h.call, workspace)
	} else {
		_, err = h.service.EraseKey(t.Context(), h.call, h.any(t))
	}
	if ledger.CodeOf(err) != ledger.CodeNotFound {
		done(t, err)
	}
	if rapid.Bool().Draw(t, "compacted") {
		if err := h.live[0].Compact(t.Context()); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

// use stores a batch of uses, sometimes of keys that nobody knows yet.
func (h *history) use(t *rapid.T) {
	var uses []events.Use
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(h.keys), 1, 5, rapid.ID).Draw(t, "used") {
		uses = append(uses, events.Use{
			KeyID:  id,
			Last:   h.now.Add(-time.Duration(rapid.IntRange(0, 5000).Draw(t, "ago")) * time.Millisecond),
			Count:  rapid.Uint64Range(1, 1000).Draw(t, "count"),
			Origin: events.Origin{IP: "192.0.2.1", UserAgent: fmt.Sprint("agent ", h.batches)},
		})
	}
	data, err := events.EncodeUsage(uses)
	if err == nil {
		err = h.log.AppendUsage(t.Context(), data)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	h.batches++
}

// announce gives the notices that are due, often much later.
func (h *history) announce(t *rapid.T) {
	h.now = h.now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 300, 1000}).Draw(t, "time")) * time.Second)
	if err := h.crier.Look(t.Context()); err != nil {
		t.Fatalf("%v", err)
	}
}

func (h *history) wait(t *rapid.T) {
	h.now = h.now.Add(time.Duration(rapid.IntRange(0, 500_000).Draw(t, "time")) * time.Microsecond)
}

func (h *history) flush(t *rapid.T) {
	for _, v := range h.live {
		if err := v.Flush(); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

// crash keeps what a crash now would leave on the disks.
func (h *history) crash(t *rapid.T) {
	for i, fs := range h.disks {
		clone := fs.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "kept"),
			RNG:                 rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)),
		})
		if len(h.crashes) < 2 {
			h.crashes = append(h.crashes, projections.Options{FS: clone, DiskIndex: i == 1})
		}
	}
}

// check compares all views with the fold of the log.
func (h *history) check(t *rapid.T) {
	want := h.fold(t)
	for _, v := range h.live {
		v.catchUp(t, h.batches)
	}
	h.compare(t, "live, in memory", h.live[0], want)
	h.compare(t, "live, on disk", h.live[1], want)
	for _, diskIndex := range []bool{false, true} {
		o := projections.Options{FS: vfs.NewMem(), DiskIndex: diskIndex}
		h.compareOnce(t, fmt.Sprintf("replayed, on disk %v", diskIndex), o, want)
	}
	for _, o := range h.crashes {
		for range 2 { // the second time with the other index, as after a restart with another option
			h.compareOnce(t, fmt.Sprintf("crashed, on disk %v", o.DiskIndex), o, want)
			o.DiskIndex = !o.DiskIndex
		}
	}
}

// compareOnce opens views, compares them when they have caught up, and closes them.
func (h *history) compareOnce(t *rapid.T, name string, o projections.Options, want ledger.State) {
	o.Personal = h.personal(t)
	v, err := projections.Open(o)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	r := run(t, v, h.log)
	r.catchUp(t, h.batches)
	h.compare(t, name, r, want)
	r.stop()
	if err := v.Close(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// fold is the state that the log adds up to.
func (h *history) fold(t *rapid.T) ledger.State {
	s := ledgertest.NewSealedState(func() time.Time { return h.now }, h.personal(t))
	end := errors.New("the end")
	err := h.log.Tail(t.Context(), 1, func(b ledger.Batch) error {
		if err := s.Apply(b); err != nil || b.Pending > 0 {
			return err
		}
		return end
	})
	if h.batches > 0 && err == end {
		err = h.log.TailUsage(t.Context(), 1, func(sequence uint64, data []byte) error {
			if err := s.ApplyUsage(sequence, data); err != nil || sequence < h.batches {
				return err
			}
			return end
		})
	}
	if err != end {
		t.Fatalf("fold: %v", err)
	}
	return s
}

// compare holds the answers of views against those of the fold.
func (h *history) compare(t *rapid.T, name string, got, want ledger.State) {
	ctx := t.Context()
	same := func(what any, got, want []any) {
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %v\n got %+v\nwant %+v", name, what, got, want)
		}
	}
	for _, id := range append(h.keys, uuid.New()) {
		same(id, list(got.Key(ctx, id)), list(want.Key(ctx, id)))
		same(id, list(got.LastUse(ctx, id)), list(want.LastUse(ctx, id)))
		for _, from := range []uint64{0, 5, 1000} {
			for _, limit := range []int{1, 2, 100} {
				g, gotErr := got.History(ctx, id, from, limit)
				w, wantErr := want.History(ctx, id, from, limit)
				same(fmt.Sprint("history of ", id), list(append([]uint64{}, g...), gotErr), list(append([]uint64{}, w...), wantErr))
			}
		}
	}
	for _, d := range append(h.digests, ledger.Digest{}, ledger.Digest{1}) {
		g, gotPrevious, gotOK, gotErr := got.KeyByDigest(d)
		w, wantPrevious, wantOK, wantErr := want.KeyByDigest(d)
		same(d, list(g, gotPrevious, gotOK, gotErr), list(w, wantPrevious, wantOK, wantErr))
	}
	g, gotErr := got.Roots(ctx)
	w, wantErr := want.Roots(ctx)
	for _, ids := range [][]uuid.UUID{g, w} {
		slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	}
	same("roots", list(g, gotErr), list(w, wantErr))
	for _, until := range []time.Time{h.now, h.now.Add(time.Hour)} {
		same("expiries", list(allExpiries(t, got, until)), list(allExpiries(t, want, until)))
	}
	h.compareLists(t, name, got, want)
	h.compareClaims(t, name, got, want)
	same("erasures", list(got.Erasures(ctx, 0, 1000)), list(want.Erasures(ctx, 0, 1000)))
	h.compareWebhooks(t, name, got, want)
	sameTree(t, name, got, treeOf(t, h.log), want.Position())
	if got.Position() != want.Position() || got.Lag() != 0 {
		t.Errorf("%s: position %d, not %d, lag %d", name, got.Position(), want.Position(), got.Lag())
	}
}

func list(values ...any) []any { return values }

// compareLists compares some of the lists there are, in pages of some size.
func (h *history) compareLists(t *rapid.T, name string, got, want ledger.State) {
	limit := rapid.SampledFrom([]int{1, 3, 1000}).Draw(t, "limit")
	for _, q := range rapid.SliceOfN(rapid.SampledFrom(h.queries()), 5, 5).Draw(t, "queries") {
		q.Limit = limit
		g, w := allKeys(t, got, q), allKeys(t, want, q)
		if !slices.EqualFunc(g, w, func(a, b ledger.Key) bool { return reflect.DeepEqual(a, b) }) {
			t.Fatalf("%s: %+v\n got %+v\nwant %+v", name, q, g, w)
		}
	}
	half := want.Position() / 2
	for _, q := range []ledger.AgentQuery{
		{}, {Workspace: "acme"}, {Org: "o1"}, {Workspace: "w", Org: "o2"}, {Org: "o2", Name: "y"},
		{Until: &half}, {Until: &half, Workspace: "acme"}, {Until: new(want.Position())},
	} {
		q.Limit = limit
		if g, w := allAgents(t, got, q), allAgents(t, want, q); !slices.Equal(g, w) {
			t.Fatalf("%s: %+v\n got %+v\nwant %+v", name, q, g, w)
		}
	}
}

func (h *history) queries() []ledger.Query {
	queries := []ledger.Query{
		{}, {Workspace: "acme"}, {Workspace: "acme.sub"}, {Org: "o1"}, {Agent: "bot"}, {Agent: "w"}, {Workspace: "w"},
		{Workspace: "acme", Org: "o2"}, {Workspace: "acme", Agent: "bot"}, {Org: "o1", Agent: "bot"}, {Workspace: "none"},
		{Peer: "p"}, {Session: "s", Workspace: "acme"}, {Environment: ledger.Test}, {Type: ledger.TypeGitHub},
		{Scope: "read"}, {Scope: ledger.ScopeRead}, {NamePrefix: "a"}, {NamePrefix: "b/"},
		{Name: "a"}, {NotRevoked: true}, {OldestFirst: true}, {Agent: "bot", NotRevoked: true, OldestFirst: true, Name: "abc"},
		{UsedBefore: h.now}, {UsedBefore: h.now.Add(-2 * time.Second)},
		{UnusedSince: h.now.Add(-time.Second)}, {UnusedSince: h.now.Add(time.Hour)},
		{Status: ledger.Active}, {Status: ledger.Disabled}, {Status: ledger.Expired, Workspace: "acme"}, {Status: ledger.Revoked},
	}
	for i := range queries {
		queries[i].Now = h.now
	}
	return queries
}

// allKeys follows the pages of a query to their end.
func allKeys(t tb, s ledger.State, q ledger.Query) (keys []ledger.Key) {
	for {
		page, err := s.Keys(t.Context(), &q)
		if err != nil || len(page.Keys) > q.Limit {
			t.Fatalf("%+v: %d keys, %v", q, len(page.Keys), err)
		}
		keys = append(keys, page.Keys...)
		if page.Next == (ledger.Cursor{}) {
			return keys
		}
		q.After = page.Next
	}
}

// allExpiries follows the pages of the expiries to their end.
func allExpiries(t tb, s ledger.State, until time.Time) (all []ledger.Expiry) {
	for after := (ledger.Place{}); ; after = all[len(all)-1].Place {
		page, err := s.Expiries(t.Context(), after, until, 3)
		if err != nil {
			t.Fatalf("%v", err)
		}
		all = append(all, page...)
		if len(page) < 3 {
			return all
		}
	}
}

// allAgents follows the pages of a query to their end.
func allAgents(t tb, s ledger.State, q ledger.AgentQuery) (agents []ledger.Agent) {
	for {
		page, err := s.Agents(t.Context(), &q)
		if err != nil || len(page.Agents) > q.Limit {
			t.Fatalf("%+v: %d agents, %v", q, len(page.Agents), err)
		}
		agents = append(agents, page.Agents...)
		if page.Next == "" {
			return agents
		}
		q.After = page.Next
	}
}

// compareClaims compares every claim and every agent that the log has.
func (h *history) compareClaims(t *rapid.T, name string, got, want ledger.State) {
	messages, err := h.log.Scan(t.Context(), ">", 1, 1_000_000)
	if err != nil {
		t.Fatalf("%v", err)
	}
	ctx := t.Context()
	same := func(got, want []any) {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
	for i := range messages {
		e, err := events.Decode(&messages[i], h.personal(t))
		if err != nil {
			t.Fatalf("%v", err)
		}
		switch p := e.Payload.(type) {
		case *events.Claim:
			same(list(got.Claim(ctx, p.Kind, p.Hash)), list(want.Claim(ctx, p.Kind, p.Hash)))
			same(list(got.Claim(ctx, p.Kind, "none")), list(ledger.ClaimState{}, nil))
		case *events.Release:
			same(list(got.Claim(ctx, p.Kind, p.Hash)), list(want.Claim(ctx, p.Kind, p.Hash)))
		case *events.Webhook:
			same(list(got.Webhook(ctx, p.ID)), list(want.Webhook(ctx, p.ID)))
		case *events.Agent:
			same(list(got.Agent(ctx, p.Workspace, p.Org, p.ID)), list(want.Agent(ctx, p.Workspace, p.Org, p.ID)))
			same(list(got.AgentByName(ctx, p.Workspace, p.Org, p.Name)), list(want.AgentByName(ctx, p.Workspace, p.Org, p.Name)))
			same(list(got.Agent(ctx, p.Org, p.Workspace, "none")), list(ledger.Agent{}, false, nil))
		}
	}
}
