package main

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyledger/ledger"
)

// leastRetention is how long recorded reads are kept at least.
const leastRetention = time.Hour

// parseReads reads how long recorded reads are kept.
func (c *config) parseReads() error {
	var kept span
	if kept.Set(c.readsKept) != nil || kept.duration() < leastRetention {
		return errors.New("--audit-reads-retention: a duration of 1h or more, such as 90d")
	}
	c.readsRetention = 0
	if c.auditReads {
		c.readsRetention = kept.duration()
	}
	return nil
}

// makeReads makes what records reads, if they are to be.
func (n *node) makeReads() {
	if !n.config.auditReads {
		return
	}
	n.reads = ledger.NewReads(n.events, 0)
	counter := func(name, help string, value func(s *ledger.ReadStats) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			s := n.reads.Stats()
			return float64(value(&s))
		})
	}
	n.metrics.MustRegister(
		counter("keyledger_reads_recorded_total", "Reads that were recorded and stored.", func(s *ledger.ReadStats) uint64 { return s.Recorded }),
		counter("keyledger_reads_refused_total", "Reads that were refused, as they could not be recorded.", func(s *ledger.ReadStats) uint64 { return s.Refused }),
		counter("keyledger_reads_failures_total", "Attempts to store recorded reads that failed; they are repeated.", func(s *ledger.ReadStats) uint64 { return s.Failed }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keyledger_reads_waiting",
			Help: "Recorded reads that wait to be stored.",
		}, func() float64 { return float64(n.reads.Stats().Waiting) }),
	)
}
