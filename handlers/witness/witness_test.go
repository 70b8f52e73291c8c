package witness_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	cosignatures "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/handlers/handlerstest"
	"keyledger/handlers/witness"
	"keyledger/ledger"
)

// Two witnesses cosign head after head, each with a proof that it follows from the one before.
func TestWitnessesCosign(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{JetStream: true, Idle: true})
	first, second := newOther(t, "witness.example/first", w), newOther(t, "witness.example/second", w)
	b := newBench(t, w, nil, first, second)
	for range 5 {
		head := b.grow()
		b.cosigned(head.Size, first, second)
		if first.size(t) != head.Size || second.size(t) != head.Size {
			t.Errorf("they hold %d and %d of %d", first.size(t), second.size(t), head.Size)
		}
		for range 3 {
			b.Key(t, ledger.Create{})
		}
	}
	until(t, "kept head", func() bool {
		kept := b.kept.Load()
		return kept != nil && string(*kept) == string(b.Heads.Cosigned(2).Note)
	})
}

// A head is cosigned again after a time, so that the cosignatures of a ledger at rest stay fresh.
func TestALastHeadIsCosignedAgain(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	o := newOther(t, "witness.example/w", w)
	b := newBench(t, w, func(c *witness.Config) { c.Refresh = time.Millisecond }, o)
	head := b.grow()
	until(t, "second cosignature", func() bool { return b.count("witness.example/w", "cosigned") >= 3 })
	b.cosigned(head.Size, o)
}

// A witness that has another head than this node thinks says so, and is given the proof from there.
func TestAWitnessThatIsAheadOfWhatIsKnown(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	o := newOther(t, "witness.example/w", w)
	early := newBench(t, w, nil, o)
	early.cosigned(early.grow().Size, o)

	b := newBench(t, w, nil, o) // knows nothing of it
	b.cosigned(b.grow().Size, o)
}

// A witness that has cosigned more than this node has is not asked to go back; nothing is cosigned.
func TestAWitnessThatIsAheadOfTheLedger(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	o := newOther(t, "witness.example/w", w)
	o.answer(func(a http.ResponseWriter, _ *http.Request) {
		a.Header().Set("Content-Type", "text/x.tlog.size")
		a.WriteHeader(http.StatusConflict)
		fmt.Fprintln(a, 1000)
	})
	b := newBench(t, w, nil, o)
	head := b.grow()
	b.counted("witness.example/w", "ahead")
	b.bare()
	o.answer(nil)
	b.cosigned(head.Size, o)
}

// A witness that has cosigned another history of the ledger refuses this one, and that is told.
func TestASplitView(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	another := handlerstest.New(t, handlerstest.Options{Idle: true}) // the same name and signing key, other events
	o := newOther(t, "witness.example/w", w)
	other := newBench(t, another, nil, o)
	other.cosigned(other.grow().Size, o)

	b := newBench(t, w, func(c *witness.Config) { c.Logger = logger(w) }, o)
	b.grow() // as many events: the roots differ
	b.counted("witness.example/w", "inconsistent")
	b.grow() // more: there is no proof
	o.asked(t, 2)
	b.bare()
	if !strings.Contains(w.Lines.String(), "a witness has cosigned another ledger") {
		t.Errorf("it is not logged:\n%s", w.Lines.String())
	}
}

// What a witness answers that is no cosignature is taken for none, and told apart.
func TestWhatIsNoCosignature(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	strange := startOther(t, "witness.example/w", "another.example/ledger", w.Heads.VerifierKey())
	impostor := newOther(t, "witness.example/w", w)
	impostor.key = newOther(t, "witness.example/w", w).key
	status := func(code int, header ...string) http.HandlerFunc {
		return func(a http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				a.Header().Set(header[i], header[i+1])
			}
			a.WriteHeader(code)
		}
	}
	for name, test := range map[string]struct {
		outcome string
		other   *other
		answer  http.HandlerFunc
	}{
		"a ledger it does not know":   {"unknown", strange, nil},
		"a key it does not trust":     {"untrusted", newOther(t, "witness.example/w", w), status(403)},
		"another key than configured": {"unverified", impostor, nil},
		"a signature of other bytes":  {"unverified", newOther(t, "witness.example/w", w), nil},
		"a signature of another text": {"unverified", newOther(t, "witness.example/w", w), nil},
		"nothing":                     {"unverified", newOther(t, "witness.example/w", w), status(200)},
		"no proof":                    {"inconsistent", newOther(t, "witness.example/w", w), status(422)},
		"other roots":                 {"inconsistent", newOther(t, "witness.example/w", w), status(409)},
		"no size":                     {"refused", newOther(t, "witness.example/w", w), status(409, "Content-Type", "text/x.tlog.size")},
		"too many requests":           {"refused", newOther(t, "witness.example/w", w), status(429)},
		"an error":                    {"refused", newOther(t, "witness.example/w", w), status(500)},
		"a redirect":                  {"refused", newOther(t, "witness.example/w", w), status(307, "Location", "/w/add-checkpoint")},
	} {
		t.Run(name, func(t *testing.T) {
			o := test.other
			switch name {
			case "a signature of other bytes":
				test.answer = badSignature(t, o)
			case "a signature of another text":
				test.answer = anotherText(t, o)
			}
			o.answer(test.answer)
			b := newBench(t, w, nil, o)
			head := b.grow()
			b.counted("witness.example/w", test.outcome)
			if cosigned := b.Heads.Cosigned(1); cosigned != nil {
				t.Fatalf("a cosigned head:\n%s", cosigned.Note)
			}
			if b.kept.Load() != nil {
				t.Error("something was kept")
			}
			if got := b.Heads.Latest(); got != head {
				t.Errorf("the head is %v", got)
			}
		})
	}
}

