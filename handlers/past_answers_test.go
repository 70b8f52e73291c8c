package handlers_test

import (
	"context"
	"testing"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

// making lets a list of the past be made for root that never comes to an end.
func making(w *world) {
	w.log.Inject(func(ctx context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpScan {
			<-ctx.Done()
		}
		return ledgertest.Fault{}
	})
	past, err := w.Service.Past(&w.Call.Principal, ledger.ScopeRead, ledger.Owner{Workspace: "acme"}, ledger.Moment{Sequence: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	past.Close() // it is made all the same
}

// pastScenarios are the answers of reads as of a moment.
func pastScenarios() []scenario {
	lists := []string{"/v1/keys", "/v1/workspaces/acme/keys", "/v1/orgs/eu/keys", "/v1/agents/bot7/keys", "/v1/webhooks"}
	paths := append([]string{"/v1/keys/{active.id}", "/v1/agents", "/v1/agents/bot7?workspace_id=acme&org_id=eu"}, lists...)
	var all []scenario
	for _, path := range paths {
		get := func(name, value string, status int, want ...string) scenario {
			return scenario{name: path + " " + name + " " + value, path: asOf(path, name, value), status: status, want: want}
		}
		twice := get("at", "2026-01-01T00:00:00Z", 400, "field=at_seq")
		twice.path = asOf(twice.path, "at_seq", "1")
		cut := get("at_seq", "20", 503, "code=unavailable")
		cut.before = func(w *world) {
			w.log.Inject(func(_ context.Context, op ledgertest.Op) (f ledgertest.Fault) {
				if op == ledgertest.OpLast {
					f.Err = ledger.ErrUnavailable
				}
				return f
			})
		}
		all = append(all,
			get("at_seq", "20", 200, "ETag: "),
			get("at_seq", "0", 400, "field=at_seq"),
			get("at_seq", "100000", 400, "field=at_seq"),
			get("at_seq", "x", 400, "field=at_seq"),
			get("at", "yesterday", 400, "field=at"),
			get("at", "2999-01-01T00:00:00Z", 400, "field=at", "detail=is in the future"),
			twice, cut)
	}
	for _, path := range lists {
		all = append(all,
			scenario{name: path + " before all", path: path + "?at=1999-01-01T00:00:00Z", status: 200, want: []string{"data=[]"}},
			scenario{name: path + " as lines", path: path + "?at_seq=20", header: with("Accept", "application/x-ndjson"), status: 200,
				want: []string{"Content-Type: application/x-ndjson"}},
			scenario{name: path + " while another is made", path: path + "?at_seq=20", before: making, status: 429,
				want: []string{"code=busy", "Retry-After: 1"}},
			scenario{name: path + " without the scope", path: path + "?at_seq=20", header: bearer("test"), status: 403})
	}
	return append(all,
		scenario{name: "a key before it was", path: "/v1/keys/{active.id}?at_seq=1", status: 404},
		scenario{name: "an agent before it was", path: "/v1/agents/bot7?workspace_id=acme&org_id=eu&at_seq=1", status: 404},
		scenario{name: "agents as lines", path: "/v1/agents?at_seq=20", header: with("Accept", "application/x-ndjson"), status: 200,
			want: []string{"Content-Type: application/x-ndjson"}},
		scenario{name: "a key that had not expired", path: "/v1/keys/{expired.id}?at_seq=20", status: 200, want: []string{"status=active"}},
		scenario{name: "a foreign key", path: "/v1/keys/{other.id}?at_seq=20", header: bearer("bound"), status: 404},
	)
}

// The header of a list as of a moment can be asked for alone.
func TestAsOfHead(t *testing.T) {
	w := newWorld(t)
	for _, accept := range []string{"*/*", "application/x-ndjson"} {
		if a := w.do("HEAD", "/v1/keys?at_seq=1", "", with("Accept", accept)); a.StatusCode != 200 {
			t.Errorf("%s: %d", accept, a.StatusCode)
		}
	}
}
