package jetstream

import (
	"time"
	_ "unsafe" // for go:linkname
)

// The clocks of Raft in the nats-server, which has no options for them: after 4 to 9 s without word from a leader a server
// stands for election. So a ledger whose leader was killed would take no events for some 6 s. Peers that are keyledger
// processes elect after 2 to 3.5 s, and their leaders are heard twice a second. Safety does not depend on clocks.
//
//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var minElectionTimeout, maxElectionTimeout, hbInterval time.Duration //nolint:gochecknoglobals // they are the server's

// quicken sets the clocks. They are read by running servers: the first peer of a process must not start beside others.
func quicken() {
	const least, most, beat = 2 * time.Second, 3500 * time.Millisecond, 500 * time.Millisecond
	if minElectionTimeout != least {
		minElectionTimeout, maxElectionTimeout, hbInterval = least, most, beat
	}
}
