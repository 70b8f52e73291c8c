package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load is one measurement over HTTP/1.1: each of conns keep-alive connections sends one request after another until
// the period is over or its source has no more. It is lean, because it shares the machine with what it measures, and
// it is the same for a subject and its baseline.
type load struct {
	addr   string
	others []string // servers that share the connections with addr
	conns  int
	period time.Duration
	status int // the only one that is not an error
	// requests gives each connection its own source: next appends a whole request to buf, or tells that there is none.
	requests func(conn int) (next func(buf []byte) (request []byte, ok bool))
	// inspect, when not nil, is called with every answer of the expected status. The body is valid until it returns.
	inspect func(conn int, body []byte) error
}

// sample is what a measurement gave.
type sample struct {
	count    int     // of good answers
	rate     float64 // of them in a second
	p50, p99 time.Duration
	errors   int
	cause    error // the first error
}

// run connects, then measures from the first request on.
func (l *load) run(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connections := make([]*loadConn, l.conns)
	tallies := make([]*tally, l.conns)
	for i := range connections {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.server(i))
		if err != nil {
			return sample{}, fmt.Errorf("connection %d of %d: %w", i+1, l.conns, err)
		}
		defer conn.Close()
		context.AfterFunc(ctx, func() { conn.Close() })
		tallies[i] = &tally{}
		connections[i] = &loadConn{load: l, number: i, conn: conn, reader: newResponseReader(conn), tally: tallies[i]}
	}
	var wg sync.WaitGroup
	began := time.Now()
	for _, c := range connections {
		wg.Go(func() { c.work(began) })
	}
	wg.Wait()
	return gather(tallies), context.Cause(ctx)
}

// slowest is the 99th percentile of the answers' times, each round.
func (b *bench) slowest(ctx context.Context, l *load) (figure, error) {
	f := figure{Unit: "ms"}
	for round := range b.options.rounds {
		b.step(round, b.options.rounds)
		s, err := l.run(ctx)
		if err != nil {
			return figure{}, err
		}
		if s.errors > 0 {
			return figure{}, s.cause
		}
		f.Values = append(f.Values, milliseconds(s.p99))
	}
	return f, nil
}

// server is where a connection leads to.
func (l *load) server(conn int) string {
	if i := conn % (len(l.others) + 1); i > 0 {
		return l.others[i-1]
	}
	return l.addr
}

// tally is what one worker of a measurement saw.
type tally struct {
	took   []time.Duration // of each good answer
	last   time.Duration   // when the last good answer came, since the measurement began
	errors int
	cause  error // the first error
}

func (t *tally) good(sent, now time.Duration) {
	t.took = append(t.took, now-sent)
	t.last = now
}

func (t *tally) fail(err error) {
	t.errors++
	if t.cause == nil {
		t.cause = err
	}
}

// gather makes one sample of what the workers saw.
func gather(tallies []*tally) sample {
	var s sample
	var took []time.Duration
	var last time.Duration
	for _, t := range tallies {
		took = append(took, t.took...)
		last = max(last, t.last)
		s.errors += t.errors
		if s.cause == nil {
			s.cause = t.cause
		}
	}
	if len(took) == 0 {
		return s
	}
	slices.Sort(took)
	s.count, s.rate = len(took), float64(len(took))/last.Seconds()
	s.p50, s.p99 = quantile(took, 0.50), quantile(took, 0.99)
	return s
}

// quantile is the nearest-rank quantile of sorted values.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// loadConn is one connection of a load.
type loadConn struct {
	*tally
	load   *load
	number int
	conn   net.Conn
	reader *responseReader
}

// work sends requests until the period is over, the source is dry or the connection is lost.
func (c *loadConn) work(began time.Time) {
	next := c.load.requests(c.number)
	buf := make([]byte, 0, 1024)
	for since := time.Duration(0); since < c.load.period; {
		request, ok := next(buf[:0])
		if !ok {
			return
		}
		sent := time.Since(began)
		status, body, err := c.exchange(request)
		since = time.Since(began)
		switch {
		case err != nil:
			c.fail(err)
			return
		case status != c.load.status:
			c.fail(fmt.Errorf("status %d: %s", status, bytes.TrimSpace(body[:min(len(body), 300)])))
			continue
		case c.load.inspect != nil:
			if err := c.load.inspect(c.number, body); err != nil {
				c.fail(err)
				continue
			}
		}
		c.good(sent, since)
	}
}

