package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The waits between attempts double from backoffFirst to backoffMost; a longer Retry-After of the server is obeyed up
// to retryAfterMost.
const (
	backoffFirst   = 100 * time.Millisecond
	backoffMost    = 5 * time.Second
	retryAfterMost = 30 * time.Second
)

// request is one call of the API, whatever the number of attempts. Every request that is repeated is safe to repeat: it
// changes nothing, or it is a command with an Idempotency-Key.
type request struct {
	method      string
	path        string
	query       url.Values
	body        any // nil: none
	header      http.Header
	minSequence uint64
	command     bool              // it changes something
	answered    func(http.Header) // gets the header of a success; nil: nobody
}

func get(path string, query url.Values) *request {
	return &request{method: http.MethodGet, path: path, query: query, header: http.Header{}}
}

func command(method, path string, body any) *request {
	return &request{method: method, path: path, body: body, header: http.Header{}, command: true}
}

// do sends r, again where that is safe and useful, and decodes the answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, r *request, out any, options []CallOption) error {
	for _, option := range options {
		option(r)
	}
	if r.command && c.retries > 0 && r.header.Get("Idempotency-Key") == "" {
		r.header.Set("Idempotency-Key", rand.Text())
	}
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("client: encode the request: %w", err)
		}
	}
	for attempt := 0; ; attempt++ {
		err := c.attempt(ctx, r, body, out)
		if err == nil || attempt >= c.retries || ctx.Err() != nil || !passing(err) {
			return err
		}
		if !pause(ctx, backoff(attempt, err)) {
			return err
		}
	}
}

// plainText takes an answer as it is.
type plainText []byte

// attempt sends r once.
func (c *Client) attempt(ctx context.Context, r *request, body []byte, out any) error {
	req, err := c.newRequest(ctx, r, body)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, c.maxResponse+1))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if int64(len(answer)) > c.maxResponse {
		return fmt.Errorf("client: the answer is longer than %d bytes", c.maxResponse)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return newError(resp, answer)
	}
	c.remember(resp.Header.Get("Keyledger-Sequence"))
	if r.answered != nil {
		r.answered(resp.Header)
	}
	if text, ok := out.(*plainText); ok {
		*text = answer
		return nil
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("client: decode the answer: %w", err)
	}
	return nil
}

func (c *Client) newRequest(ctx context.Context, r *request, body []byte) (*http.Request, error) {
	u := c.base.JoinPath(r.path)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = r.header.Clone()
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if !c.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	if sequence := max(r.minSequence, c.sequence.Load()); sequence > 0 {
		req.Header.Set("Keyledger-Min-Sequence", strconv.FormatUint(sequence, 10))
	}
	return req, nil
}

// remember keeps the highest sequence that was answered.
func (c *Client) remember(header string) {
	sequence, err := strconv.ParseUint(header, 10, 64)
	if err != nil {
		return
	}
	for seen := c.sequence.Load(); sequence > seen; seen = c.sequence.Load() {
		if c.sequence.CompareAndSwap(seen, sequence) {
			return
		}
	}
}

// passing tells whether err may be gone at the next attempt.
func passing(err error) bool {
	if errors.Is(err, ErrNoAnswer) {
		var certificate *tls.CertificateVerificationError
		return !errors.As(err, &certificate)
	}
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict: // the first attempt of this idempotency key is still running
		return refused.RetryAfter > 0
	}
	return false
}

// backoff is the wait after attempt, with jitter over its upper half.
func backoff(attempt int, err error) time.Duration {
	wait := min(backoffFirst<<min(attempt, 16), backoffMost)
	wait = wait/2 + mathrand.N(wait/2)
	var refused *Error
	if errors.As(err, &refused) {
		wait = max(wait, min(refused.RetryAfter, retryAfterMost))
	}
	return wait
}

// pause waits, and tells whether ctx outlived the wait.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// etag is the entity tag of a key at a sequence (RFC 9110 section 8.8.3).
func etag(sequence uint64) string { return `"` + strconv.FormatUint(sequence, 10) + `"` }
