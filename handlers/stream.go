package handlers

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"keyledger/ledger"
)

// StreamConfig is how streams of events are served.
type StreamConfig struct {
	Heartbeat time.Duration // after which an idle stream shows that it is alive; 15 s when 0
	Patience  time.Duration // within which a client takes what is written, else it is dropped; 10 s when 0
}

func (c *StreamConfig) fill() {
	if c.Heartbeat == 0 {
		c.Heartbeat = 15 * time.Second
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
}

// Outlet is where a stream writes to.
type Outlet struct {
	exchange *Exchange
	control  *http.ResponseController
	patience time.Duration
	pending  bool  // something was put that was not flushed
	bounded  bool  // the body has an end: the client must see when it does not come
	err      error // the first one
}

// Put adds to the body. The client has a time to take what was put until Flush, which tells of errors.
func (o *Outlet) Put(b []byte) {
	if o.err != nil {
		return
	}
	o.limit()
	n, err := o.exchange.writer.Write(b)
	o.exchange.sent += n
	o.err = err
}

// Flush sends what was put, and the header.
func (o *Outlet) Flush() error {
	o.limit()
	if o.err == nil {
		o.err = o.control.Flush()
	}
	o.pending = false
	_ = o.control.SetWriteDeadline(time.Time{}) // HTTP/2 resets a stream at its deadline, also an idle one
	return o.err
}

// limit starts the time for what is written from now on. It replaces that of the whole answer, and does nothing where
// there is no connection, as in tests.
func (o *Outlet) limit() {
	if !o.pending {
		o.pending = true
		_ = o.control.SetWriteDeadline(time.Now().Add(o.patience))
	}
}

// EndStreams ends the streams that are open, and all that are asked for afterwards, so that they do not hold up the stop
// of the server.
func (s *Server) EndStreams() { s.end() }

// stream lets a handler write the body of an answer whose header was sent. cut tells that the connection must be cut,
// because only that shows the client that the body is not whole.
func (s *Server) stream(x *Exchange) (cut bool) {
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	x.Body, x.input, x.room = nil, nil, nil // an idle stream keeps little
	ctx, cancel := context.WithCancel(x.Context())
	defer cancel()
	defer context.AfterFunc(s.streams, cancel)()
	if s.streams.Err() != nil {
		cancel() // already
	}
	out := &Outlet{exchange: x, control: http.NewResponseController(x.writer), patience: s.config.Stream.Patience}
	_ = out.control.SetReadDeadline(time.Time{}) // of the whole request: it would end the stream
	err := x.write(ctx, out)
	var refused *ledger.Error
	switch {
	case err == nil:
		return false
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.metrics.dropped.Inc()
		x.trouble = errors.New("the client did not take in time what was written")
	case ctx.Err() != nil: // the client went away, or the server is stopping
	case errors.As(err, &refused) && refused.Err == nil:
		x.err = err
	default:
		x.trouble = err
	}
	return out.bounded
}

// write runs the stream and turns a panic into an error.
func (x *Exchange) write(ctx context.Context, out *Outlet) (err error) {
	defer caught(&err)
	return x.Stream(ctx, out)
}
