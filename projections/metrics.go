package projections

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the views.
type metrics struct {
	v          *Views
	collectors []prometheus.Collector
	events     prometheus.Counter
	burst      prometheus.Histogram
	last       prometheus.Gauge
}

func newMetrics(v *Views) *metrics {
	options := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "keyledger", Subsystem: "views", Name: name, Help: help}
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		o := options(name, help)
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: o.Namespace, Subsystem: o.Subsystem, Name: o.Name, Help: o.Help, Buckets: buckets,
		})
	}
	m := &metrics{
		v:      v,
		events: prometheus.NewCounter(prometheus.CounterOpts(options("events_applied_total", "Events applied."))),
		burst: histogram("burst_events", "Events that the log handed over at once.",
			prometheus.ExponentialBuckets(1, 4, 7)),
		last: prometheus.NewGauge(prometheus.GaugeOpts(options("last_applied_timestamp_seconds",
			"When events were last applied, in seconds since 1970."))),
	}
	m.collectors = []prometheus.Collector{m.events, m.burst, m.last}
	gauge := func(name, help string, value func() float64) {
		g := prometheus.NewGaugeFunc(prometheus.GaugeOpts(options(name, help)), value)
		m.collectors = append(m.collectors, g)
	}
	gauge("position", "Sequence of the last event in the views.",
		func() float64 { return float64(v.Position()) })
	gauge("lag_events", "Events that the log is known to hold beyond the position.",
		func() float64 { return float64(v.Lag()) })
	gauge("keys", "Keys in the views.",
		func() float64 { return float64(v.keys.Load()) })
	gauge("building", "1 while the views come to what the ledger held when they began to follow it.",
		func() float64 { return truth(v.Position() < v.goal.Load()) })
	gauge("disk_full", "1 while the views wait for space on their disk.",
		func() float64 { return truth(v.diskFull.Load()) })
	if v.table != nil {
		gauge("table_bytes", "Memory that the table of keys takes.",
			func() float64 { return float64(v.table.bytes.Load()) })
	}
	m.addPebble(gauge)
	return m
}

// addPebble adds what matters of Pebble's own metrics.
func (m *metrics) addPebble(gauge func(name, help string, value func() float64)) {
	add := func(name, help string, value func(*pebble.Metrics) float64) {
		gauge(name, help, func() float64 { return value(m.v.db.Metrics()) })
	}
	add("disk_bytes", "Size of the views on disk.",
		func(p *pebble.Metrics) float64 { return float64(p.DiskSpaceUsage()) })
	add("memtable_bytes", "Memory of changes that are not on disk yet.",
		func(p *pebble.Metrics) float64 { return float64(p.MemTable.Size) })
	add("cache_bytes", "Memory of the block cache.",
		func(p *pebble.Metrics) float64 { return float64(p.BlockCache.Size) })
	add("compaction_debt_bytes", "Bytes that compactions have still to do.",
		func(p *pebble.Metrics) float64 { return float64(p.Compact.EstimatedDebt) })
	add("read_amplification", "Files that a read may have to look into.",
		func(p *pebble.Metrics) float64 { return float64(p.ReadAmp()) })
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// applied counts a burst of events.
func (m *metrics) applied(events int) {
	m.events.Add(float64(events))
	m.burst.Observe(float64(events))
	m.last.Set(float64(m.v.options.Now().UnixMicro()) / float64(time.Second/time.Microsecond))
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.collectors {
		if err := r.Register(c); err != nil {
			m.collectors = m.collectors[:i]
			m.unregister(r)
			return fmt.Errorf("projections: register metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.collectors {
		r.Unregister(c)
	}
}