// badSignature answers with a line by the right key whose signature is not of the checkpoint.
func badSignature(t *testing.T, o *other) http.HandlerFunc {
	t.Helper()
	v, err := cosignatures.NewVerifierForCosignatureV1(o.key)
	if err != nil {
		t.Fatal(err)
	}
	hash := v.KeyHash()
	line := append([]byte{byte(hash >> 24), byte(hash >> 16), byte(hash >> 8), byte(hash)}, make([]byte, 72)...)
	return func(a http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(a, "— %s %s\n", v.Name(), base64.StdEncoding.EncodeToString(line))
	}
}

// anotherText answers with a good signature by the right key of a text that goes on after the checkpoint.
func anotherText(t *testing.T, o *other) http.HandlerFunc {
	t.Helper()
	return func(a http.ResponseWriter, r *http.Request) {
		_, checkpoint, _ := strings.Cut(readAll(t, r), "\n\n")
		const more = "more\n"
		n, err := note.Sign(&note.Note{Text: checkpoint + more}, o.Signers[0])
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(a, strings.TrimPrefix(string(n), checkpoint))
	}
}

func newVerifierKey(t *testing.T, name string) string {
	t.Helper()
	_, key, err := note.GenerateKey(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A witness that is down, or does not answer in time, delays neither the others nor what is signed; when it is back it
// cosigns.
func TestAWitnessThatDoesNotAnswer(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	slow, good := newOther(t, "witness.example/slow", w), newOther(t, "witness.example/good", w)
	down := newOther(t, "witness.example/down", w)
	down.url = "http://127.0.0.1:1/" // nobody listens there
	release := make(chan struct{})
	slow.answer(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	b := newBench(t, w, func(c *witness.Config) { c.Timeout = 50 * time.Millisecond }, slow, good, down)
	var head *ledger.SignedHead
	for range 3 {
		head = b.grow()
		b.cosigned(head.Size, good)
	}
	b.counted("witness.example/slow", "timeout")
	b.counted("witness.example/down", "unreachable")
	slow.answer(nil)
	close(release)
	until(t, "head that both have cosigned", func() bool { return b.Heads.Cosigned(2) != nil })
}

// A later process serves the cosigned head of the one before. One that the ledger does not have is refused.
func TestCosignedHeadsAreRestored(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	o := newOther(t, "witness.example/w", w)
	b := newBench(t, w, nil, o)
	head := b.grow()
	b.cosigned(head.Size, o)
	until(t, "kept head", func() bool { return b.kept.Load() != nil })

	later := heads(t, w)
	config := b.config()
	config.Heads, config.Registerer = later, nil
	parsed, err := witness.Parse(o.key + "=" + o.url)
	if err != nil {
		t.Fatal(err)
	}
	config.Witnesses = []*witness.Witness{parsed}
	restored, err := witness.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := restored.Restore(); err != nil {
		t.Fatal(err)
	}
	if err := later.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := later.Cosigned(1); got == nil || string(got.Note) != string(*b.kept.Load()) {
		t.Errorf("it has %v", got)
	}

	another := newBench(t, handlerstest.New(t, handlerstest.Options{Idle: true}), nil)
	another.grow()
	another.kept.Store(b.kept.Load())
	if err := another.cosigners.Restore(); !errors.Is(err, ledger.ErrDiverged) {
		t.Errorf("another ledger: %v", err)
	}
}

// heads are those of a world in a later process.
func heads(t *testing.T, w *handlerstest.World) *ledger.Heads {
	t.Helper()
	log, ok := w.Log.(ledger.HeadLog)
	if !ok {
		t.Fatal("no log of heads")
	}
	h, err := ledger.NewHeads(ledger.HeadsConfig{
		Log: w.Log, Heads: log, State: w.State, Origin: handlerstest.Origin, Seed: make([]byte, ledger.SigningSeed),
		Keep: func([]byte) error { return nil }, Kept: func() ([]byte, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The proof that a witness is given is that of RFC 6962, and a first request has none.
func TestRequests(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	o := newOther(t, "witness.example/w", w)
	bodies := make(chan string, 100)
	hold := func(a http.ResponseWriter, r *http.Request) {
		text := new(strings.Builder)
		if _, err := fmt.Fprint(text, readAll(t, r)); err != nil {
			t.Error(err)
		}
		bodies <- text.String()
		if strings.HasPrefix(text.String(), "old 0\n") {
			a.Header().Set("Content-Type", "text/x.tlog.size")
			a.WriteHeader(http.StatusConflict)
			fmt.Fprintln(a, 1)
		}
	}
	o.answer(hold)
	b := newBench(t, w, nil, o)
	head := b.grow()
	if first := <-bodies; first != "old 0\n\n"+string(head.Note) {
		t.Errorf("the first request is\n%s", first)
	}
	top, text, _ := strings.Cut(<-bodies, "\n\n")
	lines := strings.Split(top, "\n")
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			t.Fatal(err)
		}
		proof = append(proof, hash)
	}
	before, err := tlog.TreeHash(1, w.State)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckTree(proof, int64(head.Size), head.Root, 1, before); err != nil || lines[0] != "old 1" || text != string(head.Note) {
		t.Errorf("%v\n%s\n\n%s", err, top, text)
	}
}
