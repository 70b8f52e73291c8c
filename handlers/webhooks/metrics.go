package webhooks

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"keyledger/ledger"
)

// metrics are what a Dispatcher counts. There is nothing by endpoint: there may be many.
type metrics struct {
	attempts      *prometheus.CounterVec
	seconds       prometheus.Histogram
	interruptions prometheus.Counter
	unnoted       prometheus.Counter
}

// newMetrics makes the metrics and registers them; nil registers them nowhere.
func newMetrics(d *Dispatcher, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyledger_webhook_attempts_total",
			Help: "Attempts to deliver an event to a webhook, by what became of the event.",
		}, []string{"state"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "keyledger_webhook_attempt_seconds",
			Help:    "Time of attempts to deliver an event to a webhook.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15), // 1 ms to 16 s
		}),
		interruptions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_webhook_interruptions_total",
			Help: "Times that the queue of a webhook was lost and opened again.",
		}),
		unnoted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_webhook_unnoted_total",
			Help: "Deliveries whose outcome could not be noted.",
		}),
	}
	for _, state := range []ledger.DeliveryState{ledger.Delivered, ledger.Retrying, ledger.Dead} {
		m.attempts.WithLabelValues(string(state))
	}
	all := []prometheus.Collector{m.attempts, m.seconds, m.interruptions, m.unnoted,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keyledger_webhook_endpoints",
			Help: "Webhooks that this node delivers to.",
		}, func() float64 { n, _ := d.load(); return float64(n) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keyledger_webhook_waiting_events",
			Help: "Events that webhooks have not been handed yet, summed over them, as of the last one that each was handed.",
		}, func() float64 { _, n := d.load(); return float64(n) }),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) attempt(out *ledger.Delivery) {
	m.attempts.WithLabelValues(string(out.State)).Inc()
	m.seconds.Observe(out.Took.Seconds())
}

// load is how many endpoints this node delivers to, and how many events wait for them.
func (d *Dispatcher) load() (endpoints int, waiting uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.workers {
		if w.cancel != nil {
			endpoints++
			waiting += w.pending.Load()
		}
	}
	return endpoints, waiting
}
