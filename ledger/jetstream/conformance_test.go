package jetstream_test

import (
	"testing"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
)

func TestLog(t *testing.T) {
	ledgertest.Conformance(t, func(t *testing.T) ledger.Log { return open(t, t.TempDir(), jetstream.Options{}) })
}

func TestUsageLog(t *testing.T) {
	ledgertest.UsageConformance(t, func(t *testing.T) ledger.UsageLog { return open(t, t.TempDir(), jetstream.Options{}) })
}

func TestMemo(t *testing.T) {
	ledgertest.MemoConformance(t, func(t *testing.T) ledger.Memo { return open(t, t.TempDir(), jetstream.Options{}) })
}
