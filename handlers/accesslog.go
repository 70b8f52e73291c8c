package handlers

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

// routeLog takes the access lines of a route, which is written out once, here.
func (s *Server) routeLog(path string) slog.Handler {
	return s.config.Logger.Handler().WithAttrs([]slog.Attr{slog.String("route", path)})
}

// logAccess writes the one line of a request. It names the route, not the path or the query, because people put tokens
// into those by mistake. What went wrong inside is in "error", and only there.
func (s *Server) logAccess(x *Exchange, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.Status == http.StatusInternalServerError:
		level = slog.LevelError
	case x.Status > http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	handler, ctx := s.unmatched, x.Request.Context()
	if x.route != nil {
		handler = x.route.log
	}
	if !handler.Enabled(ctx, level) || !s.mayLog(x) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 10),
		slog.String("method", x.Request.Method),
		slog.Int("status", x.Status),
		slog.Duration("took", took),
		slog.Int("bytes", len(x.Body)+x.sent),
		slog.String("ip", x.origin.IP),
		slog.String("request_id", x.RequestID),
	)
	if by := x.Principal.Name(); by != "" {
		attrs = append(attrs, slog.String("by", by))
	}
	if x.keyID != (uuid.UUID{}) {
		attrs = append(attrs, slog.String("key", x.keyID.String()))
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("code", string(AsError(x.err).Code)))
	}
	trouble := x.trouble
	if x.Status >= statusCancelled {
		trouble = errors.Join(x.err, trouble)
	}
	if trouble != nil {
		attrs = append(attrs, slog.String("error", trouble.Error()))
	}
	// Made by hand: slog.Logger would look up this line's place in the source for every request.
	line := slog.NewRecord(x.started.Add(took), level, "request", 0)
	line.AddAttrs(attrs...)
	_ = handler.Handle(ctx, line) // a log that cannot be written is no reason not to answer
}

// mayLog tells whether a request has an access line. Who has no right token must not be able to fill the disk.
func (s *Server) mayLog(x *Exchange) bool {
	if x.unlogged || x.Status != http.StatusUnauthorized && x.Status != http.StatusTooManyRequests {
		return !x.unlogged
	}
	left, ok := s.failures.lines.take()
	if left > 0 {
		s.config.Logger.Warn("requests without a right token have no access lines: there were too many", "requests", left)
	}
	return ok
}

// LogWriter gathers lines and writes them out together: when 64 KiB are full, and at the latest an interval after the
// first of them. Close writes out what is left.
type LogWriter struct {
	mu       sync.Mutex
	buffer   *bufio.Writer
	interval time.Duration
	waiting  bool // a flush is on its way
}

// NewLogWriter gives a LogWriter before w.
func NewLogWriter(w io.Writer, interval time.Duration) *LogWriter {
	return &LogWriter{buffer: bufio.NewWriterSize(w, 64<<10), interval: interval}
}

// Write takes one line.
func (l *LogWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waiting {
		l.waiting = true
		time.AfterFunc(l.interval, func() { _ = l.Close() })
	}
	return l.buffer.Write(line)
}

// Close writes out what has been gathered. The writer may be used on.
func (l *LogWriter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
	return l.buffer.Flush()
}
