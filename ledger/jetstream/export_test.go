package jetstream

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// VetCreate is what the door does to a request to make a consumer.
func VetCreate(data []byte) ([]byte, error) { return vetCreate(data) }

// DoorKey gives the key whose consumer a request is about, nil when it does not pass.
func DoorKey(subject string) (key string, ok bool) {
	name, ok := consumerIn(subject)
	if !ok {
		return "", false
	}
	id, err := keyOf(name)
	return id.String(), err == nil
}

// Pace is how fast a disk has been lately.
type Pace struct{ pace }

// Yields is yields.
func (p *Pace) Yields(now time.Time, took time.Duration) bool { return p.yields(now, took) }

// Yield lets other peers lead.
func (s *Server) Yield() { s.yield(slowDisk) }

// Leads tells whether a stream is led by this peer.
func (s *Server) Leads(stream string) bool {
	return s.ns.Load().JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream)
}
