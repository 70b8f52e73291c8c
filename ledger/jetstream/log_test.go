package jetstream_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
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

func TestLog(t *testing.T) {
	ledgertest.Conformance(t, func(t *testing.T) ledger.Log { return open(t, t.TempDir(), jetstream.Options{}) })
}

func TestUsageLog(t *testing.T) {
	ledgertest.UsageConformance(t, func(t *testing.T) ledger.UsageLog { return open(t, t.TempDir(), jetstream.Options{}) })
}

func TestHeadLog(t *testing.T) {
	ledgertest.HeadConformance(t, func(t *testing.T) ledger.HeadLog { return open(t, t.TempDir(), jetstream.Options{}) })
}

func TestReadLog(t *testing.T) {
	ledgertest.ReadConformance(t, func(t *testing.T) ledger.ReadLog {
		return open(t, t.TempDir(), jetstream.Options{Reads: 24 * time.Hour})
	})
}

func TestMemo(t *testing.T) {
	ledgertest.MemoConformance(t, func(t *testing.T) ledger.Memo { return open(t, t.TempDir(), jetstream.Options{}) })
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
