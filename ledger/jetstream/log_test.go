package jetstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// open starts an embedded server on dir and opens the log on it.
func open(t testing.TB, dir string, o jetstream.Options) *jetstream.Log {
	t.Helper()
	l, _ := openConn(t, dir, o)
	return l
}

// openConn is open, and gives the connection too.
func openConn(t testing.TB, dir string, o jetstream.Options) (*jetstream.Log, *nats.Conn) {
	t.Helper()
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	nc, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	o.Server = s
	l, err := jetstream.Open(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, nc
}

// entry is an event of a key that does not exist yet.
func entry() ledger.Entry {
	id := uuid.Must(uuid.NewV7())
	return ledger.Entry{Message: events.Message{
		Header: events.Header{
			Type:      events.KeyCreated,
			Version:   1,
			ID:        uuid.Must(uuid.NewV7()),
			Time:      time.Now().UTC().Truncate(time.Microsecond),
			Actor:     "system",
			RequestID: "r-1",
		},
		Subject: "ledger.acme.~.~." + id.String(),
		Data:    make([]byte, 300),
	}}
}

func TestAppendTailRead(t *testing.T) {
	l := open(t, t.TempDir(), jetstream.Options{})
	var want []ledger.Entry
	for range 10 {
		e := entry()
		sequence, err := l.Append(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		e.Message.Sequence = sequence
		want = append(want, e)
	}
	if _, err := l.Append(t.Context(), func() ledger.Entry { e := want[0]; e.Message.ID = uuid.New(); return e }()); !errors.Is(err, ledger.ErrConflict) {
		t.Fatalf("append with a guard that does not hold: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var got []events.Message
	err := l.Tail(ctx, 1, func(b ledger.Batch) error {
		for _, m := range b.Messages {
			got = append(got, m)
		}
		if len(got) == len(want) {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for i := range want {
		if got[i].ID != want[i].Message.ID || got[i].Sequence != want[i].Message.Sequence {
			t.Fatalf("message %d is %v, want %v", i, got[i].Header, want[i].Message.Header)
		}
	}
	read, err := l.Read(t.Context(), 3, 1)
	if err != nil || read[0].Sequence != 3 || read[1].Sequence != 1 || read[0].Subject != want[2].Message.Subject {
		t.Fatalf("read: %v %v", read, err)
	}
	if last, err := l.Last(t.Context()); err != nil || last != 10 {
		t.Fatalf("last is %d, %v", last, err)
	}
}

// gauge reads a metric.
func gauge(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
