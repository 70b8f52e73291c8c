package witness_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	cosignatures "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/persistence/inmemory"
	theirs "github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"

	"keyledger/handlers/handlerstest"
	"keyledger/handlers/witness"
	"keyledger/ledger"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// other is a witness of another make: that of transparency-dev, on a loopback port.
type other struct {
	*theirs.Witness
	key  string // verifier key, of type 1
	url  string
	post atomic.Pointer[http.HandlerFunc] // answers instead of it; nil: it answers
	seen atomic.Int64                     // requests
}

// newOther gives a witness that knows the ledger of a world by its verifier key.
func newOther(t *testing.T, name string, w *handlerstest.World) *other {
	t.Helper()
	return startOther(t, name, handlerstest.Origin, w.Heads.VerifierKey())
}

func startOther(t *testing.T, name, origin, ledgerKey string) *other {
	t.Helper()
	secret, key, err := note.GenerateKey(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cosignatures.NewSignerForCosignatureV1(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(ledgerKey)
	if err != nil {
		t.Fatal(err)
	}
	o := &other{key: key}
	o.Witness, err = theirs.New(t.Context(), theirs.Opts{
		Persistence: inmemory.New(), Signers: []note.Signer{signer},
		VerifierForLog: func(_ context.Context, asked string) (note.Verifier, bool, error) {
			return verifier, asked == origin, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := theirs.NewHTTPHandler(o.Witness)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /w/add-checkpoint", func(w http.ResponseWriter, r *http.Request) {
		o.seen.Add(1)
		if instead := o.post.Load(); instead != nil {
			(*instead)(w, r)
			return
		}
		handler.AddCheckpoint(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	o.url = server.URL + "/w/"
	return o
}

// answer has it answer something else from now on; nil: as it should.
func (o *other) answer(instead http.HandlerFunc) {
	if instead == nil {
		o.post.Store(nil)
		return
	}
	o.post.Store(&instead)
}

// asked waits until it was asked so many times more.
func (o *other) asked(t *testing.T, more int64) {
	t.Helper()
	want := o.seen.Load() + more
	until(t, "requests to the witness", func() bool { return o.seen.Load() >= want })
}

// size is that of the last head that it has cosigned.
func (o *other) size(t *testing.T) (n uint64) {
	t.Helper()
	text, err := o.GetCheckpoint(t.Context(), handlerstest.Origin)
	if err != nil || text == nil {
		t.Fatalf("%q %v", text, err)
	}
	if _, err := fmt.Sscanf(strings.Split(string(text), "\n")[1], "%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// until waits for something.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

// bench is a world and what has its heads cosigned.
type bench struct {
	*handlerstest.World
	t         *testing.T
	cosigners *witness.Cosigners
	registry  *prometheus.Registry
	kept      atomic.Pointer[[]byte]
}

// newBench has the heads of a world cosigned until the test ends.
func newBench(t *testing.T, w *handlerstest.World, change func(*witness.Config), others ...*other) *bench {
	t.Helper()
	b := &bench{World: w, t: t, registry: prometheus.NewRegistry()}
	config := b.config()
	for _, o := range others {
		parsed, err := witness.Parse(o.key + "=" + o.url)
		if err != nil {
			t.Fatal(err)
		}
		config.Witnesses = append(config.Witnesses, parsed)
	}
	if change != nil {
		change(&config)
	}
	var err error
	if b.cosigners, err = witness.New(config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- b.cosigners.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) config() witness.Config {
	return witness.Config{
		Service: b.Service, Heads: b.Heads, Version: "test", Interval: time.Millisecond, Registerer: b.registry,
		Keep: func(text []byte) error { b.kept.Store(&text); return nil },
		Kept: func() ([]byte, error) {
			if text := b.kept.Load(); text != nil {
				return *text, nil
			}
			return nil, nil
		},
	}
}

// grow adds an event to the ledger and signs its head.
func (b *bench) grow() *ledger.SignedHead {
	b.t.Helper()
	b.Key(b.t, ledger.Create{Name: "key"})
	if err := b.Heads.Sign(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return b.Heads.Latest()
}

// cosigned waits until so many witnesses have cosigned a head of a size at least, and verifies the checkpoint that the
// server then gives against the keys of the witnesses, with the verifier of another make.
func (b *bench) cosigned(size uint64, by ...*other) {
	b.t.Helper()
	until(b.t, "cosigned head", func() bool {
		head := b.Heads.Cosigned(len(by))
		return head != nil && head.Size >= size
	})
	a := b.Do(b.t, handlerstest.Request{Method: "GET", Target: fmt.Sprint("/v1/ledger/checkpoint?witnesses=", len(by))})
	if a.Status != http.StatusOK {
		b.t.Fatalf("%d %s", a.Status, a.Body)
	}
	own, err := note.NewVerifier(b.Heads.VerifierKey())
	if err != nil {
		b.t.Fatal(err)
	}
	verifiers := []note.Verifier{own}
	for _, o := range by {
		v, err := cosignatures.NewVerifierForCosignatureV1(o.key)
		if err != nil {
			b.t.Fatal(err)
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open(a.Body, note.VerifierList(verifiers...))
	if err != nil || len(n.Sigs) != len(verifiers) || len(n.UnverifiedSigs) > 0 {
		b.t.Fatalf("%v\n%s", err, a.Body)
	}
	for _, s := range n.Sigs[1:] {
		at, err := cosignatures.CoSigV1Timestamp(s)
		if age := time.Since(at); err != nil || age < -time.Minute || age > time.Minute {
			b.t.Errorf("cosigned at %v, %v", at, err)
		}
	}
}

// count is a counter of the requests to a witness.
func (b *bench) count(name, outcome string) float64 {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "keyledger_witness_requests_total" &&
				m.GetLabel()[0].GetValue() == outcome && m.GetLabel()[1].GetValue() == name {
				return m.GetCounter().GetValue()
			}
		}
	}
	b.t.Fatalf("no counter of %s by %s", outcome, name)
	return 0
}

// counted waits until an outcome was counted.
func (b *bench) counted(name, outcome string) {
	b.t.Helper()
	until(b.t, outcome+" counted", func() bool { return b.count(name, outcome) > 0 })
}

// bare holds that the checkpoint has no cosignature.
func (b *bench) bare() {
	b.t.Helper()
	a := b.Do(b.t, handlerstest.Request{Method: "GET", Target: "/v1/ledger/checkpoint"})
	if a.Status != http.StatusOK || strings.Count(string(a.Body), "— ") != 1 {
		b.t.Errorf("%d %s", a.Status, a.Body)
	}
	a = b.Do(b.t, handlerstest.Request{Method: "GET", Target: "/v1/ledger/checkpoint?witnesses=1"})
	if a.Status != http.StatusNotFound {
		b.t.Errorf("%d %s", a.Status, a.Body)
	}
}
