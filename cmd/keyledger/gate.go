package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
)

// gate is what the HTTP server serves. While it is closed, because the node is starting, it answers itself: from views
// that are not yet caught up, a revoked key could be called valid. Only the metrics are let through.
type gate struct {
	next atomic.Pointer[http.Handler] // nil at first
	open atomic.Bool
}

// pass sets what is behind the gate.
func (g *gate) pass(next http.Handler) { g.next.Store(&next) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	next := g.next.Load()
	if next != nil && (g.open.Load() || r.URL.Path == "/metrics") {
		(*next).ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/healthz" {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"status":"starting"}`)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintln(w, `{"type":"urn:keyledger:problem:unavailable","title":"Unavailable","status":503,`+
		`"detail":"not ready: this node is starting","code":"unavailable"}`)
}
