package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/audit/replay"
	"keyledger/ledger/jetstream"
)

// measureReplay tells the whole ledger as audit replay does, in this process, without HTTP in between.
func measureReplay(ctx context.Context, b *bench) (figure, error) {
	return b.againstRaw(ctx, b.tellAll)
}

// tellAll replays the events up to last, decoding them beside the fold.
func (b *bench) tellAll(ctx context.Context, log *jetstream.Log, last uint64) (sample, error) {
	personal, err := personalOf(ctx, b.dataDir(), log)
	if err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan []events.Event, 16)
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		defer close(batches)
		ended <- log.Tail(ctx, 1, func(b ledger.Batch) error { return pass(ctx, b.Messages, personal, batches) })
	}()
	w, err := replay.NewWriter(bufio.NewWriterSize(io.Discard, 64<<10), replay.NDJSON)
	if err != nil {
		return sample{}, err
	}
	r := replay.New(replay.Options{})
	_, err = r.Run(func(yield func(events.Event, error) bool) {
		for batch := range batches {
			for _, e := range batch {
				if !yield(e, nil) || e.Sequence == last {
					return
				}
			}
		}
		yield(events.Event{}, <-ended)
	}, &replay.Selection{}, w, func(uint64) {})
	took := time.Since(began)
	return sample{rate: float64(last) / took.Seconds()}, errors.Join(err, r.Close())
}

// pass decodes messages and hands them over.
func pass(ctx context.Context, messages []events.Message, opener events.Opener, to chan<- []events.Event) error {
	batch := make([]events.Event, len(messages))
	for i := range messages {
		var err error
		if batch[i], err = events.Decode(&messages[i], opener); err != nil {
			return err
		}
	}
	select {
	case to <- batch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
