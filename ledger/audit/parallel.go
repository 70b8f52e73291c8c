package audit

import (
	"context"
	"iter"
	"runtime"

	"golang.org/x/sync/errgroup"

	"keyledger/events"
)

// batchRecords is how many records a worker takes at a time.
const batchRecords = 256

// job is a batch on its way through a worker.
type job struct {
	records []Record
	results []examined
	done    chan struct{}
}

// inParallel examines records on all processors and hands them on in their order, by one goroutine.
func inParallel(ctx context.Context, records iter.Seq2[Record, error], source string, keys events.Opener, take func([]examined) error) error {
	workers := runtime.GOMAXPROCS(0)
	todo, ordered := make(chan *job), make(chan *job, 2*workers)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(todo)
		defer close(ordered)
		return distribute(ctx, records, todo, ordered)
	})
	for range workers {
		group.Go(func() error {
			var buf []byte
			for j := range todo {
				j.results = make([]examined, len(j.records))
				for i := range j.records {
					j.results[i], buf = examine(buf, &j.records[i], source, keys)
				}
				close(j.done)
			}
			return nil
		})
	}
	group.Go(func() error {
		for j := range ordered {
			<-j.done
			if err := take(j.results); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// distribute makes jobs of records, each of which goes to a worker and to who waits for it.
func distribute(ctx context.Context, records iter.Seq2[Record, error], todo, ordered chan<- *job) error {
	send := func(batch []Record) error {
		j := &job{records: batch, done: make(chan struct{})}
		for _, to := range []chan<- *job{todo, ordered} { // who waits for a job waits for one that a worker has
			select {
			case to <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	batch := make([]Record, 0, batchRecords)
	for record, err := range records {
		if err == nil {
			batch = append(batch, record)
			if len(batch) < batchRecords {
				continue
			}
		}
		if sent := send(batch); sent != nil {
			return sent
		}
		if err != nil {
			return err
		}
		batch = make([]Record, 0, batchRecords)
	}
	return send(batch)
}
