package jetstream

import (
	"sync"
	"time"
	_ "unsafe" // for go:linkname
)

// The clocks of Raft in the nats-server, which has no options for them: after 4 to 9 s without word from a leader a peer
// stands for election. So a ledger whose leader was killed would take no events for some 6 s. Peers that are keyledger
// processes elect after 2 to 3.5 s, and their leaders are heard twice a second. Safety does not depend on clocks.
//
//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var (
	minElectionTimeout time.Duration
	maxElectionTimeout time.Duration
	hbInterval         time.Duration
)

// quicken sets the clocks, before the first peer starts in this process.
func quicken() {
	setClocks.Do(func() {
		minElectionTimeout, maxElectionTimeout = 2*time.Second, 3500*time.Millisecond
		hbInterval = 500 * time.Millisecond
	})
}

var setClocks sync.Once
