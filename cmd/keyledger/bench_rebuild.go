package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger/jetstream"
	"keyledger/projections"
)

// measureRebuild reads the whole ledger in this process, on one embedded server: into empty views, and with a plain
// ordered consumer that decodes every event.
func measureRebuild(ctx context.Context, b *bench) (figure, error) {
	return b.againstRaw(ctx, b.rebuild)
}

// againstRaw compares a way to read the whole ledger in this process, up to a last event, with a plain ordered consumer
// that decodes every event.
func (b *bench) againstRaw(ctx context.Context, subject func(context.Context, *jetstream.Log, uint64) (sample, error)) (figure, error) {
	if err := b.stopServer(); err != nil {
		return figure{}, err
	}
	s, err := openStore(ctx, b.dataDir())
	if err != nil {
		return figure{}, err
	}
	defer s.close()
	last, err := s.log.Last(ctx)
	if err != nil {
		return figure{}, err
	}
	js, err := natsjs.New(s.nc)
	if err != nil {
		return figure{}, err
	}
	return b.inTurn(
		func() (sample, error) { return subject(ctx, s.log, last) },
		func() (sample, error) { return rawReplay(ctx, js, last) },
	)
}

// rebuild builds new views up to last.
func (b *bench) rebuild(ctx context.Context, log *jetstream.Log, last uint64) (sample, error) {
	dir := filepath.Join(b.dir, "rebuilt")
	defer os.RemoveAll(dir)
	personal, err := personalOf(ctx, b.dataDir(), log)
	if err != nil {
		return sample{}, err
	}
	views, err := projections.Open(projections.Options{Dir: dir, Personal: personal})
	if err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- views.Run(ctx, log, nil) }()
	err = views.WaitFor(ctx, last)
	took := time.Since(began)
	cancel()
	if ran := <-ended; err == nil {
		err = ran
	}
	if closed := views.Close(); err == nil {
		err = closed
	}
	return sample{rate: float64(last) / took.Seconds()}, err
}

// rawReplay decodes every event up to last.
func rawReplay(ctx context.Context, js natsjs.JetStream, last uint64) (sample, error) {
	consumer, err := js.OrderedConsumer(ctx, jetstream.LedgerStream, natsjs.OrderedConsumerConfig{})
	if err != nil {
		return sample{}, err
	}
	ended := make(chan error, 1)
	var read uint64
	began := time.Now()
	consuming, err := consumer.Consume(func(m natsjs.Msg) {
		read++
		if err := decode(m, read); err != nil || read == last {
			ended <- err
		}
	}, natsjs.PullMaxMessages(5000))
	if err != nil {
		return sample{}, err
	}
	defer consuming.Stop()
	select {
	case err := <-ended:
		return sample{rate: float64(last) / time.Since(began).Seconds()}, err
	case <-ctx.Done():
		return sample{}, ctx.Err()
	}
}

// decode reads a stored event as any subscriber would.
func decode(m natsjs.Msg, sequence uint64) error {
	header, err := events.ParseHeader(m.Headers().Get)
	if err != nil {
		return fmt.Errorf("message %d: %w", sequence, err)
	}
	_, err = events.Decode(&events.Message{Header: header, Sequence: sequence, Subject: m.Subject(), Data: m.Data()}, nil)
	return err
}
