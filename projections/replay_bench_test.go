package projections_test

import (
	"errors"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/projections"
)

// BenchmarkReplay builds all views from JetStream and, in the same run, reads the same events with the client's own
// ordered consumer and decodes them: ratio is the speed of the one divided by that of the other.
func BenchmarkReplay(b *testing.B) {
	const n = 300_000
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Shutdown)
	nc, err := s.Connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	log, err := jetstream.Open(b.Context(), nc, jetstream.Options{Server: s})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(log.Close)
	fill(b, log, newBulk(b, n))
	js, err := natsjs.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	var raw, tail, built time.Duration
	for range b.N {
		raw += decodeRaw(b, js, n)
		tail += decodeTail(b, log, n)
		v := open(b, projections.Options{Dir: b.TempDir()})
		began := time.Now()
		build(b, v, log)
		built += time.Since(began)
	}
	total := float64(b.N) * n
	b.ReportMetric(total/raw.Seconds(), "raw/s")
	b.ReportMetric(total/tail.Seconds(), "tail/s")
	b.ReportMetric(total/built.Seconds(), "built/s")
	b.ReportMetric(raw.Seconds()/built.Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

// fill stores the events of b, many with each append.
func fill(b *testing.B, log ledger.Log, from *bulk) {
	for len(from.messages) > 0 {
		var entries []ledger.Entry
		for _, m := range from.messages[:min(500, len(from.messages))] {
			m.Sequence = 0
			entries = append(entries, ledger.Entry{Message: m})
		}
		if _, err := log.Append(b.Context(), entries...); err != nil {
			b.Fatal(err)
		}
		from.messages = from.messages[len(entries):]
	}
}

func decodeRaw(b *testing.B, js natsjs.JetStream, n int) time.Duration {
	began := time.Now()
	consumer, err := js.OrderedConsumer(b.Context(), jetstream.LedgerStream, natsjs.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	messages, err := consumer.Messages(natsjs.PullMaxMessages(5000))
	if err != nil {
		b.Fatal(err)
	}
	defer messages.Stop()
	for range n {
		got, err := messages.Next()
		if err != nil {
			b.Fatal(err)
		}
		meta, err := got.Metadata()
		if err != nil {
			b.Fatal(err)
		}
		header, err := events.ParseHeader(got.Headers().Get)
		if err != nil {
			b.Fatal(err)
		}
		m := events.Message{Header: header, Sequence: meta.Sequence.Stream, Subject: got.Subject(), Data: got.Data()}
		if _, err := events.Decode(&m, nil); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

func decodeTail(b *testing.B, log ledger.Log, n int) time.Duration {
	began, got, done := time.Now(), 0, errors.New("done")
	err := log.Tail(b.Context(), 1, func(batch ledger.Batch) error {
		for i := range batch.Messages {
			if _, err := events.Decode(&batch.Messages[i], nil); err != nil {
				return err
			}
		}
		if got += len(batch.Messages); got >= n {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		b.Fatal(err)
	}
	return time.Since(began)
}
