package jetstream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// SubscriberInbox is what the inboxes of a subscriber begin with, before its key id. The inbox of the client must be set
// to it: NATS gives every client the same one, and so the answers to all others.
const SubscriberInbox = "_INBOX.key."

// SubscriberConsumers is how many consumers a key may have on a stream: they are named <key id> and <key id>_1 to _7.
const SubscriberConsumers = 8

// Subjects of the JetStream API that the door passes on, each before the name of a stream.
const (
	apiConsumer  = "$JS.API.CONSUMER."
	createPrefix = apiConsumer + "CREATE."
	infoPrefix   = apiConsumer + "INFO."
	deletePrefix = apiConsumer + "DELETE."
	nextPrefix   = apiConsumer + "MSG.NEXT."
	ackPrefix    = "$JS.ACK."
)

// grant is all that a subscriber may do on its connection: the subjects that it may publish on and subscribe to.
type grant struct {
	key                uuid.UUID
	publish, subscribe []string
}

// readable is a stream, and the subjects of it that a subscriber may read: a prefix of whole tokens, before ".>".
type readable struct{ stream, prefix string }

// readables are the streams that a principal may read. The heads of the tree are for everyone: they tell of no owner.
func readables(p *ledger.Principal) []readable {
	filter := events.OwnerFilter(p.Owner.Workspace, p.Owner.Org, p.Owner.AgentID)
	return []readable{{LedgerStream, trimAny(filter)}, {HeadsStream, strings.TrimSuffix(events.HeadSubjects, ".>")}}
}

// trimAny takes the "*" at the end of a filter away.
func trimAny(filter string) string {
	for {
		shorter, ok := strings.CutSuffix(filter, ".*")
		if !ok {
			return filter
		}
		filter = shorter
	}
}

// newGrant gives what a principal may do, or why it may not subscribe. What it may read follows from the owner of the
// key alone, which never changes: so a consumer that was made once never holds more than its key may read.
func newGrant(p *ledger.Principal) (grant, error) {
	switch {
	case !p.Scopes.Has(ledger.ScopeEvents):
		return grant{}, fmt.Errorf("key %s lacks the scope %s", p.KeyID, ledger.ScopeEvents)
	case p.Owner.Peer != "" || p.Owner.Session != "":
		return grant{}, fmt.Errorf("key %s is bound to a peer or a session, which no subject tells", p.KeyID)
	}
	g := grant{key: p.KeyID, subscribe: []string{inbox(p.KeyID) + ">"}}
	for _, r := range readables(p) {
		for name := range consumers(p.KeyID) {
			consumer := r.stream + "." + name
			g.publish = append(g.publish,
				doorPrefix+createPrefix+consumer+"."+r.prefix+".>",
				doorPrefix+infoPrefix+consumer,
				doorPrefix+deletePrefix+consumer,
				doorPrefix+nextPrefix+consumer,
				doorPrefix+ackPrefix+consumer+".>",
			)
		}
	}
	return g, nil
}

// inbox is what the inboxes of a key begin with.
func inbox(key uuid.UUID) string { return SubscriberInbox + key.String() + "." }

// consumers gives the names that the consumers of a key have.
func consumers(key uuid.UUID) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		name := key.String()
		for i := range SubscriberConsumers {
			if i > 0 {
				name = key.String() + "_" + strconv.Itoa(i)
			}
			if !yield(name) {
				return
			}
		}
	}
}

// errConsumerName: not one of consumers.
var errConsumerName = errors.New("jetstream: not the name of a subscriber's consumer")

// keyOf gives the key whose consumer has this name.
func keyOf(name string) (uuid.UUID, error) {
	const size = len("00000000-0000-0000-0000-000000000000")
	if len(name) < size {
		return uuid.Nil, errConsumerName
	}
	key, err := uuid.Parse(name[:size])
	if err != nil {
		return uuid.Nil, errConsumerName
	}
	for own := range consumers(key) {
		if own == name {
			return key, nil
		}
	}
	return uuid.Nil, errConsumerName
}
