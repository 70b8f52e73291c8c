package witness

import (
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what Cosigners count, by witness.
type metrics struct{ witnesses map[string]*witnessMetrics }

type witnessMetrics struct {
	requests map[outcome]prometheus.Counter
	last     atomic.Int64 // when the last cosignature came, in nanoseconds since 1970; 0: none has
}

// newMetrics makes the metrics and registers them; a nil Registerer registers them nowhere.
func newMetrics(s *Cosigners) (*metrics, error) {
	m := &metrics{witnesses: make(map[string]*witnessMetrics)}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keyledger_witness_requests_total",
		Help: "Heads of the ledger that a witness was asked to cosign, by what became of it.",
	}, []string{"witness", "outcome"})
	all := []prometheus.Collector{requests}
	for _, w := range s.Witnesses {
		of := &witnessMetrics{requests: make(map[outcome]prometheus.Counter)}
		for _, out := range outcomes() {
			of.requests[out] = requests.WithLabelValues(w.name, string(out))
		}
		m.witnesses[w.name] = of
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "keyledger_witness_cosignature_age_seconds",
			Help:        "Time since this node has got the last cosignature of a witness; infinite before the first one.",
			ConstLabels: prometheus.Labels{"witness": w.name},
		}, of.age))
	}
	if s.Registerer == nil {
		return m, nil
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, s.Registerer.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) of(w *Witness) *witnessMetrics { return m.witnesses[w.name] }

func (m *witnessMetrics) note(out outcome) {
	m.requests[out].Inc()
	if out == cosigned {
		m.last.Store(time.Now().UnixNano())
	}
}

func (m *witnessMetrics) age() float64 {
	last := m.last.Load()
	if last == 0 {
		return math.Inf(1)
	}
	return time.Since(time.Unix(0, last)).Seconds()
}
