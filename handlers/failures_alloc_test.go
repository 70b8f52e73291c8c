// The race detector allocates.

//go:build !race

package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"keyledger/handlers"
	"keyledger/ledger"
)

// A right token costs the limit nothing.
func TestRightTokensAllocateNothingForTheLimit(t *testing.T) {
	allocs := func(limit int) float64 {
		w := newWorld(t, func(c *handlers.Config, _ *ledger.Config) { c.AuthFailures = limit })
		r := httptest.NewRequest("GET", "/v1/authorize", nil)
		r.Header.Set("Authorization", "Bearer "+rootToken)
		return testing.AllocsPerRun(1000, func() {
			sink := unread{http.Header{}}
			w.Server.ServeHTTP(&sink, r)
		})
	}
	if without, with := allocs(0), allocs(3); with > without+0.5 {
		t.Errorf("%v allocations with the limit, %v without", with, without)
	}
}
