package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
)

// deliveryPrefix begins the subjects of notes: delivery.<webhook id>.<sequence of the event>, and "once" for the sequence
// of the last one that was delivered at the first attempt.
const deliveryPrefix = "delivery."

func deliveriesOf(webhook uuid.UUID) string { return deliveryPrefix + webhook.String() + ".*" }

func deliveryOf(webhook uuid.UUID, sequence uint64) string {
	return deliveryPrefix + webhook.String() + "." + strconv.FormatUint(sequence, 10)
}

// Note implements ledger.Queue.
func (l *Log) Note(ctx context.Context, webhook uuid.UUID, d *ledger.Delivery) error {
	if err := l.writable(); err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("jetstream: note: %w", err)
	}
	subject := deliveryOf(webhook, d.Sequence)
	if d.AtOnce() {
		subject = deliveryPrefix + webhook.String() + ".once"
	}
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if _, err := l.js.Publish(limited, subject, data); err != nil {
		return requestError(ctx, err)
	}
	return nil
}

// Noted implements ledger.Queue.
func (l *Log) Noted(ctx context.Context, webhook uuid.UUID, sequence uint64) (ledger.Delivery, bool, error) {
	return l.lastNote(ctx, deliveryOf(webhook, sequence))
}

// Latest implements ledger.Queue.
func (l *Log) Latest(ctx context.Context, webhook uuid.UUID) (ledger.Delivery, bool, error) {
	return l.lastNote(ctx, deliveriesOf(webhook))
}

func (l *Log) lastNote(ctx context.Context, subject string) (ledger.Delivery, bool, error) {
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := l.notes.GetLastMsgForSubject(limited, subject)
	return l.note(ctx, m, err)
}

// Deliveries implements ledger.Queue.
func (l *Log) Deliveries(ctx context.Context, webhook uuid.UUID, after uint64, limit int) (list []ledger.Delivery, err error) {
	for len(list) < limit {
		m, err := l.notes.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(deliveriesOf(webhook)))
		d, ok, err := l.note(ctx, m, err)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		list, after = append(list, d), d.Place
	}
	return list, nil
}

// note reads what was asked for; ok is false when there is none.
func (l *Log) note(ctx context.Context, m *jetstream.RawStreamMsg, err error) (d ledger.Delivery, ok bool, _ error) {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return d, false, nil
	}
	if err != nil {
		return d, false, requestError(ctx, err)
	}
	if err := json.Unmarshal(m.Data, &d); err != nil {
		return d, false, fmt.Errorf("jetstream: note %d: %w", m.Sequence, err)
	}
	d.Place = m.Sequence
	return d, true, nil
}
