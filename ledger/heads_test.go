package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// headWorld is a log of many events, what a node shows of it, and what signs its heads.
type headWorld struct {
	t        *testing.T
	messages []events.Message
	log      *ledgertest.Log
	state    *ledgertest.State
	kept     []byte
	*ledger.Heads
}

const headOrigin = "keyledger.test/heads"

// newHeadWorld gives a log with n events.
func newHeadWorld(t *testing.T, n int) *headWorld {
	t.Helper()
	w := &headWorld{t: t, log: ledgertest.NewLog()}
	w.append(n)
	w.follow(w.log, w.log, 0)
	return w
}

// append stores n events more.
func (w *headWorld) append(n int) {
	w.t.Helper()
	for range n {
		p := &events.Created{KeyID: uuid.New(), Name: "key", Environment: ledger.Live, KeyType: ledger.TypeExternal, Digest: events.Digest{1}}
		m, err := events.Encode(&events.Event{
			Header:  events.Header{ID: uuid.New(), Time: time.Now(), Actor: "system"},
			Subject: events.KeySubject(&p.Owner, p.KeyID), Payload: p,
		}, nil)
		if err == nil {
			m.Sequence, err = w.log.Append(w.t.Context(), ledger.Entry{Message: m})
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.messages = append(w.messages, m)
	}
}

// follow starts the node on a log, with heads of its own signing key.
func (w *headWorld) follow(log *ledgertest.Log, heads ledger.HeadLog, seed byte) {
	w.t.Helper()
	w.state = ledgertest.Follow(w.t, log, time.Now)
	w.Heads = w.heads(log, heads, seed)
}

func (w *headWorld) heads(log ledger.Log, heads ledger.HeadLog, seed byte) *ledger.Heads {
	w.t.Helper()
	h, err := ledger.NewHeads(ledger.HeadsConfig{
		Log: log, Heads: heads, State: w.state, Origin: headOrigin, Seed: slices.Repeat([]byte{seed}, ledger.SigningSeed),
		Keep: func(note []byte) error { w.kept = note; return nil },
		Kept: func() ([]byte, error) { return w.kept, nil },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// sign signs the head of everything.
func (w *headWorld) sign() *ledger.SignedHead {
	w.t.Helper()
	if err := w.state.WaitFor(w.t.Context(), uint64(w.log.Len())); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Sign(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return w.Latest()
}

// copied is another log with the same events, as far as change leaves them as they are.
func (w *headWorld) copied(change func(list []events.Message) []events.Message) *ledgertest.Log {
	w.t.Helper()
	log := ledgertest.NewLog()
	for _, m := range change(slices.Clone(w.messages)) {
		m.Sequence = 0
		if _, err := log.Append(w.t.Context(), ledger.Entry{Message: m}); err != nil {
			w.t.Fatal(err)
		}
	}
	return log
}

// changed changes one event, so that it is still a good one.
func changed(sequence int) func([]events.Message) []events.Message {
	return func(list []events.Message) []events.Message {
		list[sequence-1].Actor = "someone"
		return list
	}
}

// diverges holds that an error refuses the ledger, and says so in some words.
func diverges(t *testing.T, name string, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, ledger.ErrDiverged) {
		t.Errorf("%s: %v", name, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q does not say %q", name, err, word)
		}
	}
}

func TestHeadsAreSignedAndKept(t *testing.T) {
	w := newHeadWorld(t, 10)
	verifier, err := note.NewVerifier(w.VerifierKey())
	if err != nil || verifier.Name() != headOrigin {
		t.Fatal(verifier, err)
	}
	if w.Latest() != nil {
		t.Error("there is a head before one was signed")
	}
	for range 3 {
		head := w.sign()
		n, err := note.Open(head.Note, note.VerifierList(verifier))
		root, rootErr := tlog.TreeHash(int64(len(w.messages)), w.state)
		if want := fmt.Sprintf("%s\n%d\n%s\n", headOrigin, len(w.messages), root); err != nil || rootErr != nil || n.Text != want {
			t.Errorf("%v %v: %q, want %q", err, rootErr, n.Text, want)
		}
		stored, sequence, err := w.log.LastHead(t.Context())
		if err != nil || string(stored) != string(head.Note) || string(w.kept) != string(head.Note) {
			t.Errorf("stored: %q, %v, kept: %q", stored, err, w.kept)
		}
		if again := w.sign(); again != head {
			t.Error("a head was signed though nothing happened")
		}
		if _, same, _ := w.log.LastHead(t.Context()); same != sequence {
			t.Error("it was stored twice")
		}
		w.append(5)
	}
}

// A head that cannot be stored is not shown, and signed later.
func TestAHeadIsShownWhenItIsStored(t *testing.T) {
	for _, op := range []ledgertest.Op{ledgertest.OpAppendHead, ledgertest.OpLastHead} {
		for _, applied := range []bool{false, true} {
			w := newHeadWorld(t, 3)
			w.log.FailNext(op, ledgertest.Fault{Err: ledger.ErrUnavailable, Applied: applied})
			if err := w.Sign(t.Context()); !errors.Is(err, ledger.ErrUnavailable) || w.Latest() != nil {
				t.Errorf("%s fails: %v, %v", op, err, w.Latest())
			}
			if head := w.sign(); head.Size != 3 {
				t.Errorf("%s failed: %+v", op, head)
			}
		}
	}
}

// Two nodes sign the same, and store each head once.
func TestNodesSignTheSameHeads(t *testing.T) {
	a := newHeadWorld(t, 10)
	b := &headWorld{t: t, log: a.log}
	b.follow(a.log, a.log, 0)
	first := a.sign()
	if second := b.sign(); string(second.Note) != string(first.Note) {
		t.Errorf("they sign %q and %q", first.Note, second.Note)
	}
	if _, sequence, err := a.log.LastHead(t.Context()); sequence != 1 || err != nil {
		t.Errorf("%d heads are stored, %v", sequence, err)
	}
	other := &headWorld{t: t, log: a.log}
	other.follow(a.copied(changed(4)), a.log, 0)
	diverges(t, "another node shows something else", other.Sign(t.Context()), "first 10 events")
}

func TestCheckOfTheSameLedger(t *testing.T) {
	w := newHeadWorld(t, 300)
	if err := w.Check(t.Context(), 0); err != nil {
		t.Errorf("without a head: %v", err)
	}
	w.sign()
	w.append(20)
	if err := w.state.WaitFor(t.Context(), 320); err != nil {
		t.Fatal(err)
	}
	for _, seen := range []uint64{0, 1, 250, 300, 320} {
		if err := w.Check(t.Context(), seen); err != nil {
			t.Errorf("seen %d: %v", seen, err)
		}
		if err := w.CheckRest(t.Context(), seen); err != nil {
			t.Errorf("the rest, seen %d: %v", seen, err)
		}
	}
}

func TestCheckFindsWhatWasChanged(t *testing.T) {
	for _, sequence := range []int{1, 150, 299, 300} {
		w := newHeadWorld(t, 300)
		w.sign()
		other := w.copied(changed(sequence))
		name := fmt.Sprint("event ", sequence)
		diverges(t, name, w.heads(other, w.log, 0).Check(t.Context(), 300), name+" is another one")
		diverges(t, name+", the views end before it", w.heads(other, w.log, 0).Check(t.Context(), uint64(sequence)), name+" is another one")

		w.follow(other, w.log, 0)
		diverges(t, name+", views built anew", w.Check(t.Context(), 0), "first 300 events", "cannot be told")
		diverges(t, name+", views that saw the beginning", w.Check(t.Context(), uint64(sequence-1)), "first 300 events")
		w.kept = nil
		diverges(t, name+", the head in the log", w.Check(t.Context(), 0), "first 300 events")
	}
}

func TestCheckFindsWhatWasMovedOrRemoved(t *testing.T) {
	w := newHeadWorld(t, 300)
	w.sign()
	for name, change := range map[string]func([]events.Message) []events.Message{
		"removed": func(list []events.Message) []events.Message { return slices.Delete(list, 99, 100) },
		"swapped": func(list []events.Message) []events.Message { list[99], list[100] = list[100], list[99]; return list },
		"inserted": func(list []events.Message) []events.Message {
			return slices.Insert(list, 99, newHeadWorld(t, 1).messages[0])
		},
	} {
		diverges(t, name, w.heads(w.copied(change), w.log, 0).Check(t.Context(), 300), "event 100 is another one")
	}
}

func TestCheckFindsWhatWasCut(t *testing.T) {
	w := newHeadWorld(t, 300)
	w.sign()
	cut := w.copied(func(list []events.Message) []events.Message { return list[:200] })
	diverges(t, "views that saw more", w.heads(cut, w.log, 0).Check(t.Context(), 300), "ends at event 200", "from 201 on")
	w.follow(cut, w.log, 0)
	diverges(t, "views built anew", w.Check(t.Context(), 0), "ends at event 200", "from 201 on")
	w.follow(cut, cut, 0) // the heads in the log went with it: the node's own is left
	diverges(t, "the head that was kept", w.Check(t.Context(), 0), "ends at event 200", "from 201 on")
}

func TestCheckRefusesForeignHeads(t *testing.T) {
	w := newHeadWorld(t, 10)
	w.sign()
	w.follow(w.log, w.log, 7)
	diverges(t, "another key", w.Check(t.Context(), 10), "not signed by")
	w.kept = []byte("no note\n")
	diverges(t, "no note", w.Check(t.Context(), 10), "not signed by")
}

// Of a long ledger the end is read again before anything is served, and the rest afterwards.
func TestCheckOfALongLedger(t *testing.T) {
	const n = 20_000
	w := newHeadWorld(t, n)
	w.sign()
	late := w.heads(w.copied(changed(n-10)), w.log, 0)
	diverges(t, "late", late.Check(t.Context(), n), fmt.Sprintf("event %d is another one", n-10))
	early := w.heads(w.copied(changed(100)), w.log, 0)
	if err := early.Check(t.Context(), n); err != nil {
		t.Errorf("early: %v", err)
	}
	diverges(t, "early", early.CheckRest(t.Context(), n), "event 100 is another one")
	if err := w.CheckRest(t.Context(), n); err != nil {
		t.Error(err)
	}
}

func TestSigningKeysThatCannotBe(t *testing.T) {
	for name, c := range map[string]ledger.HeadsConfig{
		"no origin":          {Seed: make([]byte, 32)},
		"an origin with +":   {Origin: "a+b", Seed: make([]byte, 32)},
		"a space in it":      {Origin: "a b", Seed: make([]byte, 32)},
		"a seed too short":   {Origin: "a", Seed: make([]byte, 31)},
		"no seed":            {Origin: "a"},
		"a seed of 64 bytes": {Origin: "a", Seed: make([]byte, 64)},
	} {
		if _, err := ledger.NewHeads(c); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// slowLog is a log that tells an earlier end, a number of times.
type slowLog struct {
	ledger.Log
	times int
}

func (l *slowLog) Last(ctx context.Context) (uint64, error) {
	last, err := l.Log.Last(ctx)
	if l.times--; l.times >= 0 {
		last--
	}
	return last, err
}

// A leader that has just come may not have applied all of its log yet: it is waited for, if that is to be expected.
func TestHeadsWaitForANewLeader(t *testing.T) {
	w := newHeadWorld(t, 10)
	w.sign()
	for patience, want := range map[time.Duration]error{time.Minute: nil, 0: ledger.ErrDiverged} {
		h, err := ledger.NewHeads(ledger.HeadsConfig{
			Log: &slowLog{w.log, 3}, Heads: w.log, State: w.state, Origin: headOrigin, Seed: slices.Repeat([]byte{0}, ledger.SigningSeed),
			Keep: func([]byte) error { return nil }, Kept: func() ([]byte, error) { return w.kept, nil }, Patience: patience,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Check(t.Context(), 10); !errors.Is(err, want) {
			t.Errorf("with patience for %v: %v", patience, err)
		}
	}
}
