package handlers

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// Limits of a connection.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // header and body
	writeTimeout      = 30 * time.Second // from the header read to the answer written; longer than DefaultTimeout
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

// NewHTTPServer gives a http.Server for h with timeouts and limits, to be served with Serve or, when config is not nil,
// ServeTLS, then with TLS 1.2 at least. What net/http says of broken connections goes to logger as warnings.
func NewHTTPServer(h http.Handler, logger *slog.Logger, config *tls.Config) *http.Server {
	if config != nil {
		config = config.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	}
	return &http.Server{
		Handler:           h,
		TLSConfig:         config,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
