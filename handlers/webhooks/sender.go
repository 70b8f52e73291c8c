package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"keyledger/ledger"
)

// Sizes of an answer.
const (
	maxAnswerHeader = 16 << 10
	maxAnswerBody   = 4 << 10 // that is read so that the connection can be used again
)

// sender sends messages to endpoints.
type sender struct {
	client  *http.Client
	secrets secrets
	agent   string
	timeout time.Duration
	now     func() time.Time
}

func newSender(c *Config, keys secrets) *sender {
	transport := &http.Transport{ // without a proxy: it would connect to what Network forbids
		DialContext:            c.Network.dial,
		TLSClientConfig:        c.TLS,
		TLSHandshakeTimeout:    connectTime,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    parallel,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &sender{
		client:  &http.Client{Transport: transport, CheckRedirect: stay},
		secrets: keys,
		agent:   "keyledger/" + c.Version,
		timeout: c.Timeout,
		now:     c.Now,
	}
}

// result is how an attempt went.
type result struct {
	at         time.Time
	took       time.Duration
	status     int    // 0: there was no answer
	failure    string // one word for why
	retryAfter time.Duration
}

func (r *result) delivered() bool { return r.status >= 200 && r.status <= 299 }

// send makes one attempt. The endpoint has timeout to answer, whatever it does with the time.
func (s *sender) send(ctx context.Context, w *ledger.Webhook, id string, body []byte) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r.at = s.now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return r, err
	}
	signature, err := s.secrets.sign(w, id, r.at, body)
	if err != nil {
		return r, err
	}
	request.Header = http.Header{
		"Content-Type":      {"application/cloudevents+json; charset=utf-8"},
		"User-Agent":        {s.agent},
		"Webhook-Id":        {id},
		"Webhook-Timestamp": {strconv.FormatInt(r.at.Unix(), 10)},
		"Webhook-Signature": {signature},
	}
	began := time.Now()
	answer, err := s.client.Do(request)
	if r.took = time.Since(began); err != nil {
		r.failure = failure(err)
		return r, nil
	}
	defer answer.Body.Close()
	if answer.ContentLength <= maxAnswerBody { // else the connection is given up
		_, _ = io.CopyN(io.Discard, answer.Body, maxAnswerBody) // it has answered, whatever becomes of the rest
	}
	r.status = answer.StatusCode
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		r.retryAfter = s.retryAfter(answer.Header.Get("Retry-After"))
	}
	return r, nil
}

// maxRetryAfter is the longest time that an endpoint may ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads a Retry-After header (RFC 9110 section 10.2.3): seconds, or a date.
func (s *sender) retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(s.now()), 0), maxRetryAfter)
	}
	return 0
}

// failure is one word for why there was no answer. Its owner is shown it, so it tells nothing of the server's network.
func failure(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(err, errForbidden):
		return "forbidden_address"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &dns):
		return "unknown_host"
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert):
		return "tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	}
	return "connection"
}
