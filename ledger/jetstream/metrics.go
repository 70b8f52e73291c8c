package jetstream

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyledger/ledger"
)

// metrics are what a Log counts.
type metrics struct {
	latency    *prometheus.HistogramVec
	batchSize  prometheus.Histogram
	conflicts  prometheus.Counter
	overloaded prometheus.Counter
	settled    prometheus.Counter
}

// newMetrics makes the metrics of a log and registers them; nil registers them nowhere.
func newMetrics(l *Log, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "keyledger_append_seconds",
			Help:    "Time of appends to the ledger until they were durable or failed.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16), // 0.1 ms to 3.3 s
		}, []string{"outcome"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "keyledger_append_batch_events",
			Help:    "Events per atomic batch. Appends outside batches are not counted.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11), // 1 to 1024
		}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_append_conflicts_total",
			Help: "Appends refused because another one was first.",
		}),
		overloaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_append_overloaded_total",
			Help: "Appends refused because too many were waiting.",
		}),
		settled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_append_settled_total",
			Help: "Appends whose outcome was found by repeating them or by reading back.",
		}),
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "keyledger_append_waiting",
		Help: "Appends that wait or are in flight.",
	}, func() float64 { return float64(l.pending.Load()) })
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range append(pulseMetrics(l.pulse), m.latency, m.batchSize, m.conflicts, m.overloaded, m.settled, waiting) {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// pulseMetrics are those of a ledger that is kept by more than this process.
func pulseMetrics(p *pulse) []prometheus.Collector {
	if p == nil {
		return nil
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keyledger_log_leader",
			Help: "1 when the NATS in this process leads the stream of the ledger, else 0.",
		}, func() float64 {
			if p.leads() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keyledger_log_majority_age_seconds",
			Help: "How long ago a majority of the servers was seen to keep the ledger.",
		}, func() float64 { return p.age().Seconds() }),
	}
}

// appended counts one append.
func (m *metrics) appended(took time.Duration, err error) {
	outcome := "stored"
	switch {
	case err == nil:
	case errors.Is(err, ledger.ErrConflict):
		outcome = "conflict"
		m.conflicts.Inc()
	case errors.Is(err, ledger.ErrOverloaded):
		outcome = "overloaded"
		m.overloaded.Inc()
	default:
		outcome = "failed"
	}
	m.latency.WithLabelValues(outcome).Observe(took.Seconds())
}
