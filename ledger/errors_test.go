package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

func TestError(t *testing.T) {
	cause := errors.New("cause")
	for want, e := range map[string]*ledger.Error{
		"ledger: not_found":                       {Code: ledger.CodeNotFound},
		"ledger: invalid: name: must not be":      {Code: ledger.CodeInvalid, Field: "name", Detail: "must not be"},
		"ledger: unavailable: not now: cause":     {Code: ledger.CodeUnavailable, Detail: "not now", Err: cause},
		"ledger: internal: cause":                 {Code: ledger.CodeInternal, Err: cause},
		"ledger: precondition_failed: it changed": {Code: ledger.CodePrecondition, Detail: "it changed"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if errors.Is(e, cause) != (e.Err != nil) {
			t.Errorf("%q does not lead to its cause", want)
		}
	}
}

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want ledger.Code
	}{
		{nil, ""},
		{errors.New("x"), ledger.CodeInternal},
		{&ledger.Error{Code: ledger.CodeStale}, ledger.CodeStale},
		{fmt.Errorf("wrapped: %w", &ledger.Error{Code: ledger.CodeConflict}), ledger.CodeConflict},
		{errors.Join(&ledger.Error{Code: ledger.CodeConflict}, errors.New("x")), ledger.CodeConflict},
	} {
		if got := ledger.CodeOf(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// What reads the log passes its failures on, classed.
func TestReadsFail(t *testing.T) {
	w := newWorld(t)
	id := w.create(ledger.Create{}).Key.ID
	for _, c := range []struct {
		err  error
		want ledger.Code
	}{
		{ledger.ErrUnavailable, ledger.CodeUnavailable},
		{fmt.Errorf("%w: message 3", ledger.ErrGap), ledger.CodeUnavailable},
		{context.DeadlineExceeded, ledger.CodeUnavailable},
		{errors.New("something else"), ledger.CodeInternal},
	} {
		for op, do := range map[ledgertest.Op]func() error{
			ledgertest.OpRead: func() error { _, err := w.KeyEvents(w.ctx(), &w.root.Principal, id, 1, 10); return err },
			ledgertest.OpScan: func() error { _, err := w.Events(w.ctx(), &w.root.Principal, ledger.Owner{}, 1, 10); return err },
			ledgertest.OpLast: func() error {
				_, err := w.Create(w.ctx(), &w.root, &ledger.Create{Token: ledger.NewSecret(mint())})
				return err
			},
		} {
			w.log.FailNext(op, ledgertest.Fault{Err: c.err})
			if e := w.refused(c.want, do); !errors.Is(e, c.err) {
				t.Errorf("%s: %v does not lead to %v", op, e, c.err)
			}
		}
	}
	w.log.Inject(nil)
	w.log.Crash()
	w.refused(ledger.CodeUnavailable, func() error { _, err := w.Create(w.ctx(), &w.root, &ledger.Create{}); return err })
}
