package handlers

import (
	"bytes"
	_ "embed"
	"net/http"

	"keyledger/ledger"
)

//go:embed openapi.json
var openAPIDocument []byte

// operations are the routes for those who run a server.
type operations struct {
	*Config
	metrics http.Handler
}

// health is GET /healthz: the process answers.
func (o *operations) health(x *Exchange) error {
	return x.WriteJSON(http.StatusOK, struct {
		Status  string `json:"status"`
		Version string `json:"version"`
	}{"ok", o.Version})
}

// ready is GET /readyz: 200 when the node can serve, 503 with the reason when it cannot.
func (o *operations) ready(x *Exchange) error {
	if err := o.Ready(x.Context()); err != nil {
		return &ledger.Error{Code: ledger.CodeUnavailable, Detail: "not ready: " + err.Error(), Err: err}
	}
	return x.WriteJSON(http.StatusOK, struct {
		Status string `json:"status"`
	}{"ready"})
}

// showMetrics is GET /metrics, in the text format of Prometheus. They tell of all owners, so a token that may read
// them holds ledger:audit and is bound to none.
func (o *operations) showMetrics(x *Exchange) error {
	if !o.MetricsPublic {
		if err := ledger.Allow(&x.Principal, ledger.ScopeAudit, &ledger.Owner{}); err != nil {
			return &ledger.Error{Code: ledger.CodeForbidden,
				Detail: "metrics need the scope " + ledger.ScopeAudit + " and a key without an owner"}
		}
	}
	page := page{header: x.Header(), body: bytes.NewBuffer(x.Body)}
	o.metrics.ServeHTTP(&page, x.Request)
	x.Status, x.Body = page.status, page.body.Bytes()
	return nil
}

// page is a http.ResponseWriter that keeps the answer.
type page struct {
	header http.Header
	body   *bytes.Buffer
	status int
}

func (p *page) Header() http.Header         { return p.header }
func (p *page) WriteHeader(status int)      { p.status = status }
func (p *page) Write(b []byte) (int, error) { return p.body.Write(b) }

// openAPI is GET /openapi.json.
func (o *operations) openAPI(x *Exchange) error {
	x.Body = append(x.Body, openAPIDocument...)
	return nil
}
