package webhooks

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyledger/ledger"
)

// DefaultSchedule is how long after a failed attempt the next one is made, as Standard Webhooks recommends it.
func DefaultSchedule() []time.Duration {
	const s, m, h = time.Second, time.Minute, time.Hour
	return []time.Duration{5 * s, 5 * m, 30 * m, 2 * h, 5 * h, 10 * h, 14 * h, 20 * h, 24 * h}
}

// Config is what a Dispatcher is made of. Fields without a default are required.
type Config struct {
	Service *ledger.Service // disables endpoints that are gone
	State   ledger.State
	Log     ledger.Log
	Queue   ledger.Queue
	Secret  []byte // of the server, the same on every node: the secrets of endpoints follow from it
	Network *Network

	LedgerName string // in the source of events: "/keyledger/<name>"
	Version    string // of the program, in the User-Agent

	Schedule []time.Duration // waits between attempts; an event that fails after the last one is dead. DefaultSchedule when nil
	Timeout  time.Duration   // of an attempt, at most MaxTimeout; MaxTimeout when 0
	TLS      *tls.Config     // nil: the system's authorities
	Now      func() time.Time

	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: nothing is counted
}

// MaxTimeout is how long an attempt may take: shorter than a Queue waits for it.
const MaxTimeout = 15 * time.Second

// parallel is how many events are under way to one endpoint at most.
const parallel = 64

func (c *Config) check() error {
	switch {
	case c.Service == nil, c.State == nil, c.Log == nil, c.Queue == nil, c.Network == nil:
		return errors.New("webhooks: Service, State, Log, Queue and Network are required")
	case len(c.Secret) < 32:
		return errors.New("webhooks: Secret has less than 32 bytes")
	case c.Timeout > MaxTimeout:
		return errors.New("webhooks: Timeout is over 15 s")
	}
	if c.Schedule == nil {
		c.Schedule = DefaultSchedule()
	}
	if c.Timeout == 0 {
		c.Timeout = MaxTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