// exchange sends a request and reads its answer.
func (c *loadConn) exchange(request []byte) (status int, body []byte, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	return c.reader.read()
}

// responseReader reads HTTP/1.1 responses (RFC 9112) off one connection: as much of them as a server of ours sends.
type responseReader struct {
	in   *bufio.Reader
	held int    // bytes of in that the last body still uses
	body []byte // for bodies that in cannot hold
}

func newResponseReader(r io.Reader) *responseReader {
	return &responseReader{in: bufio.NewReaderSize(r, 64<<10)}
}

// read returns the next response. The body is valid until the next read.
func (r *responseReader) read() (status int, body []byte, err error) {
	if _, err := r.in.Discard(r.held); err != nil {
		return 0, nil, err
	}
	r.held = 0
	line, err := r.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	const version = "HTTP/1.1 "
	if !hasPrefixFold(line, version) || len(line) < len(version)+3 {
		return 0, nil, fmt.Errorf("not an HTTP/1.1 response: %q", line)
	}
	if status, err = strconv.Atoi(string(line[len(version) : len(version)+3])); err != nil {
		return 0, nil, fmt.Errorf("not an HTTP/1.1 response: %q", line)
	}
	length, err := r.header()
	switch {
	case err != nil:
		return 0, nil, err
	case length == chunked:
		body, err = r.chunks()
	case length >= 0:
		body, err = r.bytes(length)
	case status != http.StatusNoContent && status != http.StatusNotModified:
		err = errors.New("response without a length")
	}
	return status, body, err
}

// Lengths that are none.
const (
	unknown = -1 // no length given
	chunked = -2 // a body in chunks
)

// header reads to the end of the header and returns the length of the body.
func (r *responseReader) header() (length int, err error) {
	const contentLength, transferEncoding = "content-length:", "transfer-encoding:"
	length = unknown
	for {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0:
			return length, nil
		case hasPrefixFold(line, contentLength):
			n, err := strconv.ParseUint(string(bytes.TrimSpace(line[len(contentLength):])), 10, 31)
			if err != nil {
				return 0, fmt.Errorf("response length: %w", err)
			}
			length = int(n)
		case hasPrefixFold(line, transferEncoding):
			length = chunked
		}
	}
}

func hasPrefixFold(line []byte, prefix string) bool {
	return len(line) >= len(prefix) && strings.EqualFold(string(line[:len(prefix)]), prefix)
}

// bytes reads a body of known length, without a copy where it fits into the buffer.
func (r *responseReader) bytes(length int) ([]byte, error) {
	if length <= r.in.Size() {
		body, err := r.in.Peek(length)
		r.held = len(body)
		return body, err
	}
	r.body = slices.Grow(r.body[:0], length)[:length]
	_, err := io.ReadFull(r.in, r.body)
	return r.body, err
}

// chunks reads a chunked body and the empty trailer after it.
func (r *responseReader) chunks() ([]byte, error) {
	buf := bytes.NewBuffer(r.body[:0])
	if _, err := buf.ReadFrom(httputil.NewChunkedReader(r.in)); err != nil {
		return nil, err
	}
	r.body = buf.Bytes()
	line, err := r.in.ReadSlice('\n')
	if err == nil && len(bytes.TrimSpace(line)) > 0 {
		err = fmt.Errorf("unexpected trailer %q", line)
	}
	return r.body, err
}

// httpRequest builds a whole request.
func httpRequest(method, path, token string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: keyledger\r\nAuthorization: Bearer %s\r\n", method, path, token)
	if body != nil {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// always is a source that sends the same request for ever.
func always(request []byte) func(conn int) func([]byte) ([]byte, bool) {
	return func(int) func([]byte) ([]byte, bool) {
		return func([]byte) ([]byte, bool) { return request, true }
	}
}
