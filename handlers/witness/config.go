package witness

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyledger/ledger"
)

// Defaults of a Config.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultInterval = 10 * time.Second
	DefaultRefresh  = 10 * time.Minute
)

// Config is what Cosigners are made of. Fields without a default are required.
type Config struct {
	Service   *ledger.Service
	Heads     *ledger.Heads
	Witnesses []*Witness

	// Keep stores the last cosigned head durably; Kept is what it stored last, nil when there is none.
	Keep func(note []byte) error
	Kept func() ([]byte, error)

	Version  string        // of the program, in the User-Agent
	Timeout  time.Duration // of a request; DefaultTimeout when 0
	Interval time.Duration // between two heads that are to be cosigned; DefaultInterval when 0
	Refresh  time.Duration // after which a head that is still the last is cosigned again; DefaultRefresh when 0
	TLS      *tls.Config   // nil: the system's authorities

	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: nothing is counted
}

func (c *Config) check() error {
	if c.Service == nil || c.Heads == nil || c.Keep == nil || c.Kept == nil {
		return errors.New("witness: Service, Heads, Keep and Kept are required")
	}
	names := make(map[string]bool)
	for _, w := range c.Witnesses {
		if names[w.name] {
			return fmt.Errorf("witness: %s is there twice", w.name)
		}
		names[w.name] = true
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Refresh == 0 {
		c.Refresh = DefaultRefresh
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
