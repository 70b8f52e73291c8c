package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Queue hands events to endpoints, each with a durable position of its own. Unlike a view it is never built anew: what is
// done with an event has effects elsewhere. ledger/jetstream and ledger/ledgertest implement it; both pass
// ledgertest.QueueConformance.
type Queue interface {
	// Consume hands every event of the endpoint's owner, from sequence From on, to handle, up to parallel at a time and
	// fewer while they fail, until ctx ends: it returns the error of ctx then. Nodes that consume for one endpoint share
	// its events. An event whose handling is done is not handed over again; one that is to come again is, after the time
	// that handle asks for, on any node. One whose node ends in the middle comes again within a minute. Events come in no
	// order.
	Consume(ctx context.Context, w *Webhook, parallel int, handle func(context.Context, *Handover) (done bool, again time.Duration)) error

	// Forget drops the position of an endpoint, and what was noted of it. It may be unknown.
	Forget(ctx context.Context, webhook uuid.UUID) error

	// Consumed lists the endpoints that have a position.
	Consumed(ctx context.Context) ([]uuid.UUID, error)

	// Note keeps what became of an event, for a month and in place of what was noted of it before. Of the events that were
	// delivered at the first attempt, only the last of an endpoint is kept.
	Note(ctx context.Context, webhook uuid.UUID, d *Delivery) error

	// Noted returns what was noted of an event that was not delivered at the first attempt, or ok false.
	Noted(ctx context.Context, webhook uuid.UUID, sequence uint64) (d Delivery, ok bool, err error)

	// Latest returns what was noted last of an endpoint, or ok false.
	Latest(ctx context.Context, webhook uuid.UUID) (d Delivery, ok bool, err error)

	// Deliveries returns up to limit notes of an endpoint that were made after a place, oldest first.
	Deliveries(ctx context.Context, webhook uuid.UUID, after uint64, limit int) ([]Delivery, error)
}

// Handover is an event as a Queue hands it over.
type Handover struct {
	Message events.Message
	Repeat  bool   // it was handed over before
	Pending uint64 // events of the owner that are stored after it and were not handed over yet
}

// DeliveryState is what became of an event.
type DeliveryState string

const (
	Delivered DeliveryState = "delivered"
	Retrying  DeliveryState = "retrying" // at NextAt
	Dead      DeliveryState = "dead"     // it was tried for the last time
)

// Delivery is what became of an event at an endpoint.
type Delivery struct {
	Sequence uint64        `json:"seq"`
	EventID  uuid.UUID     `json:"event"`
	Type     events.Type   `json:"type"`
	State    DeliveryState `json:"state"`
	Attempts int           `json:"attempts"`
	Status   int           `json:"status,omitempty"` // of the last answer; 0: there was none
	Error    string        `json:"error,omitempty"`  // one word for why there was none
	At       time.Time     `json:"at"`               // of the last attempt
	Took     time.Duration `json:"took"`
	NextAt   time.Time     `json:"next,omitzero"`

	Place uint64 `json:"-"` // of the note among all; set by Queue.Deliveries
}

// AtOnce tells of a delivery at the first attempt.
func (d *Delivery) AtOnce() bool { return d.State == Delivered && d.Attempts == 1 }
