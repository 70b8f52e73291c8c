package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// measureWebhooks delivers what is in the ledger to an endpoint of this process, which answers at once.
func measureWebhooks(ctx context.Context, b *bench) (figure, error) {
	server, err := b.server(ctx)
	if err != nil {
		return figure{}, err
	}
	f := figure{Unit: "/s"}
	for round := range b.options.rounds {
		b.step(round, b.options.rounds)
		rate, err := b.deliver(ctx, server.addr)
		if err != nil {
			return figure{}, err
		}
		f.Values = append(f.Values, rate)
	}
	return f, nil
}

// deliver creates a webhook from the first event on, counts what it gets in a period after the first delivery, and
// deletes it.
func (b *bench) deliver(ctx context.Context, addr string) (rate float64, err error) {
	sink, err := newSink(ctx)
	if err != nil {
		return 0, err
	}
	defer sink.server.Close()
	body := fmt.Sprintf(`{"url":"http://%s/","from_sequence":1,"types":["key.created"]}`, sink.addr)
	var hook struct{ ID string }
	if err := b.call(ctx, addr, http.MethodPost, "/v1/webhooks", body, http.StatusCreated, &hook); err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, b.call(ctx, addr, http.MethodDelete, "/v1/webhooks/"+hook.ID, "", http.StatusNoContent, nil))
	}()
	select {
	case <-sink.first:
	case <-time.After(time.Minute):
		return 0, errors.New("nothing was delivered within a minute")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	began, before := time.Now(), sink.count.Load()
	select {
	case <-time.After(b.options.period):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return float64(sink.count.Load()-before) / time.Since(began).Seconds(), nil
}

// call makes one request as root and decodes the answer, unless into is nil.
func (b *bench) call(ctx context.Context, addr, method, path, body string, status int, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+b.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != status {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// sink is an endpoint that counts what it gets.
type sink struct {
	server *http.Server
	addr   string
	first  chan struct{} // closed with the first message
	count  atomic.Int64
}

func newSink(ctx context.Context) (*sink, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: listener.Addr().String(), first: make(chan struct{})}
	s.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(s.take)}
	go s.server.Serve(listener) //nolint:errcheck // it ends when it is closed
	return s, nil
}

func (s *sink) take(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	if s.count.Add(1) == 1 {
		close(s.first)
	}
	w.WriteHeader(http.StatusNoContent)
}
