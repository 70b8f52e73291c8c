package jetstream_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
)

// Of 50 creates of one name at once, on one node and on two, one makes the key and 49 learn that the name is taken. When
// it is revoked the name is free, for one again.
func TestRaceForOneName(t *testing.T) {
	log := open(t, t.TempDir(), jetstream.Options{})
	node := func() *ledger.Service {
		return ledger.New(ledger.Config{Log: log, State: ledgertest.Follow(t, log, time.Now), MaxStaleness: time.Hour})
	}
	nodes := []*ledger.Service{node(), node()}
	call := &ledger.Call{Principal: ledger.Principal{Actor: "test", Scopes: ledger.ScopeAll}}
	for n := 1; n <= 2; n++ {
		in := &ledger.Create{Name: strconv.Itoa(n), Owner: ledger.Owner{AgentID: "bot"}, UniqueName: true}
		for round := range 3 {
			before := last(t, log)
			k := raceForName(t, nodes[:n], call, in)
			if after := last(t, log); after != before+2 {
				t.Errorf("%d nodes, round %d: %d events, want the claim and the key", n, round, after-before)
			}
			if _, err := nodes[0].Revoke(t.Context(), call, k.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func last(t *testing.T, log ledger.Log) uint64 {
	t.Helper()
	sequence, err := log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sequence
}

// raceForName makes 50 creates at once and returns the key of the one that goes well.
func raceForName(t *testing.T, nodes []*ledger.Service, call *ledger.Call, in *ledger.Create) (made ledger.Key) {
	t.Helper()
	var mu sync.Mutex
	var running sync.WaitGroup
	successes, conflicts := 0, 0
	start := make(chan struct{})
	for i := range 50 {
		running.Go(func() {
			<-start
			issued, err := nodes[i%len(nodes)].Create(t.Context(), call, in)
			mu.Lock()
			defer mu.Unlock()
			switch e, _ := err.(*ledger.Error); {
			case err == nil:
				successes++
				made = issued.Key
			case e != nil && e.Code == ledger.CodeConflict && e.Field == "name":
				conflicts++
			default:
				t.Errorf("a create fails with %v", err)
			}
		})
	}
	close(start)
	running.Wait()
	if successes != 1 || conflicts != 49 {
		t.Fatalf("%d nodes: %d creates went well, %d met the name taken", len(nodes), successes, conflicts)
	}
	return made
}
