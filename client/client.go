package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// The defaults of a Client.
const (
	DefaultTimeout     = 30 * time.Second // of one attempt
	DefaultRetries     = 4                // attempts after the first
	DefaultMaxResponse = 16 << 20         // bytes of one answer
)

// Client talks to one keyledger server, or to a cluster behind one address.
type Client struct {
	base        *url.URL
	token       Token
	http        *http.Client
	retries     int
	maxResponse int64
	userAgent   string
	sequence    atomic.Uint64 // the highest that was answered
	nats        string        // URL; empty: events are read over HTTP
	natsOptions []nats.Option
}

// Option changes a Client.
type Option func(*Client)

// WithHTTPClient makes the Client use h: for TLS settings, proxies, timeouts and connection limits.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithRetries sets how often a request is repeated at most; 0 is never. Then commands carry no Idempotency-Key but one
// that the caller gives, which spares the server two writes for each.
func WithRetries(n int) Option { return func(c *Client) { c.retries = max(n, 0) } }

// WithMaxResponse sets how many bytes of an answer are read at most.
func WithMaxResponse(bytes int64) Option { return func(c *Client) { c.maxResponse = bytes } }

// WithUserAgent sets the User-Agent header.
func WithUserAgent(name string) Option { return func(c *Client) { c.userAgent = name } }

// New gives a Client of the server at baseURL, "http://localhost:8080" for example, that presents token. baseURL may
// have a path, for a server behind a proxy.
func New(baseURL string, token Token, options ...Option) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("client: server address: %w", err)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("client: server address %q is not an http or https URL", baseURL)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	c := &Client{
		base:        base,
		token:       token,
		retries:     DefaultRetries,
		maxResponse: DefaultMaxResponse,
		userAgent:   "keyledger-go",
	}
	for _, option := range options {
		option(c)
	}
	if c.http == nil {
		c.http = defaultHTTP()
	}
	return c, nil
}

// defaultHTTP keeps more idle connections to its one host than net/http does.
func defaultHTTP() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	return &http.Client{Transport: transport, Timeout: DefaultTimeout}
}

// CallOption changes one call.
type CallOption func(*request)

// IfSequence makes a change conditional: it fails with CodePrecondition unless sequence is still the Sequence of the
// key.
func IfSequence(sequence uint64) CallOption {
	return func(r *request) { r.header.Set("If-Match", etag(sequence)) }
}

// IdempotencyKey sets the key under which the server remembers the answer for a day, instead of a random one: a caller
// that may itself be restarted gives the same key again.
func IdempotencyKey(key string) CallOption {
	return func(r *request) { r.header.Set("Idempotency-Key", key) }
}

// MinSequence asks for an answer from views that hold at least this ledger sequence.
func MinSequence(sequence uint64) CallOption {
	return func(r *request) { r.minSequence = max(r.minSequence, sequence) }
}
