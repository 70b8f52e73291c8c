package main

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger/jetstream"
)

// store is an embedded server in this process on a data folder, with the ledger's streams: what serve starts first.
type store struct {
	server *jetstream.Server
	nc     *nats.Conn
	log    *jetstream.Log
}

func openStore(ctx context.Context, dir string) (*store, error) {
	return openStoreWith(ctx, jetstream.EmbedOptions{Dir: dir}, jetstream.Options{})
}

func openStoreWith(ctx context.Context, e jetstream.EmbedOptions, o jetstream.Options) (*store, error) {
	server, err := jetstream.Embed(e)
	if err != nil {
		return nil, err
	}
	s := &store{server: server}
	if s.nc, err = server.Connect(ctx); err == nil {
		o.Server = server
		s.log, err = jetstream.Open(ctx, s.nc, o)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *store) close() {
	if s.log != nil {
		s.log.Close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	s.server.Shutdown()
}

// rawStream is the baseline of appends: a stream of the same settings, written to without the ledger.
type rawStream struct {
	store *store
	js    natsjs.JetStream
}

func openRawStream(ctx context.Context, dir string) (*rawStream, error) {
	s, err := openStore(ctx, filepath.Join(dir, "raw"))
	if err != nil {
		return nil, err
	}
	return newRawStream(s)
}

func newRawStream(s *store) (*rawStream, error) {
	js, err := natsjs.New(s.nc)
	if err != nil {
		s.close()
		return nil, err
	}
	return &rawStream{s, js}, nil
}

// publish has each of n publishers publish one event after another, each on a new subject and acknowledged.
func (r *rawStream) publish(ctx context.Context, n int, period time.Duration) sample {
	tallies := make([]*tally, n)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range tallies {
		tallies[i] = &tally{}
		wg.Go(func() { r.publishUntil(ctx, tallies[i], began, period) })
	}
	wg.Wait()
	return gather(tallies)
}

func (r *rawStream) publishUntil(ctx context.Context, t *tally, began time.Time, period time.Duration) {
	for since := time.Duration(0); since < period; {
		m, err := rawMessage()
		if err != nil {
			t.fail(err)
			return
		}
		sent := time.Since(began)
		if _, err := r.js.PublishMsg(ctx, m); err != nil {
			t.fail(err)
			return
		}
		since = time.Since(began)
		t.good(sent, since)
	}
}

// rawMessage is a message as a create stores it.
func rawMessage() (*nats.Msg, error) {
	_, created, err := seedEvent(int(rand.Int64()))
	if err != nil {
		return nil, err
	}
	created.RequestID, created.Actor = uuid.NewString(), uuid.NewString()
	created.Origin = events.Origin{IP: "127.0.0.1"}
	encoded, err := events.Encode(created, nil)
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{Subject: encoded.Subject, Header: nats.Header{}, Data: encoded.Data}
	encoded.Header.Each(m.Header.Set)
	return m, nil
}

// rawStream gives the baseline of appends.
func (b *bench) rawStream(ctx context.Context) (*rawStream, error) {
	if b.raw != nil {
		return b.raw, nil
	}
	var err error
	b.raw, err = openRawStream(ctx, b.dir)
	return b.raw, err
}
