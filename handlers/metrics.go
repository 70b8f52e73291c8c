package handlers

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"keyledger/ledger"
)

// metrics are the metrics of the HTTP API. What a request touches is looked up once and kept: by route and status, and
// by decision.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	decisions map[ledger.Decision]prometheus.Counter
	streams   prometheus.Gauge
	streamed  prometheus.Counter
	dropped   prometheus.Counter
	failed    prometheus.Counter
	limited   prometheus.Counter
	unmatched *routeMetrics
}

// routeMetrics are those of one route.
type routeMetrics struct {
	method, path string
	duration     prometheus.Observer
	byStatus     [600]atomic.Pointer[prometheus.Counter]
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyledger_http_requests_total",
			Help: "HTTP requests answered, by route template and status code.",
		}, []string{"method", "route", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "keyledger_http_request_duration_seconds",
			Help:    "Time from reading a request's header to having written its answer; of a stream, the answer's header.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "keyledger_http_requests_in_flight",
			Help: "HTTP requests being answered.",
		}),
		decisions: make(map[ledger.Decision]prometheus.Counter),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "keyledger_streams_open",
			Help: "Streams of events that are open.",
		}),
		streamed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_stream_events_total",
			Help: "Events written to streams.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_streams_dropped_total",
			Help: "Streams ended because the client did not take in time what was written.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_wrong_tokens_total",
			Help: "Requests that presented a token which is not valid, however they were answered.",
		}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_wrong_tokens_limited_total",
			Help: "Wrong tokens beyond the limit of their address, answered 429.",
		}),
	}
	verifications := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keyledger_verifications_total",
		Help: "Tokens verified or authorized, by decision.",
	}, []string{"code"})
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.inFlight, verifications,
		m.streams, m.streamed, m.dropped, m.failed, m.limited} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	for _, d := range []ledger.Decision{ledger.Valid, ledger.NotFound, ledger.Malformed, ledger.KeyRevoked, ledger.KeyExpired,
		ledger.NotYetValid, ledger.KeyDisabled, ledger.InsufficientScope, ledger.WrongOwner} {
		m.decisions[d] = verifications.WithLabelValues(string(d))
	}
	m.unmatched = m.route("", "")
	return m, nil
}

// route are the metrics of a route; of no route when path is empty.
func (m *metrics) route(method, path string) *routeMetrics {
	return &routeMetrics{method: method, path: path, duration: m.durations.WithLabelValues(method, path)}
}

// count counts an answered request.
func (m *metrics) count(x *Exchange, took time.Duration) {
	r := m.unmatched
	if x.route != nil {
		r = x.route.metrics
	}
	r.duration.Observe(took.Seconds())
	place := &r.byStatus[x.Status]
	counter := place.Load()
	if counter == nil {
		c := m.requests.WithLabelValues(r.method, r.path, strconv.Itoa(x.Status))
		counter = &c
		place.Store(counter)
	}
	(*counter).Inc()
}

// verdict counts a decision about a token.
func (m *metrics) verdict(d ledger.Decision) {
	if c, ok := m.decisions[d]; ok {
		c.Inc()
	}
}

func metricsHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{DisableCompression: true})
}
