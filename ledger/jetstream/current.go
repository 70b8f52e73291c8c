package jetstream

import (
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// Behind tells which replicas of streams on this peer take no part in their group or have not caught up with it, and nil when
// all do or the server stands alone. nats-server starts without a group whose Raft snapshot is damaged, serves what was
// stored until then, and votes no more: the others have one failure less to lose, and nothing else tells.
func (s *Server) Behind() error {
	if s.options.Peer == nil {
		return nil
	}
	var behind []string
	for _, e := range s.ns.Load().Healthz(&server.HealthzOptions{Details: true}).Errors {
		if e.Type != server.HealthzErrorConsumer { // a feed makes its consumer anew, elsewhere
			behind = append(behind, e.Error)
		}
	}
	if behind == nil {
		return nil
	}
	slices.Sort(behind) // they come in any order
	return errors.New(strings.Join(behind, "; "))
}
