package jetstream_test

import (
	"testing"

	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
)

func TestQueueConformance(t *testing.T) {
	ledgertest.QueueConformance(t, func(t *testing.T) ledgertest.QueueLog { return open(t, t.TempDir(), jetstream.Options{}) })
}
